/** @file Class-balanced minibatches of rows, addressed by (seed, purpose, step, class): no state, so a resumed run draws the same rows. */
import { keyOf } from '../engine/tensor/key.js'
import { philoxBlock } from '../engine/tensor/philox.js'
import { expected } from '../errors.js'
import type { Dataset } from './dataset.js'
import { checkLabelled } from './labels.js'

export interface SamplerOptions {
  readonly dataset: Pick<Dataset, 'classes' | 'classIndices'>
  /** Rows per class and step. */
  readonly perClass: number
  readonly seed: number | bigint
  /** Separates streams of draws that share a seed. */
  readonly purpose: number
}

export interface Sampler {
  /** Rows drawn of each class: `perClass`, or all of a smaller class. */
  readonly counts: Int32Array
  /** 1 for a drawn row, 0 for padding; [classes * perClass]. The same for every step. */
  readonly weights: Float32Array
  /**
   * Rows of the data set for a step, [classes * perClass]: class c fills its places from c * perClass on, without repetition, in random
   * order; places beyond its count repeat its first row and have weight 0.
   */
  draw(step: number): Int32Array
  /** Of `draw(step)` the places of classes [first, end). */
  drawClasses(step: number, first: number, end: number): Int32Array
}

/** Throws `invalid_option` for a bad count or seed, `invalid_data` when a class is empty or there are no labels. */
export function createSampler({ dataset, perClass, seed, purpose }: SamplerOptions): Sampler {
  if (!Number.isInteger(perClass) || perClass < 1) throw expected('invalid_option', 'perClass', 'a whole number >= 1', perClass)
  checkLabelled('a class-balanced sampler', dataset)
  const key = keyOf(seed)
  const classes = dataset.classes.length
  // scratch permutations, put back in order after every draw: a draw depends on nothing drawn before
  const pools = Array.from({ length: classes }, (_, c) => Int32Array.from(dataset.classIndices(c)))
  const empty = pools.findIndex((pool) => pool.length === 0)
  if (empty >= 0) throw expected('invalid_data', `class '${dataset.classes[empty]}'`, 'at least one image', 'none')
  const counts = Int32Array.from(pools, (pool) => Math.min(perClass, pool.length))
  const weights = Float32Array.from({ length: classes * perClass }, (_, i) => (i % perClass < counts[Math.floor(i / perClass)] ? 1 : 0))
  const words = new Uint32Array(Math.ceil(perClass / 4) * 4)
  function drawClasses(step: number, first: number, end: number): Int32Array {
    if (!Number.isInteger(step) || step < 0 || step >= 2 ** 32)
      throw expected('invalid_option', 'step', 'a whole number in [0, 2^32)', step)
    const rows = new Int32Array((end - first) * perClass)
    for (let c = first; c < end; c++) {
      // counter word 3 is never 0 here: the engine's own draws, which leave it 0, share no block with these
      for (let i = 0; i < counts[c]; i += 4) philoxBlock(key, i / 4, step, purpose, c + 1, words, i)
      const places = rows.subarray((c - first) * perClass, (c - first + 1) * perClass)
      drawWithoutReplacement(pools[c], counts[c], words, places)
      places.fill(places[0], counts[c])
    }
    return rows
  }
  return {
    counts,
    weights,
    draw: (step) => drawClasses(step, 0, classes),
    drawClasses,
  }
}

/** First `count` places of a Fisher-Yates shuffle of `pool`, which is left as it was. Bias per place is below pool.length / 2^32. */
function drawWithoutReplacement(pool: Int32Array, count: number, words: Uint32Array, out: Int32Array): void {
  const partners = new Int32Array(count)
  for (let i = 0; i < count; i++) {
    partners[i] = i + Math.floor((words[i] * (pool.length - i)) / 2 ** 32)
    swap(pool, i, partners[i])
    out[i] = pool[i]
  }
  for (let i = count - 1; i >= 0; i--) swap(pool, i, partners[i])
}

function swap(array: Int32Array, i: number, j: number): void {
  const held = array[i]
  array[i] = array[j]
  array[j] = held
}
