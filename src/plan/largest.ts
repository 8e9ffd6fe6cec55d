/** @file The largest value of a setting that fits: doubling up from one that does, halving the gap, then a look at larger ones. */
import { Turn } from '../event-loop.js'

/** As close as a plan needs to be: a share of the answer. */
const close = 1 / 20
/** Sizes that divide by it are cut into equal slices, which take least. */
const mostGranule = 16

/**
 * Largest whole number in [known, most] for which `fits` holds, given that it holds for `known`: within a twentieth where it fails from some
 * value on. Memory does not grow so evenly, since a size that is cut into equal slices takes less than some smaller ones: none of a ladder of
 * such sizes up to twice the answer fits. Each question builds programs; the event loop has its turns between.
 */
export async function largest(known: number, most: number, fits: (value: number) => boolean): Promise<number> {
  const turn = new Turn()
  const ask = async (value: number): Promise<boolean> => {
    await turn.breathe()
    return fits(value)
  }
  if (known >= most || (await ask(most))) return Math.max(known, most)
  let good = await gapClosed(known, most, ask)
  for (let above: number | undefined = good; above !== undefined; ) {
    good = above
    above = undefined
    for (const value of ladder(good, most)) {
      if (!(await ask(value))) continue
      above = value
      break
    }
  }
  return good
}

/** A value that fits beside one that does not. */
async function gapClosed(known: number, most: number, ask: (value: number) => Promise<boolean>): Promise<number> {
  let [good, bad] = [known, most]
  while (good * 2 < bad) {
    const next = good * 2
    if (!(await ask(next))) {
      bad = next
      break
    }
    good = next
  }
  while (bad - good > Math.max(1, good * close)) {
    const middle = Math.floor((good + bad) / 2)
    if (await ask(middle)) good = middle
    else bad = middle
  }
  return good
}

/** Sizes below `most` from twice `good` down to it, about a twentieth apart. */
function* ladder(good: number, most: number): Generator<number> {
  let last = most
  for (let value = Math.min(2 * good, most - 1); value > good; value = Math.min(value - 1, Math.floor(value * (1 - close)))) {
    const granule = Math.min(mostGranule, 2 ** Math.floor(Math.log2(Math.max(1, value * close))))
    const size = value - (value % granule)
    if (size > good && size < last) yield size
    last = size
  }
}
