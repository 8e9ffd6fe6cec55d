/**
 * @file Gradients of a last linear layer by their factors: that of a sample is the outer product of its error p - y and its input [h, 1], so
 * inner products are products of inner products and the C (D + 1) numbers of each need not be there.
 */
import { isRecord } from '../arguments.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { checkFiniteMatrix, inner, type Matrix, rowsPerTurn, squaredDistance, takeRows } from './matrix.js'

export interface GradientFactors {
  /** p - y, [samples, classes]: `lastLayerGradients` without features. */
  readonly errors: Matrix
  /** Inputs of the last layer, [samples, width]. */
  readonly features: Matrix
}

export const isFactors = (given: Matrix | GradientFactors): given is GradientFactors => isRecord(given) && 'errors' in given

/** What rules that choose sets need of gradients, whole or in factors. */
export interface GradientRows {
  readonly rows: number
  /** Writes the distances of row j to rows [from, rows). The distance of two rows has the same bits either way round. */
  distances(j: number, from: number, out: Float64Array): Promise<void>
  /** Writes the inner products of row j and every row. */
  products(j: number, out: Float64Array): Promise<void>
  /** Inner products of every row and the mean of all, and the squared norm of that mean. */
  mean(): Promise<{ readonly products: Float64Array; readonly square: number }>
}

/** Throws `invalid_option`, `invalid_shape`, `detached`, `not_finite`. */
export async function gradientRows(what: string, given: Matrix | GradientFactors): Promise<GradientRows> {
  if (!isFactors(given)) {
    await checkFiniteMatrix(what, given)
    return wholeRows(given)
  }
  const { errors, features } = given
  await checkFiniteMatrix(`${what}: errors`, errors)
  await checkFiniteMatrix(`${what}: features`, features)
  if (errors.shape[0] !== features.shape[0])
    throw expected('invalid_shape', `${what}: features`, `${errors.shape[0]} rows`, features.shape[0])
  return factoredRows(given)
}

export const rowCount = (given: Matrix | GradientFactors): number => (isFactors(given) ? given.errors : given).shape[0]

/** The given rows, copied. */
export const takeGradients = (given: Matrix | GradientFactors, rows: ArrayLike<number>): Matrix | GradientFactors =>
  isFactors(given) ? { errors: takeRows(given.errors, rows), features: takeRows(given.features, rows) } : takeRows(given, rows)

function wholeRows({ data, shape: [rows, width] }: Matrix): GradientRows {
  const turn = new Turn()
  const step = rowsPerTurn(width)
  const point = (j: number) => data.subarray(j * width, (j + 1) * width)
  const each = async (from: number, out: Float64Array, value: (at: number) => number): Promise<void> => {
    for (let i = from; i < rows; i++) {
      if (i % step === 0) await turn.breathe()
      out[i] = value(i * width)
    }
  }
  return {
    rows,
    distances: (j, from, out) => each(from, out, (at) => Math.sqrt(squaredDistance(point(j), data, at))),
    products: (j, out) => each(0, out, (at) => inner(point(j), data, at)),
    async mean() {
      const mean = new Float64Array(width)
      for (let i = 0; i < rows; i++) {
        if (i % step === 0) await turn.breathe()
        for (let d = 0; d < width; d++) mean[d] += data[i * width + d]
      }
      for (let d = 0; d < width; d++) mean[d] /= rows
      const products = new Float64Array(rows)
      await each(0, products, (at) => inner(mean, data, at))
      return { products, square: inner(mean, mean, 0) }
    },
  }
}

function factoredRows({ errors, features }: GradientFactors): GradientRows {
  const [rows, classes] = errors.shape
  const [, width] = features.shape
  const turn = new Turn()
  const step = rowsPerTurn(classes + width)
  const part = ({ data, shape }: Matrix, j: number) => data.subarray(j * shape[1], (j + 1) * shape[1])
  const product = (error: ArrayLike<number>, input: ArrayLike<number>, i: number): number =>
    inner(error, errors.data, i * classes) * (inner(input, features.data, i * width) + 1)
  const each = async (j: number, from: number, out: Float64Array): Promise<void> => {
    const [error, input] = [part(errors, j), part(features, j)]
    for (let i = from; i < rows; i++) {
      if (i % step === 0) await turn.breathe()
      out[i] = product(error, input, i)
    }
  }
  let squares: Float64Array | undefined
  const norms = async (): Promise<Float64Array> => {
    if (squares) return squares
    const found = new Float64Array(rows)
    for (let i = 0; i < rows; i++) {
      if (i % step === 0) await turn.breathe()
      found[i] = product(part(errors, i), part(features, i), i)
    }
    squares = found
    return found
  }
  return {
    rows,
    async distances(j, from, out) {
      const own = await norms()
      await each(j, from, out)
      // rounding may bring two equal gradients a little below 0
      for (let i = from; i < rows; i++) out[i] = Math.sqrt(Math.max(0, own[j] + own[i] - 2 * out[i]))
    },
    products: (j, out) => each(j, 0, out),
    async mean() {
      const wide = classes * (width + 1)
      const mean = new Float64Array(wide)
      const costly = rowsPerTurn(wide)
      const walk = async (visit: (error: number, at: number, i: number) => void): Promise<void> => {
        for (let i = 0; i < rows; i++) {
          if (i % costly === 0) await turn.breathe()
          for (let c = 0; c < classes; c++) visit(errors.data[i * classes + c], c * (width + 1), i)
        }
      }
      await walk((error, at, i) => {
        for (let d = 0; d < width; d++) mean[at + d] += error * features.data[i * width + d]
        mean[at + width] += error
      })
      for (let k = 0; k < wide; k++) mean[k] /= rows
      const products = new Float64Array(rows)
      await walk((error, at, i) => {
        products[i] += error * (inner(part(features, i), mean, at) + mean[at + width])
      })
      return { products, square: inner(mean, mean, 0) }
    },
  }
}
