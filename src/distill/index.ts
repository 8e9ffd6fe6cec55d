/** @file Distillation: methods by name and the loop that runs them. */
export { distill } from './loop.js'
export {
  defineGradientMethod,
  defineMethod,
  type GradientMethod,
  type LossContext,
  type LossMethod,
  type Method,
  type NetworkSchedule,
  type Preset,
} from './method.js'
export type { MethodOptions, OptionSpec } from './method-options.js'
export { methodByName, methodNames, representationMethodNames } from './registry.js'
export { distillRepresentations } from './regression/distill-representations.js'
export { type KernelAccuracy, type KernelAccuracyOptions, kernelAccuracy } from './regression/kernel-accuracy.js'
