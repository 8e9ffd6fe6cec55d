/** @file Cyclic Jacobi iteration for small symmetric matrices: what the native eigendecomposition is checked against. */

export interface Eigenpairs {
  /** Ascending. */
  readonly values: Float64Array
  /** Row k is the unit eigenvector of values[k], [n, n]. */
  readonly vectors: Float64Array
}

const mostSweeps = 60

/** Eigenvalues and eigenvectors of a symmetric matrix [n, n], row-major, to working precision. */
export function symmetricEigen(matrix: Float64Array, n: number): Eigenpairs {
  const a = matrix.slice()
  const v = Float64Array.from({ length: n * n }, (_, i) => (i % (n + 1) === 0 ? 1 : 0))
  const scale = a.reduce((most, x) => Math.max(most, Math.abs(x)), 0)
  for (let sweep = 0; sweep < mostSweeps; sweep++) {
    let left = 0
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) left = Math.max(left, Math.abs(a[p * n + q]))
    if (left <= Number.EPSILON * 1e-4 * scale) break
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, v, n, p, q)
  }
  const order = Array.from({ length: n }, (_, i) => i).sort((i, j) => a[i * n + i] - a[j * n + j])
  const vectors = Float64Array.from({ length: n * n }, (_, at) => v[(at % n) * n + order[Math.floor(at / n)]])
  return { values: Float64Array.from({ length: n }, (_, k) => quotient(matrix, vectors.subarray(k * n, (k + 1) * n))), vectors }
}

/** u' A u / u' u: its error is the square of the vector's, so what the rotations rounded away does not count. */
function quotient(matrix: Float64Array, u: Float64Array): number {
  const n = u.length
  let [products, squares] = [0, 0]
  for (let i = 0; i < n; i++) {
    let row = 0
    for (let j = 0; j < n; j++) row += matrix[i * n + j] * u[j]
    products += u[i] * row
    squares += u[i] * u[i]
  }
  return products / squares
}

/** The rotation that makes a[p, q] zero, applied to both sides of `a` and to the columns of `v`. */
function rotate(a: Float64Array, v: Float64Array, n: number, p: number, q: number): void {
  const off = a[p * n + q]
  if (off === 0) return
  const theta = (a[q * n + q] - a[p * n + p]) / (2 * off)
  const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1))
  const c = 1 / Math.sqrt(t * t + 1)
  const s = t * c
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[k * n + p], a[k * n + q]]
    a[k * n + p] = c * x - s * y
    a[k * n + q] = s * x + c * y
  }
  for (let k = 0; k < n; k++) {
    const [x, y] = [a[p * n + k], a[q * n + k]]
    a[p * n + k] = c * x - s * y
    a[q * n + k] = s * x + c * y
  }
  for (let k = 0; k < n; k++) {
    const [x, y] = [v[k * n + p], v[k * n + q]]
    v[k * n + p] = c * x - s * y
    v[k * n + q] = s * x + c * y
  }
}
