/** @file safetensors: u64 header length, JSON header, tensors without gaps. Reading trusts nothing the header says before checking it. */
import { isRecord, shownJson } from '../arguments.js'
import { AludelError, expected } from '../errors.js'

const elementBytes = { F64: 8, F32: 4, F16: 2, BF16: 2, I64: 8, I32: 4, I16: 2, I8: 1, U64: 8, U32: 4, U16: 2, U8: 1, BOOL: 1 } as const

export type SafetensorsDType = keyof typeof elementBytes

export interface SafeTensor {
  readonly dtype: SafetensorsDType
  readonly shape: readonly number[]
  /** Little-endian elements. */
  readonly data: Uint8Array
}

export interface SafetensorsFile {
  readonly tensors: ReadonlyMap<string, SafeTensor>
  /** The optional text map of the header. */
  readonly metadata: Readonly<Record<string, string>>
}

/** The format's own limit on the header. */
export const maxHeaderBytes = 100_000_000
const prefixBytes = 8

/** Throws `invalid_option` unless `tensors` is a map of names to dtype, shape and bytes. */
function checkEntries(tensors: ReadonlyMap<string, SafeTensor>): void {
  if (!(tensors instanceof Map)) throw expected('invalid_option', 'safetensors', 'a Map of tensors by name', tensors)
  for (const [name, tensor] of tensors as ReadonlyMap<unknown, unknown>) {
    const { dtype, shape, data } = isRecord(tensor) ? tensor : {}
    const isShape = Array.isArray(shape) && [...shape].every((size) => Number.isSafeInteger(size) && size >= 0)
    const whole = typeof name === 'string' && typeof dtype === 'string' && Object.hasOwn(elementBytes, dtype) && isShape
    if (whole && data instanceof Uint8Array) continue
    const wanted = `dtype (one of ${Object.keys(elementBytes).join(', ')}), shape and data as Uint8Array`
    throw expected('invalid_option', `safetensors: tensor '${String(name)}'`, wanted, tensor)
  }
}

/** What stands before the data: length and header, padded so that data starts at a multiple of 8. Equal input, equal bytes. */
export function encodeHeader(tensors: ReadonlyMap<string, SafeTensor>, metadata?: Readonly<Record<string, string>>): Uint8Array {
  checkEntries(tensors)
  const header: [string, unknown][] = metadata ? [['__metadata__', metadata]] : []
  let end = 0
  for (const [name, { dtype, shape, data }] of tensors) {
    const begin = end
    end += data.length
    const bytes = byteSize(dtype, shape)
    if (bytes !== data.length)
      throw new AludelError('invalid_data', `tensor '${name}': expected ${bytes} bytes but received ${data.length}`)
    header.push([name, { dtype, shape, data_offsets: [begin, end] }])
  }
  const json = new TextEncoder().encode(JSON.stringify(Object.fromEntries(header)))
  const headerBytes = Math.ceil(json.length / 8) * 8
  const start = new Uint8Array(prefixBytes + headerBytes).fill(0x20, prefixBytes)
  new DataView(start.buffer).setBigUint64(0, BigInt(headerBytes), true)
  start.set(json, prefixBytes)
  return start
}

/** The file's bytes: header, then tensors in the given order. Equal input, equal bytes. */
export function encodeSafetensors(tensors: ReadonlyMap<string, SafeTensor>, metadata?: Readonly<Record<string, string>>): Uint8Array {
  const start = encodeHeader(tensors, metadata)
  const parts = [...tensors.values()].map(({ data }) => data)
  const file = new Uint8Array(parts.reduce((bytes, { length }) => bytes + length, start.length))
  let offset = 0
  for (const part of [start, ...parts]) {
    file.set(part, offset)
    offset += part.length
  }
  return file
}

/** Where the tensors of a file lie, in bytes after its header. */
export interface SafetensorsHeader {
  readonly tensors: ReadonlyMap<
    string,
    { readonly dtype: SafetensorsDType; readonly shape: readonly number[]; readonly begin: number; readonly end: number }
  >
  readonly metadata: Readonly<Record<string, string>>
  /** First byte after the header. */
  readonly dataStart: number
}

/** Bytes of length and header together, as the first eight bytes say; checked against the size of the file. */
export function headerEnd(path: string, start: Uint8Array, fileBytes: number): number {
  const bad = complaint(path)
  if (start.length < prefixBytes) throw bad(`expected at least ${prefixBytes} bytes but the file has ${fileBytes}`)
  const headerBytes = new DataView(start.buffer, start.byteOffset, start.byteLength).getBigUint64(0, true)
  if (headerBytes > BigInt(maxHeaderBytes)) throw bad(`the header announces ${headerBytes} bytes, more than the limit of ${maxHeaderBytes}`)
  const end = prefixBytes + Number(headerBytes)
  if (end > fileBytes) throw bad(`the header announces ${headerBytes} bytes but the file has ${fileBytes} in all`)
  return end
}

