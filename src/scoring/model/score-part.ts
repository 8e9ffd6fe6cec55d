/** @file What is known of some images that follow one another, after a model has seen them: kept as one sealed file each, until all are joined. */
import { maxFileBytes, readWhole } from '../../data/file-bytes.js'
import type { Block } from '../../data/image-stream.js'
import { AludelError, expected } from '../../errors.js'
import { writeAtomic } from '../../files/atomic-file.js'
import { bytesOf, hashOfParts, piecesOf } from '../../files/pieces.js'
import { decodeSafetensors, encodeHeader, type SafeTensor } from '../../files/safetensors.js'
import type { UnreadableImage } from '../score-directory.js'

const format = 'aludel-score-part'
const version = '1'

/** Bytes of a SHA-256. */
export const hashBytes = 32

/** Results of places [first, first + rows). */
export interface ScorePart extends Block {
  /** One array of `rows` numbers for each kind, in the order of the record. */
  readonly scores: readonly Float64Array[]
  /** 1 where the image could be read; the other numbers of a place mean nothing otherwise. */
  readonly readable: Uint8Array
  /** 1 where the largest logit is that of the label. */
  readonly hits: Uint8Array
  /** [rows, 32]; only of files. */
  readonly hashes?: Uint8Array
  /** [rows, D], where features are kept. */
  readonly features?: Float32Array
  /** [rows, classes of the model], where features are asked for. */
  readonly logits?: Float32Array
  readonly unreadable: readonly UnreadableImage[]
}

/** The places themselves, which a shard carries so that shards can be joined without the data. */
export interface PartListing {
  readonly labels: Int32Array
  readonly names: readonly string[] | undefined
}

function tensorsOf(part: ScorePart, listing: PartListing | undefined): Map<string, SafeTensor> {
  const { rows, scores, readable, hits, hashes, features, logits } = part
  const all = new Float64Array(scores.length * rows)
  for (const [k, values] of scores.entries()) all.set(values, k * rows)
  const wide = (data: Float32Array): SafeTensor => ({ dtype: 'F32', shape: [rows, data.length / rows], data: bytesOf(data) })
  const names = listing?.names && new TextEncoder().encode(JSON.stringify(listing.names))
  return new Map<string, SafeTensor>([
    ['scores', { dtype: 'F64', shape: [scores.length, rows], data: bytesOf(all) }],
    ...(features ? [['features', wide(features)] as const] : []),
    ...(logits ? [['logits', wide(logits)] as const] : []),
    ...(listing ? [['labels', { dtype: 'I32', shape: [rows], data: bytesOf(listing.labels) }] as const] : []),
    ['readable', { dtype: 'U8', shape: [rows], data: readable }],
    ['hits', { dtype: 'U8', shape: [rows], data: hits }],
    ...(hashes ? [['hashes', { dtype: 'U8', shape: [rows, hashBytes], data: hashes }] as const] : []),
    ...(names ? [['names', { dtype: 'U8', shape: [names.length], data: names }] as const] : []),
  ])
}

const sealOf = (metadata: Readonly<Record<string, string>>, tensors: ReadonlyMap<string, SafeTensor>): Promise<string> =>
  hashOfParts(
    JSON.stringify(metadata),
    Array.from(tensors.values(), ({ data }) => data),
  )

/** Writes a part; `settings` is the hash of what it was computed with. Old or new, never half. Throws `io`. */
export async function writePart(path: string, part: ScorePart, settings: string, listing?: PartListing): Promise<void> {
  const tensors = tensorsOf(part, listing)
  const unreadable = JSON.stringify(part.unreadable)
  const metadata = { format, version, settings, first: String(part.first), unreadable }
  const header = encodeHeader(tensors, { ...metadata, sha256: await sealOf(metadata, tensors) })
  const bodies = [header, ...[...tensors.values()].map(({ data }) => data)]
  await writeAtomic(
    path,
    piecesOf(bodies),
    bodies.reduce((sum, { length }) => sum + length, 0),
  )
}

export interface StoredPart {
  readonly part: ScorePart
  readonly settings: string
  readonly listing?: PartListing
}

/** Reads what `writePart` wrote. Throws `not_found`, `invalid_data` for anything else and for any damage, `io`. */
export async function readPart(path: string): Promise<StoredPart> {
  const { tensors, metadata } = decodeSafetensors(path, await readWhole(path, maxFileBytes))
  if (metadata.format !== format || metadata.version !== version)
    throw expected('invalid_data', path, `a part of scores (format '${format}', version ${version})`, metadata.format)
  const { sha256, ...sealed } = metadata
  if ((await sealOf(sealed, tensors)) !== sha256)
    throw new AludelError('invalid_data', `${path}: expected sha256 ${sha256} of its content; it was changed or damaged`)
  // the seal holds: everything is as writePart wrote it
  const bytes = (name: string) => tensors.get(name)?.data.slice()
  const [kinds, rows] = (tensors.get('scores') as SafeTensor).shape
  const all = new Float64Array((bytes('scores') as Uint8Array).buffer)
  const [features, logits, hashes, labels, names] = ['features', 'logits', 'hashes', 'labels', 'names'].map(bytes)
  return {
    settings: metadata.settings,
    part: {
      ...{ first: Number(metadata.first), rows },
      scores: Array.from({ length: kinds }, (_, k) => all.slice(k * rows, (k + 1) * rows)),
      readable: bytes('readable') as Uint8Array,
      hits: bytes('hits') as Uint8Array,
      unreadable: JSON.parse(metadata.unreadable),
      ...(hashes && { hashes }),
      ...(features && { features: new Float32Array(features.buffer) }),
      ...(logits && { logits: new Float32Array(logits.buffer) }),
    },
    ...(labels && {
      listing: { labels: new Int32Array(labels.buffer), names: names && JSON.parse(new TextDecoder().decode(names)) },
    }),
  }
}

/** Parts that follow one another as one. */
export function joinParts(parts: readonly ScorePart[]): ScorePart {
  const [{ first, scores }] = parts
  const rows = parts.reduce((sum, part) => sum + part.rows, 0)
  const bytes = (of: (part: ScorePart) => Uint8Array | undefined) => joined(Uint8Array, parts.map(of))
  const floats = (of: (part: ScorePart) => Float32Array | undefined) => joined(Float32Array, parts.map(of))
  const [hashes, features, logits] = [bytes((p) => p.hashes), floats((p) => p.features), floats((p) => p.logits)]
  return {
    ...{ first, rows },
    scores: scores.map(
      (_, k) =>
        joined(
          Float64Array,
          parts.map((part) => part.scores[k]),
        ) as Float64Array,
    ),
    readable: bytes((p) => p.readable) as Uint8Array,
    hits: bytes((p) => p.hits) as Uint8Array,
    unreadable: parts.flatMap(({ unreadable }) => unreadable),
    ...(hashes && { hashes }),
    ...(features && { features }),
    ...(logits && { logits }),
  }
}

/** One array after the other; undefined where they are not there. */
function joined<T extends Uint8Array | Float32Array | Float64Array>(
  make: new (length: number) => T,
  arrays: readonly (T | undefined)[],
): T | undefined {
  if (arrays[0] === undefined) return undefined
  const all = new make(arrays.reduce((sum, array) => sum + (array as T).length, 0))
  let at = 0
  for (const array of arrays as readonly T[]) {
    all.set(array, at)
    at += array.length
  }
  return all
}
