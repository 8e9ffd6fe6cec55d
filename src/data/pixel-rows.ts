/** @file Pixels by row that are not in memory: a file of equal rows, read as rows are asked for and off the JavaScript thread. */
import { binding } from '../engine/runtime/binding.js'
import type { NativeError } from '../engine/runtime/native-types.js'
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'

export interface PixelRows {
  /** Bytes of all rows together. */
  readonly bytes: number
  /**
   * Pixels of the given rows, one after the other, in an array of their own; a row may be asked for twice. Rejects with `io` or
   * `invalid_data` naming the file, `invalid_index`, `out_of_memory`.
   */
  read(rows: Int32Array): Promise<Uint8Array>
}

/** The rows of the file `path`: `rows` times `rowBytes` bytes, no header. It is opened anew for every read. */
export function fileRows(path: string, rowBytes: number, rows: number): PixelRows {
  return {
    bytes: rows * rowBytes,
    async read(list) {
      try {
        return new Uint8Array(await binding().readRows({ path, rowBytes, rowsInFile: rows, rows: list }))
      } catch (failure) {
        throw readFailure(path, failure)
      }
    },
  }
}

/** Rows `index[i]` of `pixels` as rows i. */
export const chosenRows = (pixels: PixelRows, rowBytes: number, index: Int32Array): PixelRows => ({
  bytes: index.length * rowBytes,
  read: (rows) => pixels.read(rows.map((row) => index[row])),
})

const codes = {
  invalid_index: 'invalid_index',
  out_of_memory: 'out_of_memory',
  invalid_argument: 'invalid_data',
  unavailable: 'io',
} as const

function readFailure(path: string, failure: unknown): unknown {
  const { code, message } = (failure ?? {}) as Partial<NativeError>
  if (!(failure instanceof Error) || failure instanceof AludelError || code === undefined || !Object.hasOwn(codes, code)) return failure
  return new AludelError(codes[code as keyof typeof codes], `${path}: ${message}`, { cause: failure })
}

/** What a reader of rows needs of a data set. */
export interface RowsAndShape {
  readonly shape: readonly [number, number, number, number]
  readonly images: Uint8Array
  readonly pixels?: PixelRows
}

/** Bytes of the given rows, copied, wherever they are. */
export async function readPixels(dataset: RowsAndShape, rows: Int32Array): Promise<Uint8Array> {
  if (dataset.pixels) return dataset.pixels.read(rows)
  const [, h, w, c] = dataset.shape
  const bytes = h * w * c
  const read = new Uint8Array(rows.length * bytes)
  const turn = new Turn()
  for (const [i, row] of rows.entries()) {
    read.set(dataset.images.subarray(row * bytes, (row + 1) * bytes), i * bytes)
    await turn.breathe()
  }
  return read
}
