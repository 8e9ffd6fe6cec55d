/** @file Real images of a step of FRePo, KIP and RFAD: as many of each class, or the next of shuffled passes over all of them. */
import type { Dataset } from '../../data/dataset.js'
import { createSampler } from '../../data/sampler.js'
import { fold, keyOf, purpose } from '../../engine/tensor/key.js'
import { permuting } from '../../engine/tensor/philox.js'
import { inTurns, Turn } from '../../event-loop.js'

/** Rows of a step. What a step draws follows from the seed and its number alone. */
export type LabelDraws = (step: number) => Promise<Int32Array>

type Rows = Pick<Dataset, 'classes' | 'classIndices' | 'shape'>

/** Images of a step: at most `wanted`; balanced draws take as many of each class, and no more than the smallest has. */
export function drawnRows({ classes, classIndices, shape }: Rows, wanted: number, draws: 'balanced' | 'shuffled'): number {
  if (draws === 'shuffled') return Math.min(wanted, shape[0])
  const smallest = Math.min(...classes.map((_, c) => classIndices(c).length))
  return classes.length * Math.min(Math.max(1, Math.floor(wanted / classes.length)), smallest)
}

/** Draws of `rows` images, a number of `drawnRows`. */
export function labelDraws(
  dataset: Rows,
  { rows, draws, seed }: { rows: number; draws: 'balanced' | 'shuffled'; seed: number },
): LabelDraws {
  if (draws === 'balanced') {
    const perClass = rows / dataset.classes.length
    const sampler = createSampler({ dataset, perClass, seed, purpose: purpose.realBatch })
    return async (step) => sampler.draw(step)
  }
  const total = dataset.shape[0]
  const key = fold(keyOf(seed), 'real-order')
  let order: { readonly pass: number; readonly rows: Int32Array } | undefined
  return async (step) => {
    const drawn = new Int32Array(rows)
    for (let i = 0; i < rows; ) {
      const place = step * rows + i
      const [pass, from] = [Math.floor(place / total), place % total]
      if (order?.pass !== pass) order = { pass, rows: await inTurns(permuting(key, pass, purpose.shuffle, total), new Turn()) }
      const part = order.rows.subarray(from, from + rows - i)
      drawn.set(part, i)
      i += part.length
    }
    return drawn
  }
}
