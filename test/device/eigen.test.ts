/** @file The native eigendecomposition: against Jacobi, on matrices that are hard for QL, at any number of threads, and what it refuses. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { symmetricEigen } from '../../src/engine/reference/symmetric-eigen.js'
import type { DeviceArray } from '../../src/engine/runtime/array.js'
import { Device } from '../../src/engine/runtime/device.js'
import { expectError } from '../unit/data/fixtures.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

/** Numbers in [-0.5, 0.5) that repeat. */
function numbers(count: number): Float64Array {
  let state = 12345
  return Float64Array.from({ length: count }, () => {
    state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff
    return state / 2 ** 31 - 0.5
  })
}

type Entry = (i: number, j: number, n: number) => number
const matrix = (n: number, entry: Entry): Float64Array =>
  Float64Array.from({ length: n * n }, (_, at) => {
    const [i, j] = [Math.floor(at / n), at % n]
    return entry(Math.min(i, j), Math.max(i, j), n)
  })

async function eigen(on: Device, a: Float64Array, n: number): Promise<{ values: Float64Array; vectors: Float64Array }> {
  const arrays = { matrix: on.array('f64', [n, n], a), values: on.array('f64', [n]) }
  try {
    await on.symmetricEigen(arrays.matrix, arrays.values)
    return { values: (await arrays.values.read()) as Float64Array, vectors: (await arrays.matrix.read()) as Float64Array }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
  }
}

const noise = numbers(400 * 400)
const entries: Readonly<Record<string, Entry>> = {
  random: (i, j) => noise[i * 400 + j],
  zero: () => 0,
  identity: (i, j) => (i === j ? 1 : 0),
  diagonal: (i, j) => (i === j ? ((i * 7) % 5) - 2 : 0),
  'rank one': (i, j) => (1 + (i % 7)) * (1 + (j % 7)),
  'low rank, noise elsewhere': (i, j) => [0, 1, 2, 3, 4].reduce((sum, r) => sum + noise[i * 5 + r] * noise[j * 5 + r], 0),
  'smooth covariance': (i, j) => Math.exp(-(j - i) / 50),
  'second differences, clustered values': (i, j) => (i === j ? 2 : j === i + 1 ? -1 : 0),
  graded: (i, j) => noise[i * 400 + j] * 10 ** (-(i + j) / 8),
  tiny: (i, j) => noise[i * 400 + j] * 1e-200,
  huge: (i, j) => noise[i * 400 + j] * 1e200,
  'two blocks': (i, j, n) => (i < n / 2 === j < n / 2 ? noise[i * 400 + j] : 0),
}

describe.each(Object.entries(entries))('%s', (_, entry) => {
  // around the widths that the work is cut at: vectors, 16 lanes, 32 rows and columns
  it.each([1, 2, 3, 15, 16, 17, 33, 64, 100, 257])('of size %i: values ascend, vectors are orthonormal, A u = s u', async (n) => {
    const a = matrix(n, entry)
    const { values, vectors } = await eigen(device, a, n)
    const norm = Math.max(...a.map(Math.abs), Number.MIN_VALUE) * n
    // products beyond 1e300 would hide the comparison
    const unit = norm
    let residual = 0
    let deviation = 0
    for (let k = 0; k < n; k++) {
      if (k > 0) expect(values[k]).toBeGreaterThanOrEqual(values[k - 1])
      for (let i = 0; i < n; i++) {
        let product = 0
        let inner = 0
        for (let j = 0; j < n; j++) {
          product += (a[i * n + j] / unit) * vectors[k * n + j]
          inner += vectors[i * n + j] * vectors[k * n + j]
        }
        residual = Math.max(residual, Math.abs(product - (values[k] / unit) * vectors[k * n + i]))
        deviation = Math.max(deviation, Math.abs(inner - (i === k ? 1 : 0)))
      }
    }
    // backward error in units of eps n ||A||, which `unit` holds once: a small multiple of eps
    expect(residual).toBeLessThan(10 * Number.EPSILON)
    expect(deviation).toBeLessThan(20 * Number.EPSILON * Math.sqrt(n) + 4 * Number.EPSILON)
  })
})

