/** @file A program loaded on a device, ready to be replayed. */
import { checkOptions, checkSignal } from '../../arguments.js'
import { AbortError, AludelError, expected } from '../../errors.js'
import type { DType } from '../tensor/dtype.js'
import { formatShape, type Shape } from '../tensor/shape.js'
import { DeviceArray } from './array.js'
import { fromNative } from './failure.js'
import type { NativeBinding, NativeMemory, NativeProgram } from './native-types.js'

/** What `device.load` needs to know of one argument. With slots > 0 the bound array has shape [slots, ...shape]. */
export interface LoadableArgument {
  readonly name?: string
  readonly dtype: DType
  readonly shape: Shape
  readonly slots?: number
}

/** An encoded program with its bindings' types, as the compiler makes it. */
export interface LoadableProgram<Plan = unknown> {
  readonly bytes: Uint8Array
  readonly arguments: readonly LoadableArgument[]
  readonly plan: Plan
}

export interface RunOptions {
  /** Aborting rejects with AbortError; a step either happened completely or not at all. */
  readonly signal?: AbortSignal
}

export interface RepeatOptions extends RunOptions {
  /** Step index of the first replay, 0..2^32-1 (default 0). */
  readonly startStep?: number
}

/** Made by `device.load`. Runs are queued: they execute in the order of the calls. */
export class Executable<Plan = unknown> {
  /** The compiler's, and `libraries` where some compute a part of it. */
  readonly plan: Plan
  readonly arguments: readonly LoadableArgument[]
  readonly memory: NativeMemory
  readonly #binding: NativeBinding
  #native: NativeProgram | undefined

  /** Internal: use `device.load`. */
  constructor(binding: NativeBinding, program: LoadableProgram<Plan>, native: NativeProgram) {
    this.#binding = binding
    this.#native = native
    const libraries = native.libraries()
    this.plan = libraries === '' ? program.plan : { ...program.plan, libraries }
    this.arguments = program.arguments
    this.memory = native.memory()
  }

  get disposed(): boolean {
    return this.#native === undefined
  }

  /** Runs the program once, as step 0. `args` are the arrays bound to the program's arguments, in order. */
  async run(args: readonly DeviceArray[], options: RunOptions = {}): Promise<void> {
    checkOptions('run', options, { signal: true })
    return this.#submit('run', 1, 0, args, options.signal)
  }

  /**
   * Runs the program `n` times with step indices startStep, startStep + 1, ... in one crossing into native code. Nothing is returned:
   * results are in the arrays. On AbortError the property `completed` of the error says how many replays took effect.
   */
  async repeat(n: number, args: readonly DeviceArray[], options: RepeatOptions = {}): Promise<void> {
    checkOptions('repeat', options, { signal: true, startStep: true })
    const { startStep = 0, signal } = options
    if (!Number.isSafeInteger(n) || n < 0 || n > 2 ** 32) throw expected('invalid_option', 'repeat: n', 'a whole number from 0 to 2^32', n)
    if (!Number.isSafeInteger(startStep) || startStep < 0 || startStep >= 2 ** 32) {
      throw expected('invalid_option', 'repeat: startStep', 'a whole number from 0 to 2^32 - 1', startStep)
    }
    return this.#submit('repeat', n, startStep, args, signal)
  }

  /** Frees the program; runs in flight finish first. Silent when done before. */
  dispose(): void {
    this.#native?.dispose()
    this.#native = undefined
  }

  async #submit(what: string, n: number, startStep: number, args: readonly DeviceArray[], signal: AbortSignal | undefined): Promise<void> {
    if (this.#native === undefined) throw new AludelError('disposed', `${what}: the executable was used after dispose`)
    this.#checkArguments(what, args)
    checkSignal(what, signal)
    if (signal?.aborted) throw Object.assign(new AbortError(signal.reason), { completed: 0 })
    const token = signal && new this.#binding.CancelToken()
    const abort = () => token?.cancel()
    signal?.addEventListener('abort', abort, { once: true })
    const site = new Error()
    try {
      await this.#native.run({ args: args.map((array) => array.native), n, startStep, ...(token && { token }) })
    } catch (failure) {
      const error = fromNative(failure, what, { site, ...(signal && { reason: signal.reason }) })
      const { completed } = failure as { completed?: number }
      throw error instanceof AbortError ? Object.assign(error, { completed: completed ?? 0 }) : error
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  #checkArguments(what: string, args: readonly DeviceArray[]): void {
    if (!Array.isArray(args) || args.length !== this.arguments.length) {
      throw expected('invalid_option', what, `${this.arguments.length} arrays`, Array.isArray(args) ? `${args.length}` : typeof args)
    }
    for (const [i, { name, dtype, shape, slots = 0 }] of this.arguments.entries()) {
      const array = args[i]
      const wanted = slots > 0 ? [slots, ...shape] : shape
      const label = `${what}: argument ${i}${name ? ` (${name})` : ''}`
      if (!(array instanceof DeviceArray)) throw expected('invalid_option', label, 'a DeviceArray', typeof array)
      if (array.dtype !== dtype) throw expected('invalid_dtype', label, dtype, array.dtype)
      if (formatShape(array.shape) !== formatShape(wanted))
        throw expected('invalid_shape', label, formatShape(wanted), formatShape(array.shape))
    }
  }
}
