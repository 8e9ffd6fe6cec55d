/** @file A device: native thread, worker pool, memory. Everything on it goes with it. */
import { checkOptions, checkSignal } from '../../arguments.js'
import { AbortError, AludelError, expected } from '../../errors.js'
import { type Isa, isGpu } from '../isa.js'
import { bytesPerElement, type DType, dtypes, type TypedArray } from '../tensor/dtype.js'
import { checkShape, formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { checkedData, DeviceArray } from './array.js'
import { binding } from './binding.js'
import { Executable, type LoadableProgram } from './executable.js'
import { fromNative } from './failure.js'
import type { NativeBinding, NativeDevice } from './native-types.js'

// Node 20 has no Symbol.asyncDispose; `await using` compiled by TypeScript looks for it here.
if (Symbol.asyncDispose === undefined) Object.defineProperty(Symbol, 'asyncDispose', { value: Symbol.for('nodejs.asyncDispose') })

export type Precision = 'f32' | 'tf32' | 'bf16'

export interface DeviceOptions {
  /** Where to compute (default: $ALUDEL_DEVICE, else 'cpu'). */
  readonly device?: 'cpu' | 'cuda'
  /** Threads that compute, 1..256 (default: the cores this process may use). Results do not depend on it. On a GPU: those of ONNX Runtime. */
  readonly threads?: number
  /** Instruction set (default: $ALUDEL_ISA, else the best supported), or a GPU's architecture, sm_N. Results are bit-identical only within one. */
  readonly isa?: string
  /** Which of several GPUs, as the driver numbers them (default 0). */
  readonly index?: number
  /**
   * GPU: what the inputs of products in convolutions and matrix products are rounded to; sums and storage are float32 (default 'tf32', on the
   * CPU always 'f32'). docs/numerics.md says what each costs in error.
   */
  readonly precision?: Precision
  /** GPU: most bytes that arrays and programs of this device take together (default: what the device has). */
  readonly memory?: number
}

const precisions: readonly Precision[] = ['f32', 'tf32', 'bf16']

export interface DeviceMemory {
  /** Arrays alive. */
  readonly arrayBytes: number
  /** Constants of the executables alive. */
  readonly constantBytes: number
  /** Working memory, shared by all executables: the largest need among them. */
  readonly workspaceBytes: number
}

/** What native code counts bytes up to. */
const mostBytes = 2 ** 46

/** Made by `Device.open`. Runs, reads and writes execute one after another in the order of the calls, off the JavaScript thread. */
export class Device {
  readonly isa: Isa
  readonly threads: number
  readonly precision: Precision
  readonly #binding: NativeBinding
  readonly #native: NativeDevice
  readonly #children = new Set<DeviceArray | Executable>()
  #closed: Promise<void> | undefined

  private constructor(addon: NativeBinding, native: NativeDevice, precision: Precision) {
    this.#binding = addon
    this.#native = native
    this.isa = native.isa as Isa
    this.threads = native.threads
    this.precision = precision
  }

  /** Throws `unavailable` (no addon, no such GPU or driver, or an instruction set that is not there), `device_lost` and `invalid_option`. */
  static async open(options: DeviceOptions = {}): Promise<Device> {
    checkOptions('Device.open', options, { device: true, threads: true, isa: true, index: true, precision: true, memory: true })
    const { threads, isa } = options
    if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 256)) {
      throw expected('invalid_option', 'Device.open: threads', 'a whole number from 1 to 256', threads)
    }
    const addon = binding()
    const common = { ...(threads !== undefined && { threads }), ...(isa !== undefined && { isa }) }
    const cuda = cudaOptions(options)
    try {
      return new Device(addon, addon.createDevice({ ...common, ...cuda }), cuda ? precisions[cuda.precision] : 'f32')
    } catch (failure) {
      throw fromNative(failure, 'Device.open')
    }
  }

  /**
   * An array of zeros, or of `data`, which is copied before the call returns; that of shared memory or of a resizable buffer too. A shape
   * is a list of 0 to 8 whole numbers >= 1. Throws `invalid_shape`, `invalid_dtype`, `detached`, and `out_of_memory` with the bytes needed.
   */
  array(dtype: DType, shape: Shape, data?: TypedArray): DeviceArray {
    this.#checkOpen('array')
    if (!dtypes.includes(dtype)) throw expected('invalid_dtype', 'array', dtypes.join(', '), dtype)
    checkShape('array', shape)
    const bytes = sizeOf(shape) * bytesPerElement(dtype)
    if (bytes > mostBytes) {
      throw new AludelError(
        'out_of_memory',
        `array: ${dtype} ${formatShape(shape)} needs ${bytes} bytes, no device holds more than ${mostBytes}`,
      )
    }
    const steady = data === undefined ? undefined : checkedData('array', dtype, shape, data)
    try {
      const native = this.#native.buffer(bytes)
      // Everything that could refuse these bytes was looked at above; the first use of the array waits for them in the queue.
      if (steady !== undefined) native.write(0, steady).catch(() => {})
      return this.#adopt(new DeviceArray(dtype, shape, native))
    } catch (failure) {
      throw fromNative(failure, 'array')
    }
  }

  /** Checks and loads an encoded program. Throws `invalid_program`, `out_of_memory`. */
  load<Plan>(program: LoadableProgram<Plan>): Executable<Plan> {
    this.#checkOpen('load')
    if (!(program?.bytes instanceof Uint8Array)) throw expected('invalid_program', 'load', 'a program with bytes', typeof program)
    try {
      return this.#adopt(new Executable(this.#binding, program, this.#native.load(program.bytes)))
    } catch (failure) {
      throw fromNative(failure, 'load')
    }
  }

  /**
   * Runs `work` as an item of the device's queue: after everything submitted before, and nothing submitted later begins until it has
   * ended. For what computes outside on the same cores. `work` must not wait for this device: its own queue waits for `work`.
   * Resolves with the result of `work` and rejects as it does; `disposed` when the device is closed, which waits for work under way.
   */
  async hold<T>(work: () => Promise<T>): Promise<T> {
    this.#checkOpen('hold')
    if (typeof work !== 'function') throw expected('invalid_option', 'hold', 'a function', work)
    const { entered, release, left } = this.#native.hold()
    try {
      await entered
      return await work()
    } finally {
      release()
      await left
    }
  }

  /**
   * Eigenvalues of a real symmetric matrix, f64 [n, n], ascending into `values`, f64 [n]; unit eigenvectors take the matrix's place as rows,
   * that of values[k] in row k. Householder reduction and implicit QL in float64, off the JavaScript thread, with n^2 numbers of working
   * memory. The same bits at any number of threads. Throws `invalid_shape`, `invalid_dtype`, `invalid_option` for numbers that are not finite,
   * `out_of_memory`, `disposed`; after an abort the matrix is undefined.
   */
  async symmetricEigen(matrix: DeviceArray, values: DeviceArray, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
    this.#checkOpen('symmetricEigen')
    checkOptions('symmetricEigen', options, { signal: true })
    const { signal } = options
    checkSignal('symmetricEigen', signal)
    const n = matrix instanceof DeviceArray ? matrix.shape[0] : 0
    for (const [name, array, shape] of [['matrix', matrix, [n, n]] as const, ['values', values, [n]] as const]) {
      const what = `symmetricEigen: ${name}`
      if (!(array instanceof DeviceArray)) throw expected('invalid_option', what, 'a DeviceArray', array)
      if (array.dtype !== 'f64') throw expected('invalid_dtype', what, 'f64', array.dtype)
      if (formatShape(array.shape) !== formatShape(shape))
        throw expected('invalid_shape', what, formatShape(shape), formatShape(array.shape))
    }
    if (signal?.aborted) throw new AbortError(signal.reason)
    const token = signal && new this.#binding.CancelToken()
    const abort = () => token?.cancel()
    signal?.addEventListener('abort', abort, { once: true })
    const site = new Error()
    try {
      await this.#native.symmetricEigen({ matrix: matrix.native, values: values.native, n, ...(token && { token }) })
    } catch (failure) {
      throw fromNative(failure, 'symmetricEigen', { site, ...(signal && { reason: signal.reason }) })
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  memory(): DeviceMemory {
    let arrayBytes = 0
    let constantBytes = 0
    for (const child of this.#living()) {
      if (child instanceof DeviceArray) arrayBytes += child.bytes
      else constantBytes += child.memory.constantBytes
    }
    return { arrayBytes, constantBytes, workspaceBytes: this.#closed ? 0 : this.#native.workspaceBytes }
  }

  get closed(): boolean {
    return this.#closed !== undefined
  }

  /** Refuses new work, waits for what was submitted, frees arrays and executables. Later calls return the same promise. */
  close(): Promise<void> {
    this.#closed ??= this.#close()
    return this.#closed
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close()
  }

  async #close(): Promise<void> {
    const done = this.#native.close()
    for (const child of this.#living()) child.dispose()
    this.#children.clear()
    await done
  }

  #adopt<T extends DeviceArray | Executable>(child: T): T {
    for (const other of this.#children) if (other.disposed) this.#children.delete(other)
    this.#children.add(child)
    return child
  }

  #living(): (DeviceArray | Executable)[] {
    return [...this.#children].filter((child) => !child.disposed)
  }

  #checkOpen(what: string): void {
    if (this.#closed !== undefined) throw new AludelError('disposed', `${what}: the device is closed`)
  }
}

/** What the addon is given for a GPU, or undefined for the CPU. */
function cudaOptions({ device, isa, index, precision, memory }: DeviceOptions) {
  const asked = device ?? (isa === undefined ? process.env.ALUDEL_DEVICE : undefined) ?? 'cpu'
  if (!['cpu', 'cuda'].includes(asked)) throw expected('invalid_option', 'Device.open: device', "'cpu' or 'cuda'", asked)
  const isCuda = asked === 'cuda' || (device === undefined && isGpu(isa as Isa))
  if (!isCuda) {
    for (const [name, value] of Object.entries({ index, memory }))
      if (value !== undefined) throw new AludelError('invalid_option', `Device.open: ${name}: goes with device 'cuda' only`)
    if (precision !== undefined && precision !== 'f32')
      throw expected('invalid_option', 'Device.open: precision on the CPU', "'f32'", precision)
    return undefined
  }
  if (isa !== undefined && !isGpu(isa as Isa)) throw expected('invalid_option', "Device.open: isa of device 'cuda'", 'sm_N', isa)
  if (index !== undefined && !(Number.isInteger(index) && index >= 0 && index < 1024))
    throw expected('invalid_option', 'Device.open: index', 'a whole number from 0', index)
  if (precision !== undefined && !precisions.includes(precision))
    throw expected('invalid_option', 'Device.open: precision', "'f32', 'tf32' or 'bf16'", precision)
  if (memory !== undefined && !(Number.isInteger(memory) && memory > 0 && memory <= mostBytes))
    throw expected('invalid_option', 'Device.open: memory', `bytes, a whole number from 1 to ${mostBytes}`, memory)
  const chosen = { cuda: true, precision: precisions.indexOf(precision ?? 'tf32') }
  return { ...chosen, ...(index !== undefined && { index }), ...(memory !== undefined && { memory }) }
}
