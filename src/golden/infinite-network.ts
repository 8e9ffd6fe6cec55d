/** @file Replays of NNGP and NTK kernels of fully connected ReLU networks, and of KIP's loss and gradients under them. All of it is float64 in the product too. */
import {
  type InfiniteNetwork,
  infiniteKernel,
  infiniteKernelOf,
  type KernelKind,
  kernelKinds,
} from '../distill/regression/infinite-network.js'
import { grad, matmul, slice, type Value } from '../engine/index.js'
import { kernelRidgeSolve, ridgeLoss } from '../ridge/index.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'

export const isInfiniteNetwork = (golden: GoldenCase): boolean => fieldAt(golden, 'kind') === 'fc_nngp_ntk_kip'

/** Loss and gradients on rows 1.. of the real side: row 0 is one of the synthetic images. */
function kipOf(network: InfiniteNetwork, c: number, { x_s: x, x_t: real, y_s: labels, y_t: wanted }: Readonly<Record<string, Value>>) {
  const rest = (v: Value): Value => slice(v, [1, 0], [...v.shape])
  const { coefficients } = kernelRidgeSolve(infiniteKernelOf(network, x), labels, { c, scale: 'meanTrace', detach: false })
  const pred = matmul(infiniteKernel(network, rest(real), x), coefficients)
  const loss = ridgeLoss(pred, rest(wanted), 'half-mse')
  const [imageGradient, labelGradient] = grad(loss, [x, labels])
  return { loss, pred, d_x_s: imageGradient, d_y_s: labelGradient }
}

async function replayDepth(golden: GoldenCase, engine: GoldenEngine, checks: CheckList, index: number): Promise<void> {
  const depth = numberAt(golden, 'cases', index, 'depth')
  const of = (kernel: KernelKind): InfiniteNetwork => ({
    ...{ kernel, depth, weightVariance: numberAt(golden, 'params', 'W_std') ** 2, biasVariance: numberAt(golden, 'params', 'b_std') ** 2 },
  })
  const input = (name: string) => [name, { ...tensorAt(golden, 2, 'inputs', name), dtype: 'f64' as const }] as const
  const results = await engine.run(
    (v) =>
      Object.assign(
        {},
        ...kernelKinds.map((kernel) => {
          const kip = kipOf(of(kernel), numberAt(golden, 'params', 'ridge_c'), v)
          return {
            [`K_ss_${kernel}`]: infiniteKernelOf(of(kernel), v.x_s),
            [`K_ts_${kernel}`]: infiniteKernel(of(kernel), v.x_t, v.x_s),
            ...Object.fromEntries(Object.entries(kip).map(([name, value]) => [`${kernel}.${name}`, value])),
          }
        }),
      ),
    Object.fromEntries(['x_s', 'x_t', 'y_s', 'y_t'].map(input)),
  )
  for (const kernel of kernelKinds) {
    const at = (...path: string[]) => tensorAt(golden, 2, 'cases', index, ...path)
    for (const name of [`K_ss_${kernel}`, `K_ts_${kernel}`]) checks.add(`depth${depth}.${name}`, 'loss', results[name], at(name))
    const own = `kip_${kernel}`
    checks.add(`depth${depth}.${own}.loss`, 'loss', results[`${kernel}.loss`], scalarTensor(numberAt(golden, 'cases', index, own, 'loss')))
    checks.add(`depth${depth}.${own}.pred`, 'loss', results[`${kernel}.pred`], at(own, 'pred'))
    for (const name of ['d_x_s', 'd_y_s'])
      checks.add(`depth${depth}.${own}.${name}`, 'gradient', results[`${kernel}.${name}`], at(own, name))
  }
}

export async function replayInfiniteNetwork(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name, 'f64')
  for (const i of listAt(golden, 'cases').keys()) await replayDepth(golden, engine, checks, i)
  return checks.checks
}
