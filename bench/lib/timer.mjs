/** @file Timing: median, best and spread of repeated asynchronous work. */

/** The middle value (mean of the two middle ones for an even count). */
export function median(values) {
  const sorted = [...values].sort((a, b) => a - b)
  const middle = sorted.length >> 1
  return sorted.length % 2 === 1 ? sorted[middle] : (sorted[middle - 1] + sorted[middle]) / 2
}

/** Runs `work` untimed `warmup` times, then `iters` times; seconds of each, and the value of the last. */
export async function measure(work, { iters, warmup }) {
  for (let i = 0; i < warmup; i++) await work()
  const seconds = []
  let value
  for (let i = 0; i < iters; i++) {
    const start = performance.now()
    value = await work()
    seconds.push((performance.now() - start) / 1000)
  }
  return { seconds, value }
}

/** Significant digits for reports. */
export const round = (x, digits = 4) => Number(x.toPrecision(digits))
