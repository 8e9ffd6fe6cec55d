/** @file The direct kernels: losses and distances on arrays, without tracing. */
export { type AttentionMatch, type AttentionMatchOptions, attentionMatch } from './attention-match.js'
export type { DirectOptions } from './call.js'
export {
  type KernelRidgeOptions,
  kernelRidge,
  type RidgeBatch,
  type RidgeLossOptions,
  type RidgeLossResult,
  type RidgeSolution,
} from './kernel-ridge.js'
export type { ArrayInput, ArrayView, Elements } from './operand.js'
export { el2n, type PerSampleLoss, type PerSampleLossOptions, perSampleLoss } from './per-sample-loss.js'
