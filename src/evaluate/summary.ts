/** @file Accuracies of several networks as one result: mean, deviation, confidence interval, classes. */
import type { EvaluationResult } from '../experiment/types.js'
import type { TestAccuracy } from './accuracy.js'

/** Quantiles 0.975 of Student's t for 1 to 30 degrees of freedom. */
const quantiles = [
  12.7062, 4.3027, 3.1824, 2.7764, 2.5706, 2.4469, 2.3646, 2.306, 2.2622, 2.2281, 2.201, 2.1788, 2.1604, 2.1448, 2.1314, 2.1199, 2.1098,
  2.1009, 2.093, 2.086, 2.0796, 2.0739, 2.0687, 2.0639, 2.0595, 2.0555, 2.0518, 2.0484, 2.0452, 2.0423,
]

/** Quantile 0.975 of Student's t; beyond the table the first two terms of Cornish and Fisher's expansion (exact to 1e-4). */
export function studentQuantile(degrees: number): number {
  const z = 1.959964
  return quantiles[degrees - 1] ?? z + (z ** 3 + z) / (4 * degrees) + (5 * z ** 5 + 16 * z ** 3 + 3 * z) / (96 * degrees ** 2)
}

/** Mean and population standard deviation, as the field reports them, and the mean's 95 % confidence interval from the sample's. */
export function summary(networks: readonly TestAccuracy[]): Omit<EvaluationResult, 'network'> {
  const values = networks.map(({ accuracy }) => accuracy)
  const n = values.length
  const mean = values.reduce((a, b) => a + b, 0) / n
  const squares = values.reduce((a, v) => a + (v - mean) ** 2, 0)
  const margin = n > 1 ? studentQuantile(n - 1) * Math.sqrt(squares / (n - 1) / n) : undefined
  return {
    mean,
    std: Math.sqrt(squares / n),
    n,
    values,
    interval: margin === undefined ? null : [mean - margin, mean + margin],
    perClass: networks[0].perClass.map((first, c) =>
      first === null ? null : networks.reduce((a, { perClass }) => a + (perClass[c] ?? 0), 0) / n,
    ),
  }
}
