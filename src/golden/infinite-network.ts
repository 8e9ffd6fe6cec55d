/** @file Replays of NNGP and NTK kernels of fully connected ReLU networks. All of it is float64 in the product too. */
import {
  type InfiniteNetwork,
  infiniteKernel,
  infiniteKernelOf,
  type KernelKind,
  kernelKinds,
} from '../distill/regression/infinite-network.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, tensorAt } from './fields.js'

export const isInfiniteNetwork = (golden: GoldenCase): boolean => fieldAt(golden, 'kind') === 'fc_nngp_ntk_kip'

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
        ...kernelKinds.map((kernel) => ({
          [`K_ss_${kernel}`]: infiniteKernelOf(of(kernel), v.x_s),
          [`K_ts_${kernel}`]: infiniteKernel(of(kernel), v.x_t, v.x_s),
        })),
      ),
    Object.fromEntries(['x_s', 'x_t'].map(input)),
  )
  for (const kernel of kernelKinds) {
    const at = (...path: string[]) => tensorAt(golden, 2, 'cases', index, ...path)
    for (const name of [`K_ss_${kernel}`, `K_ts_${kernel}`]) checks.add(`depth${depth}.${name}`, 'loss', results[name], at(name))
  }
}

export async function replayInfiniteNetwork(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name, 'f64')
  for (const i of listAt(golden, 'cases').keys()) await replayDepth(golden, engine, checks, i)
  return checks.checks
}
