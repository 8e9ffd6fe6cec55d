/** @file What a teacher's representations of some images say without a label: their range, how they spread, and what pixels it saw. */
import { inPieces, Turn } from '../event-loop.js'
import type { Teacher } from './teacher.js'

export interface UnlabelledQuality {
  /** Smallest and largest element. */
  readonly range: readonly [number, number]
  /** Standard deviation over the images: mean over the dimensions, and the smallest and largest. */
  readonly std: { readonly mean: number; readonly least: number; readonly most: number }
  /** Dimensions that are the same for all images. */
  readonly constantDimensions: number
  /** sqrt(mean ||u - mean u||²) of the unit rows u: 0 when all representations point one way, 1 at most. */
  readonly spread: number
  /** Mean and standard deviation of the normalised pixels, over all channels. */
  readonly input: { readonly mean: number; readonly std: number }
}

/** Least spread, share of constant dimensions, scale of the elements, and moments of the input that pass without a warning. */
const limits = { spread: 0.02, constant: 0.5, most: 1e3, least: 1e-3, inputMean: 3, inputStd: [0.1, 10] } as const

/** Mean and deviation of raw pixels in [0, 1] once the teacher has normalised them. */
export class InputMoments {
  readonly #input: Pick<Teacher['input'], 'shape'> & Partial<Teacher['input']>
  #sum = 0
  #squares = 0
  #count = 0

  constructor(input: Pick<Teacher['input'], 'shape'> & Partial<Teacher['input']>) {
    this.#input = input
  }

  /** [n, H, W, C] */
  async add(pixels: Float32Array): Promise<void> {
    const { shape, mean = [], std = [] } = this.#input
    const channels = shape[2]
    await inPieces(pixels.length / channels, new Turn(), (from, to) => {
      for (let c = 0; c < channels; c++) {
        const [m, s] = [mean[c] ?? 0, std[c] ?? 1]
        for (let i = from; i < to; i++) {
          const x = (pixels[i * channels + c] - m) / s
          this.#sum += x
          this.#squares += x * x
        }
      }
    })
    this.#count += pixels.length
  }

  get result(): UnlabelledQuality['input'] {
    const mean = this.#sum / this.#count
    return { mean, std: Math.sqrt(Math.max(0, this.#squares / this.#count - mean * mean)) }
  }
}

/** Of representations [n, dim]. */
export async function spreadOf(features: Float32Array, dim: number): Promise<Omit<UnlabelledQuality, 'input'>> {
  const n = features.length / dim
  const turn = new Turn()
  const [mean, square, direction] = [new Float64Array(dim), new Float64Array(dim), new Float64Array(dim)]
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let directed = 0
  for (let i = 0; i < n; i++) {
    let norm = 0
    for (let d = 0; d < dim; d++) {
      const v = features[i * dim + d]
      mean[d] += v / n
      norm += v * v
      least = Math.min(least, v)
      most = Math.max(most, v)
    }
    directed += Number(norm > 0)
    if (norm > 0) for (let d = 0; d < dim; d++) direction[d] += features[i * dim + d] / (Math.sqrt(norm) * n)
    await turn.breathe()
  }
  await inPieces(features.length, turn, (from, to) => {
    for (let i = from; i < to; i++) square[i % dim] += (features[i] - mean[i % dim]) ** 2 / n
  })
  const std = square.map(Math.sqrt)
  const resultant = direction.reduce((total, v) => total + v * v, 0)
  const largest = std.reduce((a, b) => Math.max(a, b), 0)
  return {
    range: [least, most],
    std: { mean: std.reduce((a, b) => a + b, 0) / dim, least: std.reduce((a, b) => Math.min(a, b), largest), most: largest },
    constantDimensions: std.filter((s) => s <= 1e-6 * largest).length,
    // rows of zeros have no direction, and are as near to each other as can be
    spread: Math.sqrt(Math.max(0, directed / n - resultant)),
  }
}

/** What speaks against distilling from it, one sentence each. */
export function unlabelledWarnings({ range, std, constantDimensions, spread, input }: UnlabelledQuality, dim: number): string[] {
  const warnings: string[] = []
  // numbers have two directions, whatever they say
  if (dim > 1 && spread < limits.spread)
    warnings.push(
      `the representations of all images are nearly the same (spread ${spread.toPrecision(2)}): the teacher has collapsed, or sees pixels in another range than it was trained on`,
    )
  if (constantDimensions > limits.constant * dim) warnings.push(`${constantDimensions} of ${dim} dimensions are the same for all images`)
  const largest = Math.max(Math.abs(range[0]), Math.abs(range[1]))
  if (largest > limits.most || std.mean < limits.least)
    warnings.push(
      `the elements lie in [${range[0].toPrecision(3)}, ${range[1].toPrecision(3)}] with a standard deviation of ${std.mean.toPrecision(2)}: scale the targets when distilling`,
    )
  const [smallest, greatest] = limits.inputStd
  if (Math.abs(input.mean) > limits.inputMean || input.std < smallest || input.std > greatest)
    warnings.push(
      `normalised pixels have mean ${input.mean.toPrecision(2)} and standard deviation ${input.std.toPrecision(2)}: most models were trained with about 0 and 1; look at mean, std and scale`,
    )
  return warnings
}
