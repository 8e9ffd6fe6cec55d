/** @file All functions that build ops. */

export { augmentKind } from './augment-reference.js'
export { constant, constantValue, full, type Operand, onesLike, scalar, zerosLike } from './build.js'
export { type CholeskyFactor, cholesky, choleskySolve, gram } from './cholesky.js'
export * from './composite.js'
export { type ConvOptions, conv2d, conv2dInputGrad, conv2dWeightGrad, type PerAxis } from './conv.js'
export { conv2dWeightGradSquaredNorm, type NormAlgorithm } from './conv-norm.js'
export {
  abs,
  add,
  cast,
  cos,
  div,
  equal,
  erf,
  exp,
  floor,
  greater,
  greaterEqual,
  isFiniteMask,
  log,
  maximum,
  minimum,
  mul,
  neg,
  pow,
  reciprocal,
  relu,
  rsqrt,
  select,
  sigmoid,
  sign,
  sin,
  sqrt,
  square,
  sub,
  tanh,
} from './elementwise.js'
export { gather, scatterAdd } from './gather.js'
export { type HerdPick, type HerdRule, herdStep } from './herding.js'
export { type AugmentOptions, augment, imageGather } from './image.js'
export { type KCenterPick, kCenterStep } from './k-center.js'
export { type MatmulOptions, matmul } from './matmul.js'
export * from './movement.js'
export { type NormOptions, type NormResult, normActPool, normActPoolSums } from './norm.js'
export { type NormKind, normKinds } from './norm-reference.js'
export { type Opcode, opcodes } from './opcodes.js'
export { avgPool2d, maxPool2d, type PoolOptions } from './pool.js'
export { largestPower, type PowerSums, powerSums, wholePower } from './power-sums.js'
export { randomNormal, randomPermutation, randomUniform } from './random.js'
export { argmax, max, type ReduceOptions, sum } from './reduce.js'
export { type RidgeForm, type RidgeSystem, ridgeSolution, ridgeWeights } from './ridge.js'
export { panelRows, panelShape, rowPanels } from './row-panels.js'
export { logSoftmax, oneHot, softmaxCe, softmaxCeOfFeatures } from './softmax.js'
export { iota } from './structure.js'
