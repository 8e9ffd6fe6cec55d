/** @file Order statistics of scores, and rank correlation between them. */

/** A sorted copy. */
export const sorted = (values: ArrayLike<number>): Float64Array => Float64Array.from(values).sort()

/** Quantile `q` of ascending values, between two of them by line; NaN of none. */
export function quantile(ascending: ArrayLike<number>, q: number): number {
  const place = q * (ascending.length - 1)
  const [below, above] = [ascending[Math.floor(place)], ascending[Math.ceil(place)]]
  return ascending.length === 0 ? Number.NaN : below + (above - below) * (place - Math.floor(place))
}

export const mean = (values: ArrayLike<number>): number => {
  let sum = 0
  for (let i = 0; i < values.length; i++) sum += values[i]
  return sum / values.length
}

/** Ranks from 1; equal values share the mean of theirs. */
export function ranks(values: ArrayLike<number>): Float64Array {
  const order = Uint32Array.from(values, (_, i) => i).sort((a, b) => values[a] - values[b])
  const result = new Float64Array(values.length)
  for (let start = 0; start < order.length; ) {
    let end = start + 1
    while (end < order.length && values[order[end]] === values[order[start]]) end++
    for (let i = start; i < end; i++) result[order[i]] = (start + 1 + end) / 2
    start = end
  }
  return result
}

/** Correlation of two lists of equal length; null where one of them is constant. Of ranks it is Spearman's. */
export function correlation(a: ArrayLike<number>, b: ArrayLike<number>): number | null {
  const [meanA, meanB] = [mean(a), mean(b)]
  let [ab, aa, bb] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    const [da, db] = [a[i] - meanA, b[i] - meanB]
    ab += da * db
    aa += da * da
    bb += db * db
  }
  return aa > 0 && bb > 0 ? ab / Math.sqrt(aa * bb) : null
}
