/** @file The largest value of a setting that fits: doubling up from one that does, then halving the gap. */

/** Largest whole number in [known, most] for which `fits` holds, given that it holds for `known` and, once it fails, fails from there on. */
export function largest(known: number, most: number, fits: (value: number) => boolean): number {
  if (known >= most || fits(most)) return Math.max(known, most)
  let [good, bad] = [known, most]
  while (good * 2 < bad) {
    const next = good * 2
    if (!fits(next)) {
      bad = next
      break
    }
    good = next
  }
  // A twentieth of the answer is as close as a plan needs to be.
  while (bad - good > Math.max(1, good / 20)) {
    const middle = Math.floor((good + bad) / 2)
    if (fits(middle)) good = middle
    else bad = middle
  }
  return good
}
