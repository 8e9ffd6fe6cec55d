/** @file A linear classifier on representations in closed form: how well they tell the classes of images apart that it has not seen. */
import { AludelError } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'

export interface ProbeRows {
  /** [rows, dim] */
  readonly features: Float32Array
  readonly labels: Int32Array
}

export interface ProbeResult {
  /** Per cent of the held-out rows. */
  readonly accuracy: number
  /** Per cent that the most frequent class of the held-out rows would give. */
  readonly chance: number
}

/** Of the ridge, as a share of the mean of the Gram matrix' diagonal. */
const ridge = 1e-3
const leastStd = 1e-8

/** Ridge regression on centred one-hot labels of standardised features, float64; solved in the smaller of rows and dimensions. */
export async function linearProbe(train: ProbeRows, held: ProbeRows, dim: number, classes: number): Promise<ProbeResult> {
  const turn = new Turn()
  const { mean, scale } = await standardisation(train.features, dim, turn)
  const x = await standardised(train.features, mean, scale, turn)
  const y = await standardised(held.features, mean, scale, turn)
  const n = train.labels.length
  // features are centred, so the intercept is the share of each class
  const shares = new Float64Array(classes)
  for (const label of train.labels) shares[label] += 1 / n
  const targets = new Float64Array(n * classes)
  for (let i = 0; i < n; i++) {
    for (let c = 0; c < classes; c++) targets[i * classes + c] = Number(c === train.labels[i]) - shares[c]
    await turn.breathe()
  }
  const weights = dim <= n ? await primal(x, targets, { n, dim, classes }, turn) : await dual(x, targets, { n, dim, classes }, turn)
  let right = 0
  const counts = new Int32Array(classes)
  for (let i = 0; i < held.labels.length; i++) {
    let [best, most] = [0, Number.NEGATIVE_INFINITY]
    for (let c = 0; c < classes; c++) {
      let score = shares[c]
      for (let d = 0; d < dim; d++) score += y[i * dim + d] * weights[d * classes + c]
      if (score > most) [best, most] = [c, score]
    }
    right += Number(best === held.labels[i])
    counts[held.labels[i]]++
    await turn.breathe()
  }
  const percent = (count: number) => (100 * count) / held.labels.length
  return { accuracy: percent(right), chance: percent(Math.max(...counts)) }
}

interface Sizes {
  readonly n: number
  readonly dim: number
  readonly classes: number
}

async function standardisation(features: Float32Array, dim: number, turn: Turn) {
  const n = features.length / dim
  const [mean, square] = [new Float64Array(dim), new Float64Array(dim)]
  await inPieces(features.length, turn, (from, to) => {
    for (let i = from; i < to; i++) mean[i % dim] += features[i] / n
  })
  await inPieces(features.length, turn, (from, to) => {
    for (let i = from; i < to; i++) square[i % dim] += (features[i] - mean[i % dim]) ** 2 / n
  })
  return { mean, scale: square.map((s) => (s > leastStd ** 2 ? 1 / Math.sqrt(s) : 0)) }
}

async function standardised(features: Float32Array, mean: Float64Array, scale: Float64Array, turn: Turn): Promise<Float64Array> {
  const dim = mean.length
  const rows = new Float64Array(features.length)
  await inPieces(rows.length, turn, (from, to) => {
    for (let i = from; i < to; i++) rows[i] = (features[i] - mean[i % dim]) * scale[i % dim]
  })
  return rows
}

/** (xᵀx + λ) w = xᵀt */
async function primal(x: Float64Array, targets: Float64Array, { n, dim, classes }: Sizes, turn: Turn): Promise<Float64Array> {
  const gram = new Float64Array(dim * dim)
  const weights = new Float64Array(dim * classes)
  for (let i = 0; i < n; i++) {
    for (let a = 0; a < dim; a++) {
      const v = x[i * dim + a]
      if (v === 0) continue
      for (let b = 0; b <= a; b++) gram[a * dim + b] += v * x[i * dim + b]
      for (let c = 0; c < classes; c++) weights[a * classes + c] += v * targets[i * classes + c]
    }
    await turn.breathe()
  }
  await solve(gram, weights, dim, classes, turn)
  return weights
}

/** w = xᵀ (x xᵀ + λ)⁻¹ t */
async function dual(x: Float64Array, targets: Float64Array, { n, dim, classes }: Sizes, turn: Turn): Promise<Float64Array> {
  const gram = new Float64Array(n * n)
  for (let i = 0; i < n; i++) {
    for (let j = 0; j <= i; j++) {
      let total = 0
      for (let d = 0; d < dim; d++) total += x[i * dim + d] * x[j * dim + d]
      gram[i * n + j] = total
      if (j % 64 === 63) await turn.breathe()
    }
    await turn.breathe()
  }
  const coefficients = targets.slice()
  await solve(gram, coefficients, n, classes, turn)
  const weights = new Float64Array(dim * classes)
  for (let i = 0; i < n; i++) {
    for (let d = 0; d < dim; d++)
      for (let c = 0; c < classes; c++) weights[d * classes + c] += x[i * dim + d] * coefficients[i * classes + c]
    await turn.breathe()
  }
  return weights
}

/** (matrix + λ I)⁻¹ columns, in place of both, by Cholesky; the lower triangle is read. */
async function solve(matrix: Float64Array, columns: Float64Array, size: number, width: number, turn: Turn): Promise<void> {
  let trace = 0
  for (let i = 0; i < size; i++) trace += matrix[i * size + i]
  // Representations that are all the same leave a matrix of zeros.
  const lambda = (ridge * trace) / size || 1
  for (let i = 0; i < size; i++) {
    matrix[i * size + i] += lambda
    for (let j = 0; j <= i; j++) {
      let value = matrix[i * size + j]
      for (let k = 0; k < j; k++) value -= matrix[i * size + k] * matrix[j * size + k]
      if (i === j && !(value > 0)) throw new AludelError('internal', `linear probe: pivot ${i} is ${value}`)
      matrix[i * size + j] = i === j ? Math.sqrt(value) : value / matrix[j * size + j]
    }
    await turn.breathe()
  }
  const eliminate = (i: number, j: number, factor: number) => {
    for (let c = 0; c < width; c++) columns[i * width + c] -= factor * columns[j * width + c]
  }
  const divide = (i: number) => {
    for (let c = 0; c < width; c++) columns[i * width + c] /= matrix[i * size + i]
  }
  for (let i = 0; i < size; i++) {
    for (let j = 0; j < i; j++) eliminate(i, j, matrix[i * size + j])
    divide(i)
    await turn.breathe()
  }
  for (let i = size - 1; i >= 0; i--) {
    for (let j = i + 1; j < size; j++) eliminate(i, j, matrix[j * size + i])
    divide(i)
    await turn.breathe()
  }
}
