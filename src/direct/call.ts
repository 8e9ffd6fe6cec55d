/** @file One call of a direct kernel: inputs to the device, a cached program, results back. */
import { checkDevice, checkSignal } from '../arguments.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import type { Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { DType } from '../engine/tensor/dtype.js'
import type { Shape } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'
import { type Operand, place } from './operand.js'

export interface DirectOptions {
  /** Where it is computed; engine-owned inputs must be its arrays. */
  readonly device: Device
  /** 'typed' (default): results are copied into typed arrays. 'array': they stay on the device, and are the caller's to dispose. */
  readonly out?: 'typed' | 'array'
  readonly signal?: AbortSignal
}

/** What a result is, by the option `out`. */
export type Result<O extends DirectOptions> = O extends { readonly out: 'array' } ? DeviceArray : Float32Array

export const directOptions = { device: true, out: true, signal: true } as const

/** Checks what all direct kernels share. Throws `invalid_option`, `disposed`. */
export function checkDirectOptions(what: string, { device, out = 'typed', signal }: DirectOptions): void {
  checkDevice(what, device)
  if (device.closed) throw new AludelError('disposed', `${what}: the device is closed`)
  if (out !== 'typed' && out !== 'array') throw expected('invalid_option', `${what}: out`, "'typed' or 'array'", out)
  checkSignal(what, signal)
}

export function checkFlag(what: string, value: unknown): void {
  if (typeof value !== 'boolean') throw expected('invalid_option', what, 'true or false', value)
}

export interface DirectProgram {
  /** The settings that `build` depends on beside the types of its inputs. */
  readonly key: unknown
  readonly build: (inputs: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>
  /** Shapes of the results, all f32. */
  readonly outputs: Readonly<Record<string, Shape>>
}

/** Programs kept for each device; a caller with ever new shapes replaces the one that was used longest ago. */
const mostPrograms = 64
const programsOf = new WeakMap<Device, Map<string, BoundProgram>>()

function cachedProgram(
  what: string,
  device: Device,
  types: Record<string, { shape: Shape; dtype: DType }>,
  program: DirectProgram,
): BoundProgram {
  const programs = programsOf.get(device) ?? new Map<string, BoundProgram>()
  programsOf.set(device, programs)
  const key = JSON.stringify([what, types, program.key])
  const bound =
    programs.get(key) ??
    bindProgram(device, {
      inputs: types,
      outputs: Object.fromEntries(Object.keys(program.outputs).map((name) => [name, {}])),
      build: program.build,
    })
  programs.delete(key)
  programs.set(key, bound)
  for (const [oldest, { dispose }] of programs) {
    if (programs.size <= mostPrograms) break
    programs.delete(oldest)
    dispose()
  }
  return bound
}

/**
 * Copies the views among the inputs, runs the program and gives its results, which the caller disposes. Everything up to the submission
 * happens before the first await: inputs may change, move or be disposed as soon as the call has returned its promise.
 */
export async function runDirect(
  what: string,
  { device, signal }: DirectOptions,
  operands: Readonly<Record<string, Operand>>,
  program: DirectProgram,
): Promise<Record<string, DeviceArray>> {
  const types = Object.fromEntries(Object.entries(operands).map(([name, { shape, dtype }]) => [name, { shape, dtype }]))
  const bound = cachedProgram(what, device, types, program)
  const copies: DeviceArray[] = []
  const results: Record<string, DeviceArray> = {}
  try {
    const inputs = Object.entries(operands).map(([name, operand]) => {
      const { array, owned } = place(`${what}: ${name}`, device, operand)
      if (owned) copies.push(array)
      return [name, array] as const
    })
    for (const [name, shape] of Object.entries(program.outputs)) results[name] = device.array('f32', shape)
    const run = bound.run({ ...Object.fromEntries(inputs), ...results }, signal ? { signal } : {})
    await run
    return results
  } catch (error) {
    disposeAll(results)
    throw error
  } finally {
    for (const copy of copies) copy.dispose()
  }
}

export function disposeAll(arrays: Readonly<Record<string, DeviceArray>>): void {
  for (const array of Object.values(arrays)) array.dispose()
}

/** The only element of a scalar result. */
export const readScalar = async (array: DeviceArray): Promise<number> => Number((await array.read())[0])

/** Results as the option `out` asks for; those that are read are disposed. */
export async function deliver<O extends DirectOptions>({ out }: O, array: DeviceArray): Promise<Result<O>> {
  if (out === 'array') return array as Result<O>
  try {
    return (await array.read()) as Result<O>
  } finally {
    array.dispose()
  }
}
