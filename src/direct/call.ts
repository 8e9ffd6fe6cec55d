/** @file One call of a direct kernel: inputs to the device, a cached program, results back. */
import { checkDevice, checkOptions, checkSignal } from '../arguments.js'
import { type BoundProgram, bindProgram } from '../engine/bound-program.js'
import type { Value } from '../engine/index.js'
import { DeviceArray } from '../engine/runtime/array.js'
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
  /**
   * Arrays of the device that results are written into, by the name of the result: they stay the caller's and are given back. A call in
   * a loop saves the memory that new ones would touch. What they hold after a failed call is not defined.
   */
  readonly into?: Readonly<Record<string, DeviceArray>>
  readonly signal?: AbortSignal
}

/** What the result of a name is, by the options `into` and `out`. */
export type Result<O extends DirectOptions, N extends string> = O extends { readonly into: Readonly<Record<N, DeviceArray>> }
  ? DeviceArray
  : O extends { readonly out: 'array' }
    ? DeviceArray
    : Float32Array

export const directOptions = { device: true, out: true, into: true, signal: true } as const

/** Checks what all direct kernels share; `names` are the results that there can be. Throws `invalid_option`, `disposed`. */
export function checkDirectOptions(
  what: string,
  { device, out = 'typed', into = {}, signal }: DirectOptions,
  names: readonly string[],
): void {
  checkDevice(what, device)
  if (device.closed) throw new AludelError('disposed', `${what}: the device is closed`)
  if (out !== 'typed' && out !== 'array') throw expected('invalid_option', `${what}: out`, "'typed' or 'array'", out)
  checkSignal(what, signal)
  checkOptions(`${what}: into`, into, Object.fromEntries(names.map((name) => [name, true])))
  for (const [name, array] of Object.entries(into)) {
    if (!(array instanceof DeviceArray)) throw expected('invalid_option', `${what}: into.${name}`, 'an array of the device', array)
  }
  const [first, again] = Object.keys(into).filter((name) => Object.values(into).filter((array) => array === into[name]).length > 1)
  if (again !== undefined)
    throw expected('invalid_option', `${what}: into.${again}`, `another array than that of into.${first}`, 'the same array')
}

export function checkFlag(what: string, value: unknown): void {
  if (typeof value !== 'boolean') throw expected('invalid_option', what, 'true or false', value)
}

export interface DirectProgram {
  /** The settings that `build` depends on beside the types of its inputs. */
  readonly key: unknown
  readonly build: (inputs: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>
  /** Shapes of the results, f32 unless `dtypes` says otherwise. */
  readonly outputs: Readonly<Record<string, Shape>>
  readonly dtypes?: Readonly<Record<string, DType>>
  /** The caller's arrays for some of them. */
  readonly into: Readonly<Record<string, DeviceArray>>
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
 * Copies the views among the inputs, runs the program and gives its results, of which `disposeAll` ends those that are not the caller's.
 * Everything up to the submission happens before the first await: inputs may change, move or be disposed as soon as the call has returned its promise.
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
    for (const [name, shape] of Object.entries(program.outputs))
      results[name] = program.into[name] ?? device.array(program.dtypes?.[name] ?? 'f32', shape)
    const run = bound.run({ ...Object.fromEntries(inputs), ...results }, signal ? { signal } : {})
    await run
    return results
  } catch (error) {
    disposeAll(results, program.into)
    throw error
  } finally {
    for (const copy of copies) copy.dispose()
  }
}

/** Ends the arrays that are not among `kept`. */
export function disposeAll(arrays: Readonly<Record<string, DeviceArray>>, kept: Readonly<Record<string, DeviceArray>>): void {
  const callers = Object.values(kept)
  for (const array of Object.values(arrays)) if (!callers.includes(array)) array.dispose()
}

/** The only element of a scalar result. */
export const readScalar = async (array: DeviceArray): Promise<number> => Number((await array.read())[0])

/** A result as the options ask for it; what is read is disposed. */
export async function deliver({ out, into = {} }: DirectOptions, array: DeviceArray): Promise<DeviceArray | Float32Array> {
  if (out === 'array' || Object.values(into).includes(array)) return array
  try {
    return (await array.read()) as Float32Array
  } finally {
    array.dispose()
  }
}
