/**
 * @file Features and logits of every sample as one safetensors file, for rules that choose sets: F32 [N, D] and [N, C], with what scores
 * have in their headers. Written and read in pieces: neither size nor the event loop is a matter.
 */
import type { FileHandle } from 'node:fs/promises'
import { allocate, fileSize, openForReading } from '../data/file-bytes.js'
import { AludelError, expected, onFile } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { bytesOf, hashOfParts, piecesOf } from '../files/pieces.js'
import { decodeHeader, encodeHeader, headerEnd, type SafeTensor } from '../files/safetensors.js'
import { parseProvenance, type ScoreDescription, type ScoredData } from '../prune/provenance.js'
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

/** Writes features as one file; old or new, never half. Throws `not_finite`, `invalid_data` for numbers of rows that differ, `io`. */
export async function writeFeatures(path: string, { data, score, features, logits }: FeatureFile): Promise<void> {
  const matrices = { features, logits }
  const tensors = new Map<string, SafeTensor>()
  for (const [name, matrix] of Object.entries(matrices)) {
    await checkFiniteMatrix(`${path}: ${name}`, matrix)
    if (matrix.shape[0] !== data.samples) throw expected('invalid_data', `${path}: ${name}`, `${data.samples} rows`, matrix.shape[0])
    tensors.set(name, { dtype: matrix.data instanceof Float32Array ? 'F32' : 'F64', shape: matrix.shape, data: bytesOf(matrix.data) })
  }
  const about = JSON.stringify({ data, score })
  const parts = Object.values(matrices).map(({ data: own }) => bytesOf(own))
  const start = encodeHeader(tensors, { format, version, about, sha256: await hashOfParts(about, parts) })
  await writeAtomic(
    path,
    piecesOf([start, ...parts]),
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
  const { data, score } = parseProvenance(path, metadata.about ?? '')
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
  if ((await hashOfParts(metadata.about, [bytesOf(features.data), bytesOf(logits.data)])) !== metadata.sha256)
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
