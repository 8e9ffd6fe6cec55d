/** @file Rank correlation of paired values, with ties. */

/** Ranks from 1; equal values share the mean of their ranks. */
export function ranks(values: readonly number[]): number[] {
  const order = values.map((_, i) => i).sort((a, b) => values[a] - values[b])
  const out = new Array<number>(values.length)
  for (let from = 0; from < order.length; ) {
    let to = from + 1
    while (to < order.length && values[order[to]] === values[order[from]]) to++
    for (let i = from; i < to; i++) out[order[i]] = (from + 1 + to) / 2
    from = to
  }
  return out
}

/** Spearman's rho: Pearson's correlation of the ranks. Null for fewer than two pairs, and where all values of a side are equal. */
export function spearman(a: readonly number[], b: readonly number[]): number | null {
  const [x, y] = [ranks(a), ranks(b)]
  const middle = (x.length + 1) / 2
  let [xy, xx, yy] = [0, 0, 0]
  for (let i = 0; i < x.length; i++) {
    const [dx, dy] = [x[i] - middle, y[i] - middle]
    xy += dx * dy
    xx += dx * dx
    yy += dy * dy
  }
  return xx === 0 || yy === 0 ? null : xy / Math.sqrt(xx * yy)
}

/** Kendall's tau-b: concordant less discordant pairs over the geometric mean of the pairs untied on each side. Null as for Spearman's rho. */
export function kendall(a: readonly number[], b: readonly number[]): number | null {
  let [balance, untiedA, untiedB] = [0, 0, 0]
  for (let i = 0; i < a.length; i++) {
    for (let j = i + 1; j < a.length; j++) {
      const [da, db] = [Math.sign(a[i] - a[j]), Math.sign(b[i] - b[j])]
      balance += da * db
      untiedA += Math.abs(da)
      untiedB += Math.abs(db)
    }
  }
  return untiedA === 0 || untiedB === 0 ? null : balance / Math.sqrt(untiedA * untiedB)
}

/**
 * 95 % interval of Spearman's rho of n pairs, by Fisher's transform with the variance (1 + rho²/2) / (n - 3) (Bonett and Wright 2000). Null
 * below four pairs, and for rho = ±1, where the transform has no value.
 */
export function spearmanInterval(rho: number | null, n: number): [number, number] | null {
  if (rho === null || n < 4 || Math.abs(rho) === 1) return null
  const margin = 1.959964 * Math.sqrt((1 + rho ** 2 / 2) / (n - 3))
  return [Math.tanh(Math.atanh(rho) - margin), Math.tanh(Math.atanh(rho) + margin)]
}

/** Places of the highest `share` of values, at least two; of equal ones the first. */
export function topPlaces(values: readonly number[], share: number): number[] {
  const count = Math.min(values.length, Math.max(2, Math.round(share * values.length)))
  return values
    .map((_, i) => i)
    .sort((a, b) => values[b] - values[a] || a - b)
    .slice(0, count)
}
