/** @file Whether what scored the images knows anything of them: an accuracy close to chance says that labels, classes or pixels are mixed up. */
import { AludelError } from '../errors.js'

/**
 * Accuracy in per cent at or below which a classifier counts as near chance: guessing the largest class, and a twentieth of what is left
 * above it, or twice as much where that is less (many classes). `counts` are images per class.
 */
export function chanceLimit(counts: ArrayLike<number>): number {
  const all = Array.from(counts)
  const chance = Math.max(...all) / all.reduce((a, b) => a + b, 0)
  return 100 * Math.min(2 * chance, chance + (1 - chance) / 20)
}

/** Throws `invalid_data` naming the accuracy where it is near chance. `todo` says what may be wrong. */
export function checkAboveChance(what: string, accuracy: number, counts: ArrayLike<number>, todo: string): void {
  const limit = chanceLimit(counts)
  if (accuracy > limit) return
  throw new AludelError(
    'invalid_data',
    `${what}: accuracy ${accuracy.toFixed(1)} % on the images it scores, where chance alone gives up to ${limit.toFixed(1)} %: ` +
      `its scores would say nothing; ${todo}`,
  )
}
