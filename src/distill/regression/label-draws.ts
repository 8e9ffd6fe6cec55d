/** @file Real images of a step of FRePo, KIP and RFAD: as many of each class, or the next of shuffled passes over all of them. */
import type { Dataset } from '../../data/dataset.js'
import { createSampler } from '../../data/sampler.js'
import { fold, keyOf, purpose } from '../../engine/tensor/key.js'
import { permuting } from '../../engine/tensor/philox.js'
import { inPieces, inTurns, Turn } from '../../event-loop.js'
import { type HeldOut, rowsBeside } from './held-out.js'

/** Rows of a step. What a step draws follows from the seed and its number alone. */
export type LabelDraws = (step: number) => Promise<Int32Array>

type Rows = Pick<Dataset, 'classes' | 'classIndices' | 'shape'>

interface DrawOptions {
  readonly rows: number
  readonly draws: 'balanced' | 'shuffled'
  readonly seed: number
  /** Rows that are never drawn. */
  readonly held?: HeldOut | undefined
}

/** Images of a step: at most `wanted`; balanced draws take as many of each class, and no more than the smallest has. */
export function drawnRows({ classes, classIndices, shape }: Rows, wanted: number, draws: 'balanced' | 'shuffled'): number {
  if (draws === 'shuffled') return Math.min(wanted, shape[0])
  const smallest = Math.min(...classes.map((_, c) => classIndices(c).length))
  return classes.length * Math.min(Math.max(1, Math.floor(wanted / classes.length)), smallest)
}

/** Draws of `rows` images, a number of `drawnRows` of those that are not held out. */
export function labelDraws(dataset: Rows, { rows, draws, seed, held }: DrawOptions): LabelDraws {
  if (draws === 'balanced') {
    const perClass = rows / dataset.classes.length
    const sampler = createSampler({ dataset: held ? rowsBeside(dataset, held) : dataset, perClass, seed, purpose: purpose.realBatch })
    return async (step) => sampler.draw(step)
  }
  const all = dataset.shape[0]
  const total = all - (held?.rows.length ?? 0)
  const key = fold(keyOf(seed), 'real-order')
  let order: { readonly pass: number; readonly rows: Int32Array } | undefined
  return async (step) => {
    const drawn = new Int32Array(rows)
    for (let i = 0; i < rows; ) {
      const place = step * rows + i
      const [pass, from] = [Math.floor(place / total), place % total]
      if (order?.pass !== pass)
        order = { pass, rows: await drawable(await inTurns(permuting(key, pass, purpose.shuffle, all), new Turn()), held) }
      const part = order.rows.subarray(from, from + rows - i)
      drawn.set(part, i)
      i += part.length
    }
    return drawn
  }
}

/** The rows of an order that are not held out. */
async function drawable(order: Int32Array, held: HeldOut | undefined): Promise<Int32Array> {
  if (!held) return order
  let count = 0
  await inPieces(order.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) if (held.mask[order[i]] === 0) order[count++] = order[i]
  })
  return order.subarray(0, count)
}
