/** @file Distillation: methods by name and the loop that runs them. */
export { distill } from './loop.js'
export { defineMethod, type LossContext, type Method, type Preset } from './method.js'
export type { MethodOptions, OptionSpec } from './method-options.js'
export { methodByName, methodNames } from './registry.js'
