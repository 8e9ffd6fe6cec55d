/**
 * @file Features and logits of every sample as one safetensors file, for rules that choose sets: F32 [N, D] and [N, C], with what scores
 * have in their headers. Written and read in pieces: neither size nor the event loop is a matter.
 */
import { createHash } from 'node:crypto'
import type { FileHandle } from 'node:fs/promises'
import { isRecord } from '../arguments.js'
import { allocate, fileSize, openForReading } from '../data/file-bytes.js'
import { AludelError, expected, onFile } from '../errors.js'
import { Turn } from '../event-loop.js'
import { writeAtomic } from '../files/atomic-file.js'
import { decodeHeader, encodeHeader, headerEnd, type SafeTensor } from '../files/safetensors.js'
import { isScoreDescription, isScoredData, type ScoreDescription, type ScoredData } from '../prune/provenance.js'
import { checkFiniteMatrix, type Matrix } from '../scores/matrix.js'

const format = 'aludel-features'
const version = '1'
const pieceBytes = 1 << 20

export interface FeatureFile {
  readonly data: ScoredData
  /** What made them; `name` is 'features'. */
  readonly score: ScoreDescription
  /** Inputs of the last linear layer, [N, D]. */
  readonly features: Matrix
  /** [N, C] */
  readonly logits: Matrix
}

const bytesOf = ({ data }: Matrix): Uint8Array => new Uint8Array(data.buffer, data.byteOffset, data.byteLength)

async function hashOf(about: string, parts: readonly Uint8Array[]): Promise<string> {
  const hash = createHash('sha256').update(about)
  const turn = new Turn()
  for (const part of parts) {
    for (let at = 0; at < part.length; at += pieceBytes) {
      hash.update(part.subarray(at, at + pieceBytes))
      await turn.breathe()
    }
  }
  return hash.digest('hex')
}

async function* pieces(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) for (let at = 0; at < part.length; at += pieceBytes) yield part.subarray(at, at + pieceBytes)
}

/** Writes features as one file; old or new, never half. Throws `not_finite`, `invalid_data` for numbers of rows that differ, `io`. */
export async function writeFeatures(path: string, { data, score, features, logits }: FeatureFile): Promise<void> {
  const matrices = { features, logits }
  const tensors = new Map<string, SafeTensor>()
  for (const [name, matrix] of Object.entries(matrices)) {
    await checkFiniteMatrix(`${path}: ${name}`, matrix)
    if (matrix.shape[0] !== data.samples) throw expected('invalid_data', `${path}: ${name}`, `${data.samples} rows`, matrix.shape[0])
    tensors.set(name, { dtype: matrix.data instanceof Float32Array ? 'F32' : 'F64', shape: matrix.shape, data: bytesOf(matrix) })
  }
  const about = JSON.stringify({ data, score })
  const parts = Object.values(matrices).map(bytesOf)
  const start = encodeHeader(tensors, { format, version, about, sha256: await hashOf(about, parts) })
  await writeAtomic(
    path,
    pieces([start, ...parts]),
    parts.reduce((sum, { length }) => sum + length, start.length),
  )
}

/** Reads what `writeFeatures` wrote. Throws `not_found`, `invalid_data` for anything else and for any damage, `out_of_memory`, `io`. */
export async function readFeatures(path: string): Promise<FeatureFile> {
  const size = await fileSize(path, 'features are written by: aludel score --features')
  return onFile(path, async () => {
    const handle = await openForReading(path)
    try {
      return await readFrom(path, handle, size)
    } finally {
      await handle.close()
    }
  })
}

async function readFrom(path: string, handle: FileHandle, size: number): Promise<FeatureFile> {
  const end = headerEnd(path, await readAt(path, handle, 0, Math.min(8, size)), size)
  const { tensors, metadata, dataStart } = decodeHeader(path, await readAt(path, handle, 0, end), size)
  if (metadata.format !== format || metadata.version !== version)
    throw expected('invalid_data', path, `features (format '${format}', version ${version})`, metadata.format)
  const { data, score } = parseAbout(path, metadata.about ?? '')
  const matrixOf = async (name: string): Promise<Matrix> => {
    const entry = tensors.get(name)
    const [rows, width] = entry?.shape ?? []
    const known = entry?.dtype === 'F32' || entry?.dtype === 'F64'
    if (!known || entry.shape.length !== 2 || rows !== data.samples || width < 1)
      throw expected('invalid_data', `${path}: tensor '${name}'`, `F32 [${data.samples}, width]`, `${entry?.dtype} [${entry?.shape}]`)
    const { buffer } = await readAt(path, handle, dataStart + entry.begin, entry.end - entry.begin)
    return { data: entry.dtype === 'F32' ? new Float32Array(buffer) : new Float64Array(buffer), shape: [rows, width] }
  }
  const [features, logits] = [await matrixOf('features'), await matrixOf('logits')]
  if ((await hashOf(metadata.about, [bytesOf(features), bytesOf(logits)])) !== metadata.sha256)
    throw new AludelError('invalid_data', `${path}: expected sha256 ${metadata.sha256} of its content; it was changed or damaged`)
  return { data, score, features, logits }
}

async function readAt(path: string, handle: FileHandle, position: number, length: number): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = allocate(path, length) as Uint8Array<ArrayBuffer>
  for (let done = 0; done < length; ) {
    const { bytesRead } = await handle.read(bytes, done, Math.min(pieceBytes, length - done), position + done)
    if (bytesRead === 0) throw new AludelError('invalid_data', `${path}: the file ends after ${position + done} bytes`)
    done += bytesRead
  }
  return bytes
}

function parseAbout(path: string, text: string): Pick<FeatureFile, 'data' | 'score'> {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: the header says nothing of the features that is JSON`, { cause })
  }
  const { data, score } = isRecord(value) ? value : {}
  if (!isScoredData(data) || !isScoreDescription(score))
    throw new AludelError('invalid_data', `${path}: expected data and score in the header: what was seen, and by what`)
  return { data, score }
}
