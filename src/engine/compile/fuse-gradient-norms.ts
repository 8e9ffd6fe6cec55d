/**
 * @file Norms of weight gradients without the gradients: where the gradient of a convolution or linear layer goes into the sum of its squares per
 * group and nowhere else, a kernel makes the sum group by group and nothing of groups times parameters is written.
 */
import type { Attrs } from '../graph/node.js'
import { cheaperNorm, normAlgorithms } from '../ops/conv-norm.js'
import { type IrBuilder, type IrGraph, type IrNode, type IrValue, liveNodes, rewrite } from './ir.js'

export function fuseGradientNorms(graph: IrGraph): IrGraph {
  const live = { ...graph, nodes: liveNodes(graph) }
  const found = findNorms(live)
  if (found.size === 0) return live
  const placeholder = new Set([...found.values()].map(({ square }) => square.node))
  return rewrite(live, (node, inputs, builder) => {
    const norm = found.get(node)
    if (norm) return [emitNorm(norm, inputs[0], builder)]
    // The squares have no value any more: their sums find the gradient's operands through them.
    if (placeholder.has(node)) return inputs
    return builder.clone(node, inputs)
  })
}

interface Norm {
  readonly square: IrValue
  readonly gradient: IrValue
}

/** Sums over all axes but the first of squares of a gradient, each with one reader. */
function findNorms({ nodes, outputs }: IrGraph): Map<IrNode, Norm> {
  const readers = new Map<IrValue, number>()
  for (const v of outputs) readers.set(v, 2)
  for (const node of nodes) for (const v of node.inputs) readers.set(v, (readers.get(v) ?? 0) + 1)
  const isPrivate = (v: IrValue): boolean => readers.get(v) === 1
  const found = new Map<IrNode, Norm>()
  for (const node of nodes) {
    const [square] = node.inputs
    if (node.op !== 'sum' || square.node.op !== 'square' || !isPrivate(square)) continue
    const [gradient] = square.node.inputs
    const perGroup = node.numbers.length === gradient.shape.length - 1 && !node.numbers.includes(0)
    if (perGroup && isGradient(gradient) && isPrivate(gradient)) found.set(node, { square, gradient })
  }
  // Both outputs of a convolution's gradient go, or none: what is left would compute it all the same.
  const gone = new Set([...found.values()].map(({ gradient }) => gradient))
  for (const [node, { gradient }] of found) if (gradient.node.outputs.some((v) => !gone.has(v) && readers.has(v))) found.delete(node)
  return found
}

/** Of several groups of one image each, or of several groups of rows: a gradient of a whole batch is better cut over threads. */
function isGradient({ node, dtype, shape: [groups, ...rest] }: IrValue): boolean {
  if (dtype !== 'f32' || groups < 2) return false
  if (node.attrs.precision === 'f32') return false
  if (node.op === 'matmul') return rest.length === 2 && node.attrs.transposeA === true && node.attrs.transposeB !== true
  return node.op === 'conv2d_weight_grad' && node.inputs[0].shape[1] === 1
}

/** `gradient`: the rebuilt value, whose node has the rebuilt operands. */
function emitNorm({ gradient: { index } }: Norm, gradient: IrValue, builder: IrBuilder): IrValue {
  const { node } = gradient
  const [x, dy] = node.op === 'matmul' ? node.inputs.map((v) => asMap(v, builder)) : node.inputs
  const attrs: Attrs = node.op === 'matmul' ? { strideH: 1, strideW: 1, padH: 0, padW: 0, kernelH: 1, kernelW: 1 } : node.attrs
  const algorithm = normAlgorithms[cheaperNorm(x, dy, attrs)]
  const named = { ...attrs, algorithm }
  const numbers = ['strideH', 'strideW', 'padH', 'padW', 'algorithm', 'kernelH', 'kernelW'].map(
    (name) => named[name as 'algorithm'] as number,
  )
  const type = { shape: [x.shape[0]], dtype: 'f32' } as const
  return builder.add('conv2d_weight_grad_squared_norm', [x, dy], numbers, [type, type], { attrs: named })[index]
}

/** Rows [G, N, C] as one image of N pixels a group. */
const asMap = (v: IrValue, builder: IrBuilder): IrValue => builder.reshape(v, [v.shape[0], 1, v.shape[1], 1, v.shape[2]])
