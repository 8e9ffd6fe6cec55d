/** @file Rows of numbers, one for each sample: logits, features, gradients of a last layer. */
import { isRecord } from '../arguments.js'
import { isDetached } from '../engine/tensor/dtype.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'

/** Row-major numbers; `shape` is [samples, width]. */
export interface Matrix {
  readonly data: Float32Array | Float64Array
  readonly shape: readonly [number, number]
}

/** Numbers looked at between two turns of the event loop. */
const numbersPerTurn = 1 << 14

/** Rows of `width` that make up about as much work as may be done between two turns. */
export const rowsPerTurn = (width: number): number => Math.max(1, Math.floor(numbersPerTurn / width))

/** Throws `invalid_option`, `invalid_shape` or `detached` unless `matrix` has at least one row and one column and as many numbers. */
export function checkMatrix(what: string, matrix: Matrix): void {
  const { data, shape } = (isRecord(matrix) ? matrix : {}) as Partial<Matrix>
  if (!(data instanceof Float32Array || data instanceof Float64Array))
    throw expected('invalid_option', what, '{ data: Float32Array or Float64Array, shape: [samples, width] }', matrix)
  if (isDetached(data.buffer)) throw new AludelError('detached', `${what}: the buffer of its data was transferred away; give it before`)
  const whole = Array.isArray(shape) && shape.length === 2 && shape.every((size) => Number.isSafeInteger(size) && size >= 1)
  if (!whole) throw expected('invalid_shape', `${what}: shape`, '[samples, width], both at least 1', shape)
  const [rows, width] = shape
  if (data.length !== rows * width)
    throw expected('invalid_shape', what, `${rows * width} numbers for shape [${rows}, ${width}]`, data.length)
}

/** As `checkMatrix`, and throws `not_finite` naming the first row that holds NaN or infinity, and how many do. */
export async function checkFiniteMatrix(what: string, matrix: Matrix): Promise<void> {
  checkMatrix(what, matrix)
  const {
    data,
    shape: [rows, width],
  } = matrix
  const turn = new Turn()
  const step = rowsPerTurn(width)
  let [first, count] = [-1, 0]
  for (let row = 0; row < rows; row++) {
    if (row % step === 0) await turn.breathe()
    let finite = true
    for (let i = row * width; i < (row + 1) * width; i++) finite &&= Number.isFinite(data[i])
    if (finite) continue
    if (first < 0) first = row
    count++
  }
  if (count === 0) return
  throw new AludelError(
    'not_finite',
    `${what}: expected finite numbers but ${count} of ${rows} rows hold NaN or infinity, the first is ${first}; look at what computed them`,
  )
}

/** The given rows, copied, in the given order. */
export function takeRows({ data, shape: [, width] }: Matrix, rows: ArrayLike<number>): Matrix {
  const part = new (data.constructor as Float64ArrayConstructor)(rows.length * width)
  for (let i = 0; i < rows.length; i++) part.set(data.subarray(rows[i] * width, (rows[i] + 1) * width), i * width)
  return { data: part, shape: [rows.length, width] }
}

/** Mean of all rows, summed in float64 in their order. */
export async function meanRow({ data, shape: [rows, width] }: Matrix, turn: Turn): Promise<Float64Array> {
  const mean = new Float64Array(width)
  const step = rowsPerTurn(width)
  for (let row = 0; row < rows; row++) {
    if (row % step === 0) await turn.breathe()
    for (let i = 0; i < width; i++) mean[i] += data[row * width + i]
  }
  for (let i = 0; i < width; i++) mean[i] /= rows
  return mean
}

/**
 * `meanRow` of a matrix found to be in order: as `checkFiniteMatrix`, but rows are looked at one by one only where the mean is not finite, as it is
 * wherever a number is not.
 */
export async function finiteMeanRow(what: string, matrix: Matrix): Promise<Float64Array> {
  checkMatrix(what, matrix)
  const mean = await meanRow(matrix, new Turn())
  if (!mean.every(Number.isFinite)) await checkFiniteMatrix(what, matrix)
  return mean
}

/** Squared Euclidean distance of `a` and the row of `data` that begins at `from`. */
export function squaredDistance(a: ArrayLike<number>, data: ArrayLike<number>, from: number): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) {
    // a product, not a power, whose last bit is no engine's promise
    const difference = a[i] - data[from + i]
    sum += difference * difference
  }
  return sum
}

/** Inner product of `a` and the row of `data` that begins at `from`. */
export function inner(a: ArrayLike<number>, data: ArrayLike<number>, from: number): number {
  let sum = 0
  for (let i = 0; i < a.length; i++) sum += a[i] * data[from + i]
  return sum
}
