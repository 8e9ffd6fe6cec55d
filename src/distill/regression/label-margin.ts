/** @file The label margin of FRePo (2206.00719): keeps the largest of a learned label ahead of the second. */
import { argmax, div, minimum, mul, neg, oneHot, select, sub, sum, type Value } from '../../engine/index.js'

/** Below every label. */
const lowest = -3e38

/** -mean_i min(top1(Y_i) - top2(Y_i), 1/k) of labels f32 [n, k], k >= 2; a row ahead by more than 1/k has no gradient. */
export function labelMargin(labels: Value): Value {
  const [rows, k] = labels.shape
  const first = oneHot(argmax(labels), k)
  const second = oneHot(argmax(select(first, lowest, labels)), k)
  const margins = sum(mul(labels, sub(first, second)), { axes: [1] })
  return neg(div(sum(minimum(margins, 1 / k)), rows))
}
