/** @file The elementwise opcodes, and what a map micro-program may hold. */
import { binaryFunctions, unaryFunctions } from '../ops/elementwise-functions.js'
import type { Opcode } from '../ops/opcodes.js'

const mappable: ReadonlySet<string> = new Set([...Object.keys(unaryFunctions), ...Object.keys(binaryFunctions), 'select'])

/** Ops that a map program can hold: NumPy broadcasting, one output. */
export const isMappable = (op: Opcode): boolean => mappable.has(op)

/** Ops whose outputs may overwrite an equally shaped input, element for element. */
export const isElementwise = (op: Opcode): boolean => op === 'map' || mappable.has(op)
