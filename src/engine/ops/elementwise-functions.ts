/** @file Scalar functions of the elementwise ops in float64, written once for the records and for fused map programs. */
import { erf } from './error-function.js'
import type { Opcode } from './opcodes.js'

export const unaryFunctions = {
  neg: (x) => -x,
  abs: Math.abs,
  // NaN gives 0, as in PyTorch and in the kernels.
  sign: (x) => (x > 0 ? 1 : x < 0 ? -1 : 0),
  exp: Math.exp,
  log: Math.log,
  sqrt: Math.sqrt,
  rsqrt: (x) => 1 / Math.sqrt(x),
  reciprocal: (x) => 1 / x,
  square: (x) => x * x,
  tanh: Math.tanh,
  sigmoid: (x) => 1 / (1 + Math.exp(-x)),
  relu: (x) => Math.max(x, 0),
  floor: Math.floor,
  sin: Math.sin,
  cos: Math.cos,
  erf,
  is_finite: (x) => (Number.isFinite(x) ? 1 : 0),
} as const satisfies Partial<Record<Opcode, (x: number) => number>>

export const binaryFunctions = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
  // C's pow(1, NaN), pow(1, inf) and pow(-1, inf) are 1; JavaScript's are NaN.
  pow: (a, b) => (a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY) ? 1 : a ** b),
  maximum: (a, b) => (Number.isNaN(a) || a >= b ? a : b),
  minimum: (a, b) => (Number.isNaN(a) || a <= b ? a : b),
  greater: (a, b) => (a > b ? 1 : 0),
  greater_equal: (a, b) => (a >= b ? 1 : 0),
  equal: (a, b) => (a === b ? 1 : 0),
} as const satisfies Partial<Record<Opcode, (a: number, b: number) => number>>

export type UnaryOpcode = keyof typeof unaryFunctions
export type BinaryOpcode = keyof typeof binaryFunctions
export const comparisons: readonly BinaryOpcode[] = ['greater', 'greater_equal', 'equal']
