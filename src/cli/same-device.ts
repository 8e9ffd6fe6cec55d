/** @file The device to continue on: the instruction set, of a GPU architecture and precision, is part of a result. */
import { arithmeticOf, isGpu, precisions } from '../engine/isa.js'
import { AludelError } from '../errors.js'
import type { DeviceHandle } from '../experiment/types.js'
import { type DeviceOptions, deviceOf } from './commands/shared-options.js'
import type { Library } from './library.js'
import { given } from './options.js'

/** What a device computes with, for a record. */
export const computedWith = ({ isa, precision }: DeviceHandle): { readonly isa?: string; readonly precision?: string } =>
  isa === undefined ? {} : given(arithmeticOf({ isa, precision }))

/** Opens a device that gives the bits of the one that `what` was begun on, as its record has it. Throws `incompatible` where there is none. */
export async function openSameDevice(
  library: Library,
  options: DeviceOptions,
  { isa: saved, precision: rounded }: Readonly<Record<string, unknown>>,
  what: 'run' | 'scoring' | 'sweep' | 'training',
): Promise<DeviceHandle> {
  const isa = typeof saved === 'string' ? saved : undefined
  const gpu = isa !== undefined && isGpu(isa)
  const precision = gpu ? precisions.find((name) => name === rounded) : undefined
  const begun = `the ${what} was begun ${gpu ? `on a GPU of architecture ${isa}` : `with instruction set ${isa}`}`
  const { device } = options
  if (device !== undefined && isa !== undefined && (device === 'cuda') !== gpu) {
    throw new AludelError('incompatible', `${begun}, which device '${device}' has not; leave --device out`)
  }
  try {
    return await library.openDevice({ ...deviceOf(options), ...given({ isa, precision }) })
  } catch (error) {
    if (!(error instanceof AludelError && error.code === 'unavailable')) throw error
    const todo = 'continue it on a machine that has it'
    throw new AludelError('incompatible', `${begun}: ${error.message}; ${todo}`, { cause: error })
  }
}
