/** @file Compiled and simulated against interpreted: the compiler's oracle test. */
import { expect } from 'vitest'
import { type CompileOptions, compile } from '../../../src/engine/compile/pipeline.js'
import type { Program } from '../../../src/engine/compile/program.js'
import { interpret, type RefTensor } from '../../../src/engine/reference/interpret.js'
import { sizeOf } from '../../../src/engine/tensor/shape.js'
import type { Traced } from '../../../src/engine/trace/trace.js'
import { simulate } from './simulate.js'

/** Reproducible data: floats in [-1, 1), integers in [0, 3), rows of augmentation parameters where the shape asks for them. */
export function randomInputs(traced: Traced, seed = 1): RefTensor[] {
  let state = seed
  const next = (): number => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    return state / 2 ** 32
  }
  return traced.inputs.map(({ shape, dtype }) => {
    const isTheta = shape.length === 2 && shape[1] === 8 && dtype === 'f32'
    const draw = (i: number): number =>
      isTheta ? theta(i % 8, next()) : dtype === 'f32' || dtype === 'f64' ? 2 * next() - 1 : Math.floor(3 * next())
    return { shape, data: Float64Array.from({ length: sizeOf(shape) }, (_, i) => draw(i)) }
  })
}

/** A crop by whole pixels: kind 2, p0 and p1 in -1..1. */
const theta = (column: number, x: number): number => (column === 0 ? 2 : column < 3 ? Math.floor(3 * x) - 1 : 0)

export function expectClose(actual: Float64Array, wanted: Float64Array, what: string, tolerance = 1e-5): void {
  expect(actual.length, what).toBe(wanted.length)
  const scale = wanted.reduce((m, x) => Math.max(m, Math.abs(x)), 1e-3)
  const worst = actual.reduce((m, x, i) => Math.max(m, Math.abs(x - wanted[i])), 0)
  expect(worst / scale, `${what}: largest difference ${worst} of ${scale}`).toBeLessThan(tolerance)
}

/** Compiles, simulates, interprets, and compares every output. */
export function checkAgainstInterpreter(traced: Traced, options: CompileOptions = {}): Program {
  const program = compile(traced, options)
  const inputs = randomInputs(traced)
  const args: (ArrayLike<number> | undefined)[] = program.arguments.map(() => undefined)
  for (const [i, argument] of program.inputArguments.entries()) if (argument >= 0) args[argument] = inputs[i].data
  const results = simulate(program, args)
  const wanted = interpret(traced, inputs)
  for (const [i, argument] of program.outputArguments.entries()) expectClose(results[argument], wanted[i].data, `output ${i}`)
  return program
}
