/** @file IDX files (the MNIST family): big-endian header, unsigned bytes, plain or gzip. */
import { invalidFile, maxFileBytes, readFramed } from './file-bytes.js'

/** Type code of unsigned bytes, the only one these data sets use. */
const unsignedByte = 0x08

export interface IdxArray {
  readonly shape: readonly number[]
  readonly data: Uint8Array
}

/** Dimensions from an IDX header of `rank` dimensions. */
function parseHeader(path: string, header: Uint8Array, rank: number): number[] {
  const view = new DataView(header.buffer, header.byteOffset, header.byteLength)
  const magic = view.getUint32(0)
  const wanted = (unsignedByte << 8) | rank
  if (magic !== wanted) {
    throw invalidFile(path, `expected IDX magic ${hex(wanted)} (${rank}-dimensional unsigned bytes) but received ${hex(magic)}`)
  }
  const shape = Array.from({ length: rank }, (_, i) => view.getUint32(4 + 4 * i))
  const bytes = shape.reduce((product, d) => product * d, 1)
  if (shape.some((d) => d < 1) || bytes > maxFileBytes) {
    throw invalidFile(path, `expected dimensions >= 1 and at most ${maxFileBytes} bytes in all but the header says [${shape.join(', ')}]`)
  }
  return shape
}

const hex = (value: number): string => `0x${value.toString(16).padStart(8, '0')}`

/** Reads an IDX file of unsigned bytes with exactly `rank` dimensions. */
export async function readIdx(path: string, rank: number): Promise<IdxArray> {
  const headerBytes = 4 + 4 * rank
  let shape: number[] = []
  const bytes = await readFramed(path, {
    headerBytes,
    totalBytes(header) {
      shape = parseHeader(path, header, rank)
      return headerBytes + shape.reduce((product, d) => product * d, 1)
    },
  })
  return { shape, data: bytes.subarray(headerBytes) }
}
