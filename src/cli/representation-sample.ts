/** @file Keeps what the teacher says of real and synthetic images beside a run without labels, for its report. */
import type { Dataset } from '../data/dataset.js'
import { readPixels } from '../data/pixel-rows.js'
import { unitPixels } from '../data/unit-pixels.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { AludelError } from '../errors.js'
import { inPieces, inTurns, Turn } from '../event-loop.js'
import { writeRepresentationSample } from '../experiment/representation-sample.js'
import { displayedPixels, type RepresentationSet } from '../experiment/representation-set.js'
import { encodeChecked } from '../teachers/encode-checked.js'
import type { Teacher } from '../teachers/teacher.js'
import type { Output } from './output.js'

/** Images of each kind at most, and numbers of one kind. */
const mostImages = 2000
const mostNumbers = 2 ** 24
/** Fewer than this cost nothing. */
const leastImages = 100
/** Images of one call of the teacher. */
const batch = 128

export interface SampleJob {
  readonly set: RepresentationSet
  readonly train: Dataset
  readonly teacher: Teacher
  readonly output: Output
}

/**
 * Asks for about as many images as two steps of the run do, of each kind. A teacher that fails now costs the run its picture, not its end.
 */
export async function addRepresentationSample(dir: string, job: SampleJob): Promise<void> {
  try {
    await writeRepresentationSample(dir, await sampleOf(job))
  } catch (error) {
    if (!(error instanceof AludelError)) throw error
    job.output.notice(`the report has no picture of the teacher's representations: ${error.message}`)
  }
}

async function sampleOf(job: SampleJob) {
  const { set, train, teacher } = job
  const { images, shape, dim, config } = set
  const [, height, width, channels] = train.shape
  const asked = typeof config.realBatch === 'number' ? 2 * config.realBatch : 0
  const most = Math.min(mostImages, Math.max(1, Math.floor(mostNumbers / dim)), Math.max(leastImages, asked))
  const own = Math.min(shape[0], most)
  const pixels = height * width * channels
  const { start, real } = await chooseRows(job, own, most)
  const encode = async (bytes: (first: number, end: number) => Promise<Uint8Array> | Uint8Array, count: number) => {
    const out = new Float32Array(count * dim)
    for (let first = 0; first < count; first += batch) {
      const end = Math.min(first + batch, count)
      out.set(await encodeChecked(teacher, await unitPixels(await bytes(first, end)), end - first), first * dim)
    }
    return out
  }
  const ofReal = (rows: Int32Array) => encode((first, end) => readPixels(train, rows.subarray(first, end)), rows.length)
  const shown = displayedPixels({ ...set, images: images.subarray(0, own * pixels) })
  return {
    dim,
    real: await ofReal(real),
    start: await ofReal(start),
    images: await encode((first, end) => shown.subarray(first * pixels, end * pixels), own),
  }
}

/** Rows of `train`: those that the first `own` images started from, and at most `most` others, of all where there are too few. */
async function chooseRows({ set, train }: SampleJob, own: number, most: number): Promise<{ start: Int32Array; real: Int32Array }> {
  const { config, sourceIds } = set
  const total = train.shape[0]
  const turn = new Turn()
  const key = fold(keyOf(Number(config.seed ?? 0)), 'representation-sample')
  const order = await inTurns(permuting(key, 0, purpose.realBatch, total), turn)
  // the set numbers its rows in the data set that a subset was taken of
  const ids = train.part?.rows
  const started = new Set(sourceIds)
  const rowOf = new Map<number, number>()
  await inPieces(total, turn, (from, to) => {
    for (let row = from; row < to; row++) {
      const id = ids ? ids[row] : row
      if (started.has(id)) rowOf.set(id, row)
    }
  })
  const rows = new Set(rowOf.values())
  const others: number[] = []
  await inPieces(total, turn, (from, to) => {
    for (let i = from; i < to && others.length < most; i++) if (!rows.has(order[i])) others.push(order[i])
  })
  const enough = total - rows.size >= Math.min(leastImages, total / 2)
  return {
    start: Int32Array.from(sourceIds?.subarray(0, own) ?? [], (id) => rowOf.get(id) ?? 0),
    real: enough ? Int32Array.from(others) : order.slice(0, most),
  }
}
