/** @file The elementwise opcodes, and what a map micro-program may hold. */
import type { Opcode } from '../ops/opcodes.js'

const unary = [
  'neg',
  'abs',
  'sign',
  'exp',
  'log',
  'sqrt',
  'rsqrt',
  'reciprocal',
  'square',
  'tanh',
  'sigmoid',
  'relu',
  'floor',
  'sin',
  'cos',
  'is_finite',
] as const
const binary = ['add', 'sub', 'mul', 'div', 'pow', 'maximum', 'minimum', 'greater', 'greater_equal', 'equal'] as const

const mappable: ReadonlySet<string> = new Set([...unary, ...binary, 'select'])

/** Ops that a map program can hold: NumPy broadcasting, one output. */
export const isMappable = (op: Opcode): boolean => mappable.has(op)

/** Ops whose outputs may overwrite an equally shaped input, element for element. */
export const isElementwise = (op: Opcode): boolean => op === 'map' || mappable.has(op)
