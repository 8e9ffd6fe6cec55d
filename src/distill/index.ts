/** @file Distillation: methods by name and the loop that runs them. */
export { distill } from './loop.js'
export { defineMethod, type LossContext, type Method } from './method.js'
export { methodByName, methodNames } from './registry.js'