/** Parses and checks length and header of a file of `fileBytes`. Throws `invalid_data` for any header that does not fit the bytes exactly. */
export function decodeHeader(path: string, start: Uint8Array, fileBytes: number): SafetensorsHeader {
  const bad = complaint(path)
  const dataStart = start.length
  const bodyBytes = fileBytes - dataStart
  const tensors = new Map<string, { dtype: SafetensorsDType; shape: number[]; begin: number; end: number }>()
  let metadata: Record<string, string> = {}
  for (const [name, entry] of Object.entries(parseHeader(start.subarray(prefixBytes), bad))) {
    if (name === '__metadata__') metadata = checkMetadata(entry, bad)
    else tensors.set(name, checkEntry(shortened(name), entry, bodyBytes, bad))
  }
  checkCoverage(
    Array.from(tensors, ([name, { begin, end }]) => ({ name: shortened(name), begin, end })),
    bodyBytes,
    bad,
  )
  return { tensors, metadata, dataStart }
}

/** Tensors as views of `file`. Throws `invalid_data` naming `path` for any header that does not fit the bytes exactly. */
export function decodeSafetensors(path: string, file: Uint8Array): SafetensorsFile {
  if (!(file instanceof Uint8Array)) throw complaint(path)('expected its bytes as a Uint8Array')
  const { tensors, metadata, dataStart } = decodeHeader(path, file.subarray(0, headerEnd(path, file, file.length)), file.length)
  const body = file.subarray(dataStart)
  const views = Array.from(
    tensors,
    ([name, { dtype, shape, begin, end }]) => [name, { dtype, shape, data: body.subarray(begin, end) }] as const,
  )
  return { tensors: new Map(views), metadata }
}

type Bad = (what: string) => AludelError

const complaint =
  (path: string): Bad =>
  (what) =>
    new AludelError('invalid_data', `${path}: not a valid safetensors file: ${what}`)

function parseHeader(bytes: Uint8Array, bad: Bad): Record<string, unknown> {
  let header: unknown
  try {
    header = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes))
  } catch (cause) {
    throw bad(`the header is not JSON (${(cause as Error).message})`)
  }
  if (typeof header !== 'object' || header === null || Array.isArray(header)) throw bad('the header is not an object')
  return header as Record<string, unknown>
}

function checkMetadata(entry: unknown, bad: Bad): Record<string, string> {
  const isMap = typeof entry === 'object' && entry !== null && Object.values(entry).every((value) => typeof value === 'string')
  if (!isMap) throw bad('__metadata__ is not a map of text')
  return entry as Record<string, string>
}

/** A name as errors show it: a header may hold one of a hundred megabytes. */
const shortened = (name: string): string => (name.length > 80 ? `${name.slice(0, 80)}…` : name)

const isWholeNumbers = (value: unknown): value is number[] => Array.isArray(value) && value.every((n) => Number.isSafeInteger(n) && n >= 0)

function checkEntry(name: string, entry: unknown, dataBytes: number, bad: Bad) {
  const { dtype, shape, data_offsets: offsets } = (typeof entry === 'object' && entry !== null ? entry : {}) as Record<string, unknown>
  if (typeof dtype !== 'string' || !Object.hasOwn(elementBytes, dtype)) throw bad(`tensor '${name}' has unknown dtype ${shownJson(dtype)}`)
  if (!isWholeNumbers(shape)) throw bad(`tensor '${name}' has shape ${shownJson(shape)}`)
  if (!isWholeNumbers(offsets) || offsets.length !== 2) throw bad(`tensor '${name}' has data_offsets ${shownJson(offsets)}`)
  const [begin, end] = offsets
  if (begin > end || end > dataBytes) throw bad(`tensor '${name}' claims bytes ${begin} to ${end} of ${dataBytes}`)
  const bytes = byteSize(dtype as SafetensorsDType, shape)
  if (bytes !== end - begin) throw bad(`tensor '${name}' needs ${bytes} bytes for ${dtype} [${shape.join(', ')}] but claims ${end - begin}`)
  return { dtype: dtype as SafetensorsDType, shape, begin, end }
}

/** Tensors must lie one after the other without gap or overlap, and fill the file. */
function checkCoverage(ranges: { name: string; begin: number; end: number }[], dataBytes: number, bad: Bad): void {
  ranges.sort((a, b) => a.begin - b.begin || a.end - b.end)
  let position = 0
  for (const { name, begin, end } of ranges) {
    if (begin !== position) throw bad(`tensor '${name}' starts at byte ${begin} but the one before it ends at ${position}`)
    position = end
  }
  if (position !== dataBytes) throw bad(`tensors end at byte ${position} but the data has ${dataBytes}`)
}

const byteSize = (dtype: SafetensorsDType, shape: readonly number[]): number => shape.reduce((n, d) => n * d, elementBytes[dtype])
