/** @file The state of a run: every tensor and counter that a later step depends on, declared once. Nothing else survives a step. */
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { DType, TypedArray } from '../engine/tensor/dtype.js'
import type { Shape } from '../engine/tensor/shape.js'
import { AludelError } from '../errors.js'
import type { StateTensor } from '../experiment/types.js'

export interface TensorDeclaration {
  /** Default 'f32'. */
  readonly dtype?: DType
  readonly shape: Shape
  /** Row-major; default zeros. */
  readonly start?: TypedArray
}

/** What a loop, a policy or a method keeps from step to step. Names are those of the step's arguments and of a checkpoint's tensors. */
export interface StateDeclaration {
  readonly tensors: Readonly<Record<string, TensorDeclaration>>
  /** Whole numbers >= 0, with their start. */
  readonly counters: Readonly<Record<string, number>>
}

/** The values of a state, on the host. */
export interface StateValues {
  readonly tensors: Readonly<Record<string, StateTensor>>
  readonly counters: Readonly<Record<string, number>>
}

/** Tensors on the device and counters here. Dispose it when done. */
export class RunState {
  readonly declaration: StateDeclaration
  readonly arrays: Readonly<Record<string, DeviceArray>>
  readonly counters: Record<string, number>
  readonly #device: Device
  #copies: Readonly<Record<string, DeviceArray>> | undefined
  #copying = false

  constructor(device: Device, declaration: StateDeclaration) {
    this.declaration = declaration
    this.counters = { ...declaration.counters }
    this.#device = device
    this.arrays = this.#allocate((tensor) => tensor.start)
  }

  /** Of all tensors: what a checkpoint holds. */
  get bytes(): number {
    return Object.values(this.arrays).reduce((sum, { bytes }) => sum + bytes, 0)
  }

  /**
   * Copies the state on the device, before any run that is submitted later, and reads the copy while such runs go on. There is one copy:
   * the snapshot before must have resolved.
   */
  snapshot(): Promise<StateValues> {
    if (this.#copying) throw new AludelError('internal', 'a snapshot was taken while the one before was being read')
    this.#copying = true
    this.#copies ??= this.#allocate(() => undefined)
    const copies = this.#copies
    const counters = { ...this.counters }
    const copied = Object.entries(copies).map(([name, copy]) => copy.copyFrom(this.arrays[name]))
    const read = async (): Promise<StateValues> => {
      await Promise.all(copied)
      return { tensors: await readAll(copies), counters }
    }
    return read().finally(() => {
      this.#copying = false
    })
  }

  /** The tensors of these names as they are after the runs submitted so far. */
  read(names: readonly string[] = Object.keys(this.arrays)): Promise<StateValues['tensors']> {
    return readAll(Object.fromEntries(names.map((name) => [name, this.arrays[name]])))
  }

  /** Overwrites tensors and counters by name; those that are not named stay. */
  async write({ tensors, counters }: StateValues): Promise<void> {
    Object.assign(this.counters, counters)
    await Promise.all(Object.entries(tensors).map(([name, { data }]) => this.arrays[name].write(data)))
  }

  /** Copies tensors of this state onto others, on the device, `from` by `to` names. */
  async copy(pairs: readonly (readonly [from: string, to: string])[]): Promise<void> {
    await Promise.all(pairs.map(([from, to]) => this.arrays[to].copyFrom(this.arrays[from])))
  }

  dispose(): void {
    for (const array of [...Object.values(this.arrays), ...Object.values(this.#copies ?? {})]) array.dispose()
  }

  #allocate(start: (tensor: TensorDeclaration) => TypedArray | undefined): Record<string, DeviceArray> {
    return allOrNothing((own) =>
      Object.fromEntries(
        Object.entries(this.declaration.tensors).map(([name, tensor]) => [
          name,
          own(this.#device.array(tensor.dtype ?? 'f32', tensor.shape, start(tensor))),
        ]),
      ),
    )
  }
}

async function readAll(arrays: Readonly<Record<string, DeviceArray>>): Promise<Record<string, StateTensor>> {
  const read = Object.entries(arrays).map(
    async ([name, array]) => [name, { dtype: array.dtype, shape: array.shape, data: await array.read() }] as const,
  )
  return Object.fromEntries(await Promise.all(read))
}
