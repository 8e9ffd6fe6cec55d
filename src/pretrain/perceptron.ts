/** @file Projectors and predictors: linear layers with batch norm and ReLU between them, as a network whose input is a row. */
import { reshape, type Value } from '../engine/index.js'
import { linearLayer, type Pass } from '../nn/blocks.js'
import type { Network } from '../nn/module.js'
import { normLayer } from '../nn/normalization.js'

/**
 * Linear of each width (with bias), batch norm (where asked for) and ReLU behind all but the last. Parameters linear0, norm0, linear1, …;
 * x [1, N, 1, 1, features] -> logits [1, N, last width].
 */
export function perceptron(name: string, features: number, widths: readonly number[], batchNorm: boolean): Network {
  const layers = widths.map((width, i) => {
    const last = i === widths.length - 1
    const linear = linearLayer(`linear${i}`, [1, 1, i === 0 ? features : widths[i - 1]], width)
    const norm = last ? undefined : normLayer(`norm${i}`, batchNorm ? 'batch' : 'none', [1, 1, width])
    return { linear, norm }
  })
  return {
    name,
    input: [1, 1, features],
    classes: widths[widths.length - 1],
    parameters: layers.flatMap(({ linear, norm }) => [...linear.parameters, ...(norm?.parameters ?? [])]),
    state: layers.flatMap(({ norm }) => norm?.state ?? []),
    apply(parameters, x, options = {}) {
      const pass: Pass = { parameters, options, taps: [], nextState: {} }
      const rows = x.shape[1]
      const embedding = reshape(x, [1, rows, features])
      let y: Value = embedding
      for (const { linear, norm } of layers) {
        y = linear.apply(y, pass)
        const [, , width] = y.shape
        if (norm) y = reshape(norm.apply(reshape(y, [1, rows, 1, 1, width]), pass, { relu: true, pool: 0 }), [1, rows, width])
      }
      return { logits: y, embedding, taps: [], state: pass.nextState }
    },
  }
}
