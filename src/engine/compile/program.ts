/** @file What the compiler hands to the runtime: encoded bytes, the arguments to bind, and the resolved plan (JSON-able). */

import type { Isa, Precision } from '../isa.js'
import type { Opcode } from '../ops/opcodes.js'
import type { DType } from '../tensor/dtype.js'
import type { Shape } from '../tensor/shape.js'

/** One buffer that a run binds. Its size is `max(slots, 1)` times the bytes of `shape`. */
export interface ProgramArgument {
  readonly name: string
  readonly dtype: DType
  readonly shape: Shape
  /** Ring slots addressed by the step index; 0 = the buffer holds one value. */
  readonly slots: number
  readonly role: 'input' | 'output' | 'inout'
}

/** One loop region as it was cut. */
export interface SlicePlan {
  readonly name: string
  /** Slices of the loop that run. */
  readonly count: number
  /** Rows of the batch in one slice. */
  readonly size: number
  readonly lanes: number
}

export interface AlgorithmPlan {
  readonly instruction: number
  readonly op: Opcode
  readonly shape: Shape
  readonly algorithm: 'direct' | 'winograd'
}

/** Everything the compiler decided, a pure function of the graph, the instruction set and the options; and what a device adds at loading. */
export interface Plan {
  readonly format: 1
  readonly isa: Isa
  /** Of a GPU only. */
  readonly precision?: Precision
  /** Of a loaded program on a GPU, where libraries compute a part of it: their versions, and what else their bits depend on. */
  readonly libraries?: string
  readonly arenaBytes: number
  readonly localBytesPerWorker: number
  readonly constantBytes: number
  readonly argumentBytes: number
  /** Floating-point operations of one run; loops count every slice. */
  readonly flops: number
  /** Bytes read and written by the instructions of one run. */
  readonly bytesMoved: number
  readonly instructions: number
  readonly slices: readonly SlicePlan[]
  readonly algorithms: readonly AlgorithmPlan[]
}

export interface Program {
  readonly bytes: Uint8Array
  readonly arguments: readonly ProgramArgument[]
  /** Argument of every input of the traced function (-1 for the step scalar) and of every output. */
  readonly inputArguments: readonly number[]
  readonly outputArguments: readonly number[]
  readonly plan: Plan
}

/** Ring addressing of one argument: slot = (step * mul + add) mod count; mul is 1 and add 0 when absent. */
export interface Slots {
  readonly count: number
  readonly mul?: number
  readonly add?: number
}

export interface CompileOptions {
  readonly isa?: Isa
  /** That of the device, for the plan: it is part of what bits depend on. Default 'f32'. */
  readonly precision?: Precision
  readonly winograd?: 'auto' | 'off'
  readonly slicing?: 'auto' | 'off' | { readonly rows: number }
  /** Most bytes that activations kept between two loop regions may take; above it they are computed again. */
  readonly memoryBudget?: number
  /**
   * Of a batch of so many rows only the rows [first, end) are wanted, and what else shares a slice with them: the loops over that batch run
   * these slices, at the places they have in the whole, and what the others would give is zeros.
   */
  readonly windows?: Readonly<Record<number, readonly [first: number, end: number]>>
  /** Output index -> index of the input whose buffer it overwrites. */
  readonly donate?: Readonly<Record<number, number>>
  readonly slots?: { readonly inputs?: Readonly<Record<number, Slots>>; readonly outputs?: Readonly<Record<number, Slots>> }
  /** Index of the u32 [1] input that the executor fills with the step; it is not an argument. */
  readonly stepInput?: number
  /** Names of the arguments, in their order: inputs without the step scalar, then outputs that are not donated. */
  readonly names?: readonly string[]
}