it('has the values that Jacobi finds', async () => {
  const n = 60
  for (const entry of [entries.random, entries['smooth covariance'], entries.graded]) {
    const a = matrix(n, entry)
    const [found, wanted] = [await eigen(device, a, n), symmetricEigen(a, n)]
    const norm = Math.max(...wanted.values.map(Math.abs))
    for (let k = 0; k < n; k++) expect(Math.abs(found.values[k] - wanted.values[k])).toBeLessThan(20 * Number.EPSILON * norm)
    // a simple value fixes its vector up to sign
    const last = (vectors: Float64Array) => vectors.subarray((n - 1) * n)
    const inner = last(found.vectors).reduce((sum, x, i) => sum + x * last(wanted.vectors)[i], 0)
    expect(Math.abs(inner)).toBeCloseTo(1, 12)
  }
})

it('gives the same bits at 1, 2, 3 and 8 threads, and again', async () => {
  const n = 230
  const a = matrix(n, entries.random)
  const first = await eigen(device, a, n)
  for (const threads of [1, 2, 3, 8]) {
    const other = await Device.open({ threads })
    try {
      const { values, vectors } = await eigen(other, a, n)
      expect(values).toEqual(first.values)
      expect(vectors).toEqual(first.vectors)
    } finally {
      await other.close()
    }
  }
})

it('works on every instruction set, to rounding', async () => {
  const n = 75
  const a = matrix(n, entries.random)
  const wanted = symmetricEigen(a, n).values
  for (const isa of ['portable', 'avx2', 'avx512']) {
    const other = await Device.open({ isa, threads: 1 }).catch(() => undefined)
    if (!other) continue
    const { values } = await eigen(other, a, n)
    await other.close()
    for (let k = 0; k < n; k++) expect(Math.abs(values[k] - wanted[k])).toBeLessThan(1e-13)
  }
})

describe('refuses', () => {
  const arrays = (n: number, dtype: 'f64' | 'f32' = 'f64', shape = [n, n]) => ({
    matrix: device.array(dtype, shape),
    values: device.array('f64', [n]),
  })
  const call = ({ matrix: a, values }: { matrix: DeviceArray; values: DeviceArray }) => device.symmetricEigen(a, values)

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e301])('a matrix with %d in it', async (bad) => {
    const { matrix: a, values } = arrays(3)
    await a.write(Float64Array.of(1, 0, 0, 0, bad, 0, 0, 0, 1))
    await expectError(() => device.symmetricEigen(a, values), 'invalid_option', /finite numbers.*element 4/)
  })

  it('another dtype, another shape, arrays of another device', async () => {
    await expectError(() => call(arrays(3, 'f32')), 'invalid_dtype', /matrix: expected f64/)
    await expectError(() => call(arrays(3, 'f64', [3, 4])), 'invalid_shape', /\[3, ?3\]/)
    await expectError(() => call({ matrix: arrays(3).matrix, values: arrays(4).values }), 'invalid_shape', /values/)
    await expectError(() => call({ matrix: new Float64Array(9), values: arrays(3).values } as never), 'invalid_option', /a DeviceArray/)
    const other = await Device.open({ threads: 1 })
    await expectError(() => call({ matrix: other.array('f64', [3, 3]), values: arrays(3).values }), 'invalid_option', /another device/)
    await other.close()
  })

  it('to go on after an abort, before it begins and in the middle', async () => {
    const { matrix: a, values } = arrays(800)
    const n = 800
    await a.write(matrix(n, (i, j) => Math.sin(i * 3 + j)))
    await expect(device.symmetricEigen(a, values, { signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    const abort = new AbortController()
    const running = device.symmetricEigen(a, values, { signal: abort.signal })
    setTimeout(() => abort.abort('enough'), 1)
    await expect(running).rejects.toMatchObject({ name: 'AbortError', cause: 'enough' })
    // the device goes on working
    expect((await eigen(device, Float64Array.of(2), 1)).values[0]).toBe(2)
  })

  it('to work after the device was closed', async () => {
    const other = await Device.open({ threads: 1 })
    const [a, values] = [other.array('f64', [2, 2]), other.array('f64', [2])]
    await other.close()
    await expectError(() => other.symmetricEigen(a, values), 'disposed', /closed/)
  })
})
