/** @file The error function in float64. */

/** Beyond this the complement is below half a unit of 1. */
const saturated = 6
/** Up to here the series, from here on the continued fraction of the complement: both then converge in some dozen terms. */
const seriesLimit = 2.5
const fractionTerms = 80

/** erf(x), right to a few units of the last place. */
export function erf(x: number): number {
  const a = Math.abs(x)
  // Also for NaN.
  if (!(a < seriesLimit)) return Math.sign(x) * (a >= saturated ? 1 : 1 - complement(a))
  // 2/sqrt(pi) exp(-x^2) sum of 2^n x^(2n+1) / (2n+1)!!: every term has the sign of x, so that nothing cancels.
  let term = x
  let total = x
  for (let n = 1; Math.abs(term) > 1e-17 * Math.abs(total); n++) {
    term *= (2 * x * x) / (2 * n + 1)
    total += term
  }
  return ((2 / Math.sqrt(Math.PI)) * total) / Math.exp(x * x)
}

/** 1 - erf(x) for x >= 2.5: exp(-x^2)/sqrt(pi) / (x + (1/2)/(x + 1/(x + (3/2)/(x + …)))). */
function complement(x: number): number {
  let tail = x
  for (let n = fractionTerms; n >= 1; n--) tail = x + n / 2 / tail
  return 1 / (Math.exp(x * x) * Math.sqrt(Math.PI) * tail)
}
