/**
 * @file Distances of gradients in factors on a device: |g_i - g_j|^2 from <g_i, g_j> = <e_i, e_j> (<h_i, h_j> + 1), which for many rows together are
 * two products of matrices. float64.
 */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { add, cast, gather, matmul, mul, reshape, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { uploadInCopies } from './device-rows.js'
import type { GradientFactors } from './gradient-factors.js'
import type { Matrix } from './matrix.js'

/** Rows whose products with all others are computed together. */
const rowsTogether = 128
/** Rows that are copied to the device between two turns of the event loop. */
const rowsPerCopy = 256

export interface FactorDistances {
  /** Writes the distances of row j to rows [from, rows). Rows that follow one another are computed many at a time. */
  distances(j: number, from: number, out: Float64Array): Promise<void>
  dispose(): void
}

/** Throws `out_of_memory`, `disposed`. */
export async function factorDistances(device: Device, { errors, features }: GradientFactors): Promise<FactorDistances> {
  const [rows] = errors.shape
  const owned: { dispose(): void }[] = []
  const own = <T extends { dispose(): void }>(resource: T): T => {
    owned.push(resource)
    return resource
  }
  const dispose = () => {
    for (const resource of owned) resource.dispose()
  }
  try {
    const factors = { errors: own(await uploadDoubles(device, errors)), features: own(await uploadDoubles(device, features)) }
    const programs = new Map<number, ReturnType<typeof productsProgram>>()
    const products = async (first: number, count: number): Promise<Float64Array> => {
      const known = programs.get(count)
      const program = known ?? productsProgram(device, factors, count)
      if (!known) {
        programs.set(count, program)
        own(program)
      }
      return program.run(first, rows)
    }
    const squares = await squaredNorms(device, factors)
    let [begin, end] = [0, 0]
    let block: Float64Array = new Float64Array()
    return {
      async distances(j, from, out) {
        if (j < begin || j >= end) {
          const many = j === end || j === 0
          const count = many ? Math.min(rowsTogether, rows) : 1
          block = await products(j, count)
          ;[begin, end] = [j, j + count]
        }
        const at = (j - begin) * (block.length / (end - begin))
        // rounding may bring two equal gradients a little below 0
        for (let i = from; i < rows; i++) out[i] = Math.sqrt(Math.max(0, squares[j] + squares[i] - 2 * block[at + i]))
      },
      dispose,
    }
  } catch (error) {
    dispose()
    throw error
  }
}

type Factors = Readonly<Record<'errors' | 'features', DeviceArray>>

/** [copies, rows, width] as rows. */
const asRows = (v: Value): Value => reshape(v, [v.shape[0] * v.shape[1], v.shape[2]])
const inputsOf = ({ errors, features }: Factors) => ({
  errors: { shape: errors.shape, dtype: 'f64' as const },
  features: { shape: features.shape, dtype: 'f64' as const },
})

/** Inner products of gradients from those of both factors. */
const combine = (errors: Value, features: Value): Value => mul(errors, add(features, 1))

function productsProgram(device: Device, factors: Factors, count: number) {
  const { index, products, program } = allOrNothing((own) => ({
    index: own(device.array('i32', [count])),
    products: own(device.array('f64', [count, factors.features.shape[0] * factors.features.shape[1]])),
    program: own(
      bindProgram(device, {
        inputs: { ...inputsOf(factors), index: { shape: [count], dtype: 'i32' } },
        outputs: { products: {} },
        build(v) {
          const part = (rows: Value) => matmul(gather(rows, v.index), rows, { transposeB: true })
          return { products: combine(part(asRows(v.errors)), part(asRows(v.features))) }
        },
      }),
    ),
  }))
  return {
    /** [count, rows and more] of the rows from `first` on; behind the last row the last one again. */
    async run(first: number, rows: number): Promise<Float64Array> {
      const indices = Int32Array.from({ length: count }, (_, i) => Math.min(first + i, rows - 1))
      await Promise.all([index.write(indices), program.run({ ...factors, index, products })])
      return (await products.read()) as Float64Array
    },
    dispose() {
      for (const resource of [index, products, program]) resource.dispose()
    },
  }
}

/** By the same kernel as all products, so that equal gradients are 0 apart. */
async function squaredNorms(device: Device, factors: Factors): Promise<Float64Array> {
  const [copies, perCopy] = factors.errors.shape
  const rows = copies * perCopy
  const { squares, program } = allOrNothing((own) => ({
    squares: own(device.array('f64', [rows])),
    program: own(
      bindProgram(device, {
        inputs: inputsOf(factors),
        outputs: { squares: {} },
        build(v) {
          const square = (x: Value) => {
            const row = reshape(x, [rows, 1, x.shape[2]])
            return reshape(matmul(row, row, { transposeB: true }), [rows])
          }
          return { squares: combine(square(v.errors), square(v.features)) }
        },
      }),
    ),
  }))
  try {
    await program.run({ ...factors, squares })
    return (await squares.read()) as Float64Array
  } finally {
    squares.dispose()
    program.dispose()
  }
}

/** A matrix as f64 [copies, rows, width], with as many rows or a few more, all finite. */
function uploadDoubles(device: Device, matrix: Matrix): Promise<DeviceArray> {
  const [rows, width] = matrix.shape
  const perCopy = Math.min(rowsPerCopy, rows)
  return uploadInCopies(device, matrix, { perCopy, dtype: 'f64', shape: [perCopy, width], build: (part) => cast(part, 'f64') })
}
