/** @file The error measure of the golden vectors and their tolerances. */
import type { GoldenTensor } from './tensor.js'

export interface Check {
  readonly tensor: string
  /** max |actual - expected| / max |expected|; NaN when anything is not finite, Infinity when the sizes differ. */
  readonly error: number
  readonly tolerance: number
}

export type EngineName = 'f64' | 'f32'
/** 'exact': orders and sets; 'score': scores and what is made of distances; 'mean': means over runs and epochs. */
export type Quantity = 'loss' | 'gradient' | 'trajectory' | 'exact' | 'score' | 'mean'

/** As published beside the vectors: float64 interpreter, float32 product. */
export const tolerances: Readonly<Record<EngineName, Readonly<Record<Quantity, number>>>> = {
  f64: { loss: 1e-9, gradient: 1e-8, trajectory: 1e-10, exact: 0, score: 1e-10, mean: 1e-12 },
  f32: { loss: 1e-5, gradient: 1e-4, trajectory: 5e-5, exact: 0, score: 1e-4, mean: 1e-6 },
}

export const passes = ({ error, tolerance }: Check): boolean => error <= tolerance

/** Relative to the largest expected value; absolute when all of them are zero. */
export function scaledError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY
  let difference = 0
  let scale = 0
  for (let i = 0; i < expected.length; i++) {
    const d = Math.abs(actual[i] - expected[i])
    // Written so that NaN sticks: max() would do, a comparison would lose it.
    difference = Math.max(difference, d)
    scale = Math.max(scale, Math.abs(expected[i]))
  }
  return scale === 0 ? difference : difference / scale
}

/** A list of numbers as a tensor of one dimension. */
export const listTensor = (values: ArrayLike<number>): GoldenTensor => ({ shape: [values.length], data: Float64Array.from(values) })

/** Collects the checks of one case under one engine. */
export class CheckList {
  readonly checks: Check[] = []
  readonly engine: EngineName
  readonly #numbers: EngineName

  /** `numbers`: what the case is computed in, where the product does not take float32. */
  constructor(engine: EngineName, numbers = engine) {
    this.engine = engine
    this.#numbers = numbers
  }

  /** `quantity`: what the tensor is, or a tolerance that the case brings. */
  add(tensor: string, quantity: Quantity | number, actual: GoldenTensor, expected: GoldenTensor): void {
    this.checks.push({
      tensor: `${tensor}[${this.engine}]`,
      error: scaledError(actual.data, expected.data),
      tolerance: typeof quantity === 'number' ? quantity : tolerances[this.#numbers][quantity],
    })
  }
}
