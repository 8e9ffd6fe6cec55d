/** @file Parts of scores put together, in order: places that could not be read are left out, and what is left gets its identity. */
import { filesHash } from '../../data/files-hash.js'
import type { Split } from '../../data/index.js'
import { AludelError } from '../../errors.js'
import { accuracyOf } from '../../evaluate/accuracy.js'
import type { ScoredData } from '../../prune/provenance.js'
import type { Matrix } from '../../scores/matrix.js'
import type { UnreadableImage } from '../score-directory.js'
import { hashBytes, type PartListing, type ScorePart } from './score-part.js'

/** The whole data that parts are of. */
export interface ScoredPlaces extends PartListing {
  readonly name: string
  readonly split: Split
  readonly classes: readonly string[]
  /** Content hash of a data set that was in memory. */
  readonly sha256?: string
  readonly filesSha256?: string
}

export interface Assembled {
  readonly data: ScoredData
  readonly labels: Int32Array
  /** By kind, one number for each image that could be read. */
  readonly scores: readonly Float64Array[]
  readonly features?: Matrix
  readonly logits?: Matrix
  readonly accuracy: number
  readonly perClass: readonly (number | null)[]
  readonly unreadable: readonly UnreadableImage[]
}

/** Puts parts that cover all places, in order, together. Throws `invalid_data` for a class of which no image could be read, `out_of_memory`. */
export async function assemble(places: ScoredPlaces, parts: AsyncIterable<ScorePart> | Iterable<ScorePart>): Promise<Assembled> {
  const { name, split, classes, labels, names } = places
  const total = labels.length
  const hashes = names ? new Uint8Array(total * hashBytes) : undefined
  const unreadable: UnreadableImage[] = []
  const left = { labels: new Int32Array(total), hits: new Uint8Array(total) }
  let scores: Float64Array[] = []
  let wide: { readonly features?: Wide; readonly logits?: Wide } = {}
  let next = 0
  for await (const part of parts) {
    if (scores.length === 0) {
      scores = part.scores.map(() => new Float64Array(total))
      const room = (given: Float32Array | undefined) => given && new Wide(total, given.length / part.rows)
      const [features, logits] = [room(part.features), room(part.logits)]
      wide = { ...(features && { features }), ...(logits && { logits }) }
    }
    unreadable.push(...part.unreadable)
    for (let i = 0; i < part.rows; i++) {
      if (part.readable[i] === 0) continue
      for (const [k, values] of scores.entries()) values[next] = part.scores[k][i]
      left.labels[next] = labels[part.first + i]
      left.hits[next] = part.hits[i]
      hashes?.set((part.hashes as Uint8Array).subarray(i * hashBytes, (i + 1) * hashBytes), (part.first + i) * hashBytes)
      wide.features?.set(next, part.features as Float32Array, i)
      wide.logits?.set(next, part.logits as Float32Array, i)
      next++
    }
  }
  const kept = left.labels.slice(0, next)
  const missing = new Set(unreadable.map(({ row }) => row))
  checkNoneEmptied(name, classes, kept, labels)
  const files = names
    ? await filesHash({ classes, names, labels }, (row) => (missing.has(row) ? undefined : hexAt(hashes as Uint8Array, row)))
    : places.filesSha256
  return {
    data: { name, split, sha256: places.sha256 ?? (files as string), samples: next, ...(files !== undefined && { files }) },
    labels: kept,
    scores: scores.map((values) => values.subarray(0, next)),
    ...(wide.features && { features: wide.features.matrix(next) }),
    ...(wide.logits && { logits: wide.logits.matrix(next) }),
    ...accuracyOf({ labels: kept, classes }, left.hits.subarray(0, next)),
    unreadable,
  }
}

const hexAt = (hashes: Uint8Array, row: number): string =>
  Buffer.from(hashes.buffer, hashes.byteOffset + row * hashBytes, hashBytes).toString('hex')

function checkNoneEmptied(name: string, classes: readonly string[], kept: Int32Array, all: Int32Array): void {
  const there = new Set(kept)
  const lost = all.find((label) => !there.has(label))
  if (lost === undefined) return
  throw new AludelError(
    'invalid_data',
    `${name}: not one image of class '${classes[lost]}' could be decoded; look at its files or take the class out`,
  )
}

/** Rows of float32 for every place. */
class Wide {
  readonly #data: Float32Array
  readonly #width: number

  constructor(rows: number, width: number) {
    this.#width = width
    try {
      this.#data = new Float32Array(rows * width)
    } catch (cause) {
      throw new AludelError('out_of_memory', `features: ${rows} rows of ${width} numbers need ${rows * width * 4} bytes`, { cause })
    }
  }

  set(row: number, from: Float32Array, at: number): void {
    this.#data.set(from.subarray(at * this.#width, (at + 1) * this.#width), row * this.#width)
  }

  matrix(rows: number): Matrix {
    return { data: this.#data.subarray(0, rows * this.#width), shape: [rows, this.#width] }
  }
}
