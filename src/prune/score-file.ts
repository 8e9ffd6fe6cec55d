/** @file Scores as safetensors: one F64 tensor, what it is in the header, and a hash over both. Doubles keep their bits. */
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { AludelError, expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'
import { checkFiniteInTurns, checkFiniteScores } from '../scores/score.js'
import {
  checkDescription,
  checkSameData,
  isPartOf,
  parseProvenance,
  type ScoreDescription,
  type ScoredData,
  scoredData,
} from './provenance.js'

const format = 'aludel-scores'
const version = '1'

export interface ScoreFile {
  readonly data: ScoredData
  readonly score: ScoreDescription
  /** One number per sample, in the data set's order. */
  readonly values: Float64Array
}

/** Scores of `data` with what they are. Throws `invalid_option`, `invalid_data` for another number than samples, `not_finite`. */
export function describeScores(data: Dataset | DatasetInput, values: ArrayLike<number>, score: ScoreDescription): ScoreFile {
  const what = 'describeScores'
  const dataset = asDataset(data)
  const [samples] = dataset.shape
  if (values?.length !== samples) throw expected('invalid_data', `${what}: values`, `${samples}, one for each sample`, values?.length)
  checkFiniteScores(`${what}: values`, values)
  return { data: scoredData(dataset), score: checkDescription(what, score), values: new Float64Array(values) }
}

/** The file's bytes. Equal scores, equal bytes. */
export async function encodeScores({ data, score, values }: ScoreFile): Promise<Uint8Array> {
  const about = JSON.stringify({ data, score })
  const tensor: SafeTensor = { dtype: 'F64', shape: [values.length], data: bytesOf(values) }
  return encodeSafetensors(new Map([['scores', tensor]]), { format, version, about, sha256: await hashOfParts(about, [tensor.data]) })
}

/** Parses and checks what `encodeScores` wrote. Throws `invalid_data` naming `path` for anything else and for any damage, `not_finite`. */
export async function decodeScores(path: string, bytes: Uint8Array): Promise<ScoreFile> {
  const { tensors, metadata } = decodeSafetensors(path, bytes)
  if (metadata.format !== format || metadata.version !== version)
    throw expected('invalid_data', path, `scores (format '${format}', version ${version})`, metadata.format)
  const { data, score } = parseProvenance(path, metadata.about ?? '')
  const tensor = tensors.get('scores')
  if (tensors.size !== 1 || tensor?.dtype !== 'F64' || tensor.shape.join() !== `${data.samples}`)
    throw expected('invalid_data', `${path}: tensor 'scores'`, `F64 [${data.samples}]`, `${tensor?.dtype} [${tensor?.shape}]`)
  if ((await hashOfParts(metadata.about, [tensor.data])) !== metadata.sha256)
    throw new AludelError('invalid_data', `${path}: expected sha256 ${metadata.sha256} of its content; it was changed or damaged`)
  const { buffer, byteOffset } = tensor.data
  const values = byteOffset % 8 === 0 ? new Float64Array(buffer, byteOffset, data.samples) : new Float64Array(tensor.data.slice().buffer)
  await checkFiniteInTurns(path, values)
  return { data, score, values }
}

/** Writes scores as one file; old or new, never half. Throws `not_finite`, `io`. */
export async function writeScores(path: string, scores: ScoreFile): Promise<void> {
  await checkFiniteInTurns('writeScores', scores.values)
  await writeAtomic(path, await encodeScores(scores))
}

/** Reads what `writeScores` wrote. Throws `not_found`, `invalid_data`, `io`. */
export const readScores = async (path: string): Promise<ScoreFile> =>
  decodeScores(path, await readWhole(path, maxFileBytes, 'give a file that writeScores wrote'))

/**
 * The values of `scores`, once `data` was found to be what they were computed of; of a part that a subset's file took of that, those of its
 * rows. Throws `incompatible` for other content.
 */
export function scoresOf(data: Dataset | DatasetInput, scores: ScoreFile): Float64Array {
  const dataset = asDataset(data)
  const { values } = scores
  const { part } = dataset
  if (part && isPartOf(part, scores.data)) return Float64Array.from(part.rows, (row) => values[row])
  checkSameData('scoresOf', scores.data, dataset)
  return values
}
