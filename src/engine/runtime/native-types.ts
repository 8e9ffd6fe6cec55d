/** @file The whole native surface, as native/addon defines it. Nothing else in the package describes the addon. */
import type { TypedArray } from '../tensor/dtype.js'

export interface NativeInfo {
  /** Instruction sets that this build holds and this processor supports, best first. */
  readonly isas: readonly string[]
  /** The one used when nothing is forced. */
  readonly isa: string
  readonly cores: number
  readonly opcodeHash: number
}

/** What the CUDA driver says, which takes a moment to ask. */
export interface CudaSurvey {
  readonly built: boolean
  /** Why no device can be opened; empty when one can. */
  readonly reason: string
  /** Newest CUDA version that the driver knows, and that of the toolkit this build was made with: 1000 major + 10 minor, 0 for none. */
  readonly driver: number
  readonly toolkit: number
  readonly devices: readonly { readonly name: string; readonly architecture: string; readonly bytes: number }[]
}

/** A library that a GPU is used with where it is found. `version` is empty where none can be used, `missing` then says why. */
export interface CudaLibrary {
  readonly name: string
  readonly version: string
  readonly missing: string
}

/** What native errors carry beside their message. */
export interface NativeError extends Error {
  readonly code:
    | 'invalid_program'
    | 'invalid_argument'
    | 'invalid_index'
    | 'out_of_memory'
    | 'cancelled'
    | 'unavailable'
    | 'device_lost'
    | 'internal'
    | 'disposed'
  readonly instruction?: number
  /** Runs only: replays whose effects are in the arrays. */
  readonly completed?: number
}

export interface NativeBuffer {
  /** Copies the bytes at the call; resolves when they are on the device. */
  write(offset: number, data: TypedArray): Promise<void>
  read(offset: number, bytes: number): Promise<ArrayBuffer>
  /** Same device, same size. */
  copyFrom(source: NativeBuffer): Promise<void>
  dispose(): void
}

export interface NativeCancelToken {
  cancel(): void
}

export interface NativeRun {
  readonly args: readonly NativeBuffer[]
  readonly n: number
  /** 0..2^32-1; the step index wraps there. */
  readonly startStep: number
  readonly token?: NativeCancelToken
}

/** Bytes for all of the device's threads. */
export interface NativeMemory {
  readonly arenaBytes: number
  readonly scratchBytes: number
  readonly localBytes: number
  readonly constantBytes: number
}

export interface NativeProgram {
  /** Resolves with the number of replays. */
  run(options: NativeRun): Promise<number>
  memory(): NativeMemory
  /** Libraries that compute a part of it, with what their bits depend on; empty: none does. */
  libraries(): string
  dispose(): void
}

export interface NativeHold {
  /** Resolves when everything submitted before has run; from then on the run thread waits for `release`. */
  readonly entered: Promise<void>
  release(): void
  readonly left: Promise<void>
}

export interface NativeDevice {
  readonly isa: string
  readonly threads: number
  /** Working memory shared by the loaded programs: the largest need among them. */
  readonly workspaceBytes: number
  /** What arrays and programs may still take, within the device's limit; -1 where they are in the system's memory. */
  readonly freeBytes: number
  buffer(bytes: number): NativeBuffer
  load(program: Uint8Array): NativeProgram
  hold(): NativeHold
  /** Values and eigenvectors (rows, over the matrix) of a symmetric float64 matrix [n, n]. */
  symmetricEigen(options: {
    readonly matrix: NativeBuffer
    readonly values: NativeBuffer
    readonly n: number
    readonly token?: NativeCancelToken
  }): Promise<void>
  /** Refuses new work, finishes what was submitted, disposes children. */
  close(): Promise<void>
}

export interface NativeDeviceOptions {
  threads?: number
  isa?: string
  /** The rest goes with true. */
  cuda?: boolean
  index?: number
  /** 0 f32, 1 tf32, 2 bf16, 3 tf32x3. */
  precision?: number
  /** 0 those products that the committed table names, 1 none, 2 all that a library can. */
  libraries?: number
  memory?: number
}

export interface NativeBinding {
  info(): NativeInfo
  surveyCuda(): CudaSurvey
  /** Loads what it finds, so that it takes a moment; empty in a build without CUDA. */
  surveyCudaLibraries(): CudaLibrary[]
  createDevice(options: NativeDeviceOptions): NativeDevice
  readonly CancelToken: new () => NativeCancelToken
  /**
   * Rows of a file of `rowsInFile` rows of `rowBytes` bytes, one after the other, read on a thread of Node's pool. Errors: invalid_index,
   * invalid_argument for a file of another size, unavailable for what the system refuses.
   */
  readRows(options: { path: string; rowBytes: number; rowsInFile: number; rows: Int32Array }): Promise<ArrayBuffer>
}
