/** @file A device: native thread, worker pool, memory. Everything on it goes with it. */
import { checkOptions, checkSignal } from '../../arguments.js'
import { AbortError, AludelError, expected } from '../../errors.js'
import { freeMemory } from '../../free-memory.js'
import { type Isa, isGpu, type Precision, precisions } from '../isa.js'
import { bytesPerElement, type DType, dtypes, type TypedArray } from '../tensor/dtype.js'
import { checkShape, formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { checkedData, DeviceArray } from './array.js'
import { binding } from './binding.js'
import { Executable, type LoadableProgram } from './executable.js'
import { fromNative } from './failure.js'
import type { NativeBinding, NativeDevice } from './native-types.js'

// Node 20 has no Symbol.asyncDispose; `await using` compiled by TypeScript looks for it here.
if (Symbol.asyncDispose === undefined) Object.defineProperty(Symbol, 'asyncDispose', { value: Symbol.for('nodejs.asyncDispose') })

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
   * GPU: what the inputs of products in convolutions and matrix products are rounded to; sums and storage are float32 (default:
   * $ALUDEL_PRECISION, else 'tf32'; on the CPU always 'f32'). docs/numerics.md says what each costs in error.
   */
  readonly precision?: Precision
  /**
   * Most bytes that arrays and programs of this device take together; more is `out_of_memory` (default: what the GPU has, or the system).
   * It changes what fits, never a result.
   */
  readonly memory?: number
}

export interface DeviceMemory {
  /** Arrays alive. */
  readonly arrayBytes: number
  /** Constants of the executables alive. */
  readonly constantBytes: number
  /** Working memory, shared by all executables: the largest need among them. */
  readonly workspaceBytes: number
}

/** Which products libraries compute on a GPU: those that the committed table names, none, or all that they can (to measure and to test). */
const libraryUses = ['auto', 'off', 'all']

/** What native code counts bytes up to. */
const mostBytes = 2 ** 46

/** Made by `Device.open`. Runs, reads and writes execute one after another in the order of the calls, off the JavaScript thread. */
export class Device {
  readonly isa: Isa
  readonly threads: number
  readonly precision: Precision
  readonly #binding: NativeBinding
  readonly #native: NativeDevice
  /** The CPU's; a GPU's is kept where its memory is handed out. */
  readonly #limit: number | undefined
  readonly #children = new Set<DeviceArray | Executable>()
  #closed: Promise<void> | undefined

  private constructor(
    addon: NativeBinding,
    native: NativeDevice,
    { precision, limit }: { readonly precision: Precision; readonly limit: number | undefined },
  ) {
    this.#binding = addon
    this.#native = native
    this.#limit = limit
    this.isa = native.isa as Isa
    this.threads = native.threads
    this.precision = precision
  }

  /** Throws `unavailable` (no addon, no such GPU or driver, or an instruction set that is not there), `device_lost` and `invalid_option`. */
  static async open(options: DeviceOptions = {}): Promise<Device> {
    checkOptions('Device.open', options, { device: true, threads: true, isa: true, index: true, precision: true, memory: true })
    const { threads, isa, memory } = options
    if (threads !== undefined && (!Number.isInteger(threads) || threads < 1 || threads > 256)) {
      throw expected('invalid_option', 'Device.open: threads', 'a whole number from 1 to 256', threads)
    }
    const addon = binding()
    const common = { ...(threads !== undefined && { threads }), ...(isa !== undefined && { isa }) }
    const cuda = cudaOptions(options)
    try {
      const native = addon.createDevice({ ...common, ...cuda })
      return new Device(
        addon,
        native,
        cuda ? { precision: precisions[cuda.precision], limit: undefined } : { precision: 'f32', limit: memory },
      )
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
    this.#checkLimit('array', bytes)
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
    const before = this.#held()
    let loaded: Executable<Plan>
    try {
      loaded = this.#adopt(new Executable(this.#binding, program, this.#native.load(program.bytes)))
    } catch (failure) {
      throw fromNative(failure, 'load')
    }
    try {
      // What its kernels need is known once it is loaded: reserved, and handed out by the system when it is written to.
      this.#checkLimit('load', this.#held() - before, before)
      return loaded
    } catch (error) {
      loaded.dispose()
      throw error
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

  /** Bytes that arrays and programs may still take: what is free on the GPU or in the system, within the device's own limit. */
  get freeBytes(): number {
    const { freeBytes } = this.#native
    if (freeBytes >= 0) return freeBytes
    const free = freeMemory()
    return this.#limit === undefined ? free : Math.max(0, Math.min(free, this.#limit - this.#held()))
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

  #held(): number {
    const { arrayBytes, constantBytes, workspaceBytes } = this.memory()
    return arrayBytes + constantBytes + workspaceBytes
  }

  #checkLimit(what: string, bytes: number, held = this.#limit === undefined ? 0 : this.#held()): void {
    const limit = this.#limit
    if (limit === undefined || held + bytes <= limit) return
    const free = Math.max(0, limit - held)
    const todo = 'use a smaller batch or fewer images at a time'
    throw new AludelError('out_of_memory', `${what}: needs ${bytes} bytes, ${free} of ${limit} bytes of the memory limit are free; ${todo}`)
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
  const isCuda = asked === 'cuda' || (device === undefined && isGpu(isa))
  if (memory !== undefined && !(Number.isInteger(memory) && memory > 0 && memory <= mostBytes))
    throw expected('invalid_option', 'Device.open: memory', `bytes, a whole number from 1 to ${mostBytes}`, memory)
  if (!isCuda) {
    if (index !== undefined) throw new AludelError('invalid_option', "Device.open: index: goes with device 'cuda' only")
    if (precision !== undefined && precision !== 'f32')
      throw expected('invalid_option', 'Device.open: precision on the CPU', "'f32'", precision)
    return undefined
  }
  if (isa !== undefined && !isGpu(isa)) throw expected('invalid_option', "Device.open: isa of device 'cuda'", 'sm_N', isa)
  if (index !== undefined && !(Number.isInteger(index) && index >= 0 && index < 1024))
    throw expected('invalid_option', 'Device.open: index', 'a whole number from 0', index)
  const chosenPrecision = precision ?? process.env.ALUDEL_PRECISION ?? 'tf32'
  if (!(precisions as readonly string[]).includes(chosenPrecision))
    throw expected('invalid_option', 'Device.open: precision', "'f32', 'tf32x3', 'tf32' or 'bf16'", chosenPrecision)
  const libraries = process.env.ALUDEL_CUDA_LIBS || 'auto'
  if (!libraryUses.includes(libraries)) throw expected('invalid_option', 'ALUDEL_CUDA_LIBS', "'auto', 'off' or 'all'", libraries)
  const chosen = {
    cuda: true,
    precision: (precisions as readonly string[]).indexOf(chosenPrecision),
    libraries: libraryUses.indexOf(libraries),
  }
  return { ...chosen, ...(index !== undefined && { index }), ...(memory !== undefined && { memory }) }
}
