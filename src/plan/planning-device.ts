/** @file A device that runs nothing: it takes arrays and programs as the real one does and counts what they would hold. */
import type { Plan } from '../engine/compile/program.js'
import type { Isa, Precision } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import type { LoadableProgram } from '../engine/runtime/executable.js'
import { bytesPerElement, type DType } from '../engine/tensor/dtype.js'
import { type Shape, sizeOf } from '../engine/tensor/shape.js'
import { AludelError } from '../errors.js'

/** Bytes that a device holds while a phase runs. */
export interface DeviceBytes {
  /** Data set, state, batches: alive from the phase's beginning to its end. */
  readonly arrays: number
  readonly constants: number
  /** Working memory that all programs share: the largest need among them. */
  readonly workspace: number
}

/** Stands in for a Device where programs are built. Running one is `unavailable`. */
export class PlanningDevice {
  readonly isa: Isa
  readonly precision: Precision
  readonly #device: Device
  #arrays = 0
  #constants = 0
  #workspace = 0

  /** Programs are loaded on `device` for a moment, since only its kernels know the memory they share; it is reserved there, not touched. */
  constructor(device: Device) {
    this.isa = device.isa
    this.precision = device.precision
    this.#device = device
  }

  get bytes(): DeviceBytes {
    return { arrays: this.#arrays, constants: this.#constants, workspace: this.#workspace }
  }

  array(dtype: DType, shape: Shape) {
    const bytes = sizeOf(shape) * bytesPerElement(dtype)
    this.#arrays += bytes
    return { dtype, shape, bytes, dispose() {} }
  }

  load(program: LoadableProgram<Plan>) {
    const executable = this.#device.load(program)
    const { constantBytes, arenaBytes, scratchBytes, localBytes } = executable.memory
    executable.dispose()
    this.#constants += constantBytes
    this.#workspace = Math.max(this.#workspace, arenaBytes + scratchBytes + localBytes)
    return { plan: executable.plan, repeat: refuse, dispose() {} }
  }
}

export const totalBytes = ({ arrays, constants, workspace }: DeviceBytes): number => arrays + constants + workspace

/** Bytes that everything `prepare` builds would hold on `target`. Throws what building throws. */
export function plannedBytes(target: Device, prepare: (device: Device) => unknown): DeviceBytes {
  const planned = new PlanningDevice(target)
  // what is planned reads no more of a device than this class has
  prepare(planned as unknown as Device)
  return planned.bytes
}

const refuse = (): never => {
  throw new AludelError('unavailable', 'a planning device runs nothing')
}
