/** @file The split of data whose layout has none: class by class, seeded, so that every class keeps its share on both sides. */
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { permutation } from '../engine/tensor/philox.js'
import { AludelError, expected } from '../errors.js'
import type { Split } from './dataset.js'

export interface HoldOut {
  /** Part of each class that is held out for testing, in (0, 1); default 0.2. */
  readonly holdout?: number
  /** Seed of the draw; default 0. */
  readonly splitSeed?: number
}

/**
 * Rows of `split`, ascending. Of a class with n images, those at the first m places of a random order are test images: m is n times the
 * part held out, rounded, at least 1 and at most n - 1; a class with one image has it in training. The order of class c depends on seed,
 * c and n alone. Throws `invalid_option`, and `invalid_data` when nothing is left to test on.
 */
export function holdOutRows(labels: Int32Array, classes: number, split: Split, { holdout = 0.2, splitSeed = 0 }: HoldOut): Int32Array {
  if (!(holdout > 0 && holdout < 1)) throw expected('invalid_option', 'holdout', 'a number between 0 and 1', holdout)
  const key = keyOf(splitSeed)
  const members = Array.from({ length: classes }, () => [] as number[])
  labels.forEach((label, row) => {
    members[label].push(row)
  })
  const chosen = members.flatMap((rows, c) => {
    const n = rows.length
    const held = n < 2 ? 0 : Math.min(n - 1, Math.max(1, Math.round(n * holdout)))
    const order = permutation(fold(key, 'hold-out', c), 0, purpose.shuffle, n)
    return Array.from(split === 'test' ? order.subarray(0, held) : order.subarray(held), (place) => rows[place])
  })
  if (chosen.length === 0) throw new AludelError('invalid_data', 'no class has two images: none can be held out for testing')
  return Int32Array.from(chosen).sort()
}

/**
 * Rows of `split` of `count` images without labels. Nothing is measured on them, so all of them train unless `holdout` says how many do not.
 * Throws as `holdOutRows`, and `not_found` for test images that are not held out.
 */
export function holdOutUnlabelled(what: string, count: number, split: Split, rule: HoldOut): Int32Array {
  if (rule.holdout !== undefined) return holdOutRows(new Int32Array(count), 1, split, rule)
  if (split === 'train') return Int32Array.from({ length: count }, (_, row) => row)
  const todo = 'say with holdout which part they are; measuring accuracies needs labels'
  throw new AludelError('not_found', `${what}: has no labels and no test images, and without labels none are held out; ${todo}`)
}
