/**
 * @file A classifier over a stream of images: blocks of a fixed grid are decoded ahead while ONNX Runtime computes one, and each becomes a part
 * of the scores. Which images share a block depends on their places alone, so no shard and no continuation changes a bit.
 */
import type { Block, ImageBlock, ImageStream } from '../../data/image-stream.js'
import { Turn } from '../../event-loop.js'
import type { OnnxClassifier } from '../../onnx/index.js'
import { type LogitScoreName, logitScores, readerOf } from '../../scores/logits.js'
import { rowsPerTurn } from '../../scores/matrix.js'
import type { ClassMap } from './class-map.js'
import { hashBytes, type ScorePart } from './score-part.js'

/** Most images and bytes of one block. */
const blockRows = 256
const blockBytes = 4 << 20

/** Images that the look at the whole takes before hours are spent. */
const probeImages = 128

/** Smallest positive float32: a probability that came as 0 is not smaller. */
const smallest = 2 ** -149

/** What the logits output holds: logits, or probabilities, of which logarithms are taken. */
export type OutputForm = 'logits' | 'probabilities'

/** Images of a block: a function of image size and of the model's own batch alone. */
export function blockSize([height, width, channels]: ImageStream['image'], batch: number | undefined): number {
  const most = Math.max(1, Math.min(blockRows, Math.floor(blockBytes / (height * width * channels))))
  return batch === undefined ? most : batch * Math.max(1, Math.floor(most / batch))
}

export interface ScorerOptions {
  readonly stream: ImageStream
  readonly classifier: OnnxClassifier
  readonly map: ClassMap
  readonly kinds: readonly LogitScoreName[]
  readonly form: OutputForm
  readonly keep: { readonly features: boolean; readonly logits: boolean }
  readonly signal?: AbortSignal
}

/** Parts of the given blocks, in their order; one block is decoded and scored while the next is in the model. */
export async function* scoreBlocks(options: ScorerOptions, blocks: Iterable<Block>): AsyncGenerator<ScorePart> {
  const { stream, signal } = options
  let before: Promise<ScorePart> | undefined
  for await (const block of stream.read({ blocks, ...(signal && { signal }) })) {
    const part = scoreBlock(options, block)
    // it is awaited one block later; until then nobody listens
    part.catch(() => undefined)
    if (before) yield await before
    before = part
  }
  if (before) yield await before
}

async function scoreBlock({ stream, classifier, map, kinds, form, keep }: ScorerOptions, block: ImageBlock): Promise<ScorePart> {
  const { first, rows, hashes, unreadable } = block
  const { logits: given, features } = await classifier.run(block.images, rows)
  const { width } = map
  const logits = form === 'logits' ? given : given.map((p) => Math.log(Math.max(p, smallest)))
  const readable = new Uint8Array(rows).fill(1)
  for (const { row } of unreadable) readable[row - first] = 0
  const labels = Int32Array.from({ length: rows }, (_, i) => map.outputs[stream.labels[first + i]])
  const featureNorms = features && normsOf(features, rows)
  const chosen = kinds.map((kind) => logitScores[kind])
  const batch = { logits: { data: logits, shape: [rows, width] as const }, labels, ...(featureNorms && { featureNorms }) }
  const read = readerOf(`images from ${first} on`, batch, chosen)
  const scores = kinds.map(() => new Float64Array(rows))
  const hits = new Uint8Array(rows)
  const turn = new Turn()
  const step = rowsPerTurn(width)
  for (let i = 0; i < rows; i++) {
    if (i % step === 0) await turn.breathe()
    if (readable[i] === 0) continue
    const sample = read(i)
    for (const [k, score] of chosen.entries()) scores[k][i] = score.of(sample)
    hits[i] = sample.best === labels[i] ? 1 : 0
  }
  return {
    ...{ first, rows, scores, readable, hits, unreadable },
    ...(hashes && { hashes: packed(hashes) }),
    ...(keep.features && features && { features }),
    ...(keep.logits && { logits }),
  }
}

function normsOf(features: Float32Array, rows: number): Float64Array {
  const width = features.length / rows
  return Float64Array.from({ length: rows }, (_, row) => {
    let squares = 0
    for (let i = row * width; i < (row + 1) * width; i++) squares += features[i] ** 2
    return Math.sqrt(squares)
  })
}

function packed(hashes: readonly (string | undefined)[]): Uint8Array {
  const bytes = new Uint8Array(hashes.length * hashBytes)
  for (const [i, hash] of hashes.entries()) if (hash !== undefined) bytes.set(Buffer.from(hash, 'hex'), i * hashBytes)
  return bytes
}

export interface Probe {
  readonly form: OutputForm
  readonly images: number
  /** Per cent. */
  readonly accuracy: number
}

/** A look at images from all over the data: what the outputs are, and whether the model knows anything of them. */
export async function probe({ stream, classifier, map, signal }: Omit<ScorerOptions, 'form'>): Promise<Probe> {
  const total = stream.labels.length
  const count = Math.min(probeImages, total)
  const places = Array.from({ length: count }, (_, i) => ({ first: Math.floor(((i + 0.5) * total) / count), rows: 1 }))
  const [height, width, channels] = stream.image
  const bytes = height * width * channels
  const block = blockSize(stream.image, classifier.batch)
  let form: OutputForm = 'probabilities'
  let [images, hits] = [0, 0]
  const waiting: ImageBlock[] = []
  const look = async () => {
    const all = new Uint8Array(waiting.length * bytes)
    for (const [i, one] of waiting.entries()) all.set(one.images, i * bytes)
    const { logits } = await classifier.run(all, waiting.length)
    for (const [i, { first }] of waiting.entries()) {
      const row = logits.subarray(i * map.width, (i + 1) * map.width)
      if (!areProbabilities(row)) form = 'logits'
      hits += row.indexOf(Math.max(...row)) === map.outputs[stream.labels[first]] ? 1 : 0
    }
    images += waiting.length
    waiting.length = 0
  }
  for await (const one of stream.read({ blocks: places, ...(signal && { signal }) })) {
    if (one.unreadable.length === 0) waiting.push(one)
    if (waiting.length === block) await look()
  }
  if (waiting.length > 0) await look()
  return { form: images > 0 ? form : 'logits', images, accuracy: images === 0 ? 0 : (100 * hits) / images }
}

/** Numbers >= 0 that add up to 1: of logits a coincidence that does not come twice. */
function areProbabilities(row: Float32Array): boolean {
  let sum = 0
  for (const value of row) {
    if (value < 0) return false
    sum += value
  }
  return Math.abs(sum - 1) < 1e-3
}
