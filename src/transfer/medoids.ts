/**
 * @file The row of each cluster of k-means that is nearest to its centre. Distances of all rows are computed on the device, many at once; means
 * and the last comparison are float64.
 */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { argmax, matmul, mul, reshape, square, sub, sum } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { type Key, purpose } from '../engine/tensor/key.js'
import { randomBits } from '../engine/tensor/philox.js'
import { inPieces, Turn } from '../event-loop.js'
import { rowAt } from '../scores/draw-row.js'
import { type Matrix, meanRow, squaredDistance } from '../scores/matrix.js'

/** Most rows of one replay, and most rounds of assignment and update. */
const part = 1024
const mostRounds = 20

/**
 * `n` rows of `table`, ascending, each once: k-means++ (Arthur & Vassilvitskii 2007) drawn from `key`, rounds of Lloyd's until no row changes its
 * cluster, 20 at most, then the nearest row of every cluster. A cluster that lost all its rows takes the nearest that no other has.
 */
export async function medoids(
  device: Device,
  table: Matrix,
  n: number,
  { key, signal }: { readonly key: Key; readonly signal?: AbortSignal | undefined },
): Promise<Int32Array> {
  const turn = new Turn()
  const rows = await centred(table, turn)
  const clusters = prepareClusters(device, rows, n)
  try {
    const centres = await clusters.seeds(key, signal, turn)
    let nearest = await clusters.assign(centres, signal)
    for (let round = 0; round < mostRounds; round++) {
      await moveToMeans(rows, nearest, centres, turn)
      const next = await clusters.assign(centres, signal)
      const same = next.every((cluster, row) => cluster === nearest[row])
      nearest = next
      if (same) break
    }
    return await nearestRows(rows, nearest, centres, turn)
  } finally {
    clusters.dispose()
  }
}

/** [parts, size, width]; what is left of the last part is zeros, and read by nobody. */
interface Rows {
  readonly data: Float32Array
  readonly count: number
  readonly width: number
  readonly size: number
  readonly parts: number
}

/** Rows of one replay, and how many replays see all. */
export const partsOf = (count: number): { readonly size: number; readonly parts: number } => {
  const size = Math.min(part, count)
  return { size, parts: Math.ceil(count / size) }
}

/** Less their mean, which leaves distances as they are and float32 products nearer to them. */
async function centred(table: Matrix, turn: Turn): Promise<Rows> {
  const [count, width] = table.shape
  const mean = await meanRow(table, turn)
  const { size, parts } = partsOf(count)
  const data = new Float32Array(parts * size * width)
  await inPieces(count * width, turn, (from, to) => {
    for (let i = from; i < to; i++) data[i] = table.data[i] - mean[i % width]
  })
  return { data, count, width, size, parts }
}

export function prepareClusters(device: Device, { data, count, width, size, parts }: Rows, n: number) {
  const slots = { count: parts }
  const made = allOrNothing((own) => {
    const rows = own(device.array('f32', [parts, size, width]))
    return {
      distance: own(
        bindProgram(device, {
          inputs: { rows: { shape: [size, width], slots }, point: { shape: [1, width] } },
          outputs: { distances: { slots } },
          build: (v) => ({ distances: sum(square(sub(v.rows, v.point)), { axes: [1] }) }),
        }),
      ),
      assignment: own(
        bindProgram(device, {
          inputs: { rows: { shape: [size, width], slots }, centres: { shape: [n, width] } },
          outputs: { nearest: { slots } },
          // the least |x - c|^2 is the largest x c - |c|^2 / 2
          build: (v) => {
            const halves = mul(reshape(sum(square(v.centres), { axes: [1] }), [1, n]), 0.5)
            return { nearest: argmax(sub(matmul(v.rows, v.centres, { transposeB: true, precision: 'f32' }), halves)) }
          },
        }),
      ),
      arrays: {
        rows,
        point: own(device.array('f32', [1, width])),
        centres: own(device.array('f32', [n, width])),
        distances: own(device.array('f32', [parts, size])),
        nearest: own(device.array('i32', [parts, size])),
      } as Record<string, DeviceArray>,
    }
  })
  const { distance, assignment, arrays } = made
  const options = (signal: AbortSignal | undefined) => ({ n: parts, ...(signal && { signal }) })
  return {
    async seeds(key: Key, signal: AbortSignal | undefined, turn: Turn): Promise<Float32Array> {
      await arrays.rows.write(data)
      const bits = randomBits(key, 0, purpose.score, 2 * n)
      // 53 random bits: with 24 most rows of a large set could not be drawn
      const draw = (i: number): number => ((bits[2 * i] >>> 5) * 2 ** 26 + (bits[2 * i + 1] >>> 6)) * 2 ** -53
      const weights = new Float64Array(count).fill(Number.POSITIVE_INFINITY)
      const taken = new Set<number>()
      const centres = new Float32Array(n * width)
      for (let c = 0, row = Math.floor(draw(0) * count); c < n; c++) {
        taken.add(row)
        const point = data.subarray(row * width, (row + 1) * width)
        centres.set(point, c * width)
        if (c + 1 === n) break
        await Promise.all([arrays.point.write(point.slice()), distance.run(arrays, options(signal))])
        const distances = (await arrays.distances.read()) as Float32Array
        let total = 0
        await inPieces(count, turn, (from, to) => {
          for (let i = from; i < to; i++) total += weights[i] = taken.has(i) ? 0 : Math.min(weights[i], distances[i])
        })
        row = rowAt(weights, draw(c + 1) * total, (one) => taken.has(one))
      }
      return centres
    },
    async assign(centres: Float32Array, signal: AbortSignal | undefined): Promise<Int32Array> {
      await Promise.all([arrays.centres.write(centres), assignment.run(arrays, options(signal))])
      return ((await arrays.nearest.read()) as Int32Array).slice(0, count)
    },
    dispose() {
      distance.dispose()
      assignment.dispose()
      for (const array of Object.values(arrays)) array.dispose()
    },
  }
}

/** A cluster without rows keeps its centre. */
async function moveToMeans({ data, count, width }: Rows, nearest: Int32Array, centres: Float32Array, turn: Turn): Promise<void> {
  const sums = new Float64Array(centres.length)
  const counts = new Int32Array(centres.length / width)
  for (let row = 0; row < count; row++) {
    counts[nearest[row]]++
    for (let i = 0; i < width; i++) sums[nearest[row] * width + i] += data[row * width + i]
    if (row % 32 === 31) await turn.breathe()
  }
  await inPieces(sums.length, turn, (from, to) => {
    for (let i = from; i < to; i++) if (counts[Math.floor(i / width)] > 0) centres[i] = sums[i] / counts[Math.floor(i / width)]
  })
}

async function nearestRows({ data, count, width }: Rows, nearest: Int32Array, centres: Float32Array, turn: Turn): Promise<Int32Array> {
  const n = centres.length / width
  const best = new Int32Array(n).fill(-1)
  const least = new Float64Array(n).fill(Number.POSITIVE_INFINITY)
  const to = (centre: number, row: number) => squaredDistance(centres.subarray(centre * width, (centre + 1) * width), data, row * width)
  for (let row = 0; row < count; row++) {
    const centre = nearest[row]
    const distance = to(centre, row)
    if (distance < least[centre]) [least[centre], best[centre]] = [distance, row]
    if (row % 32 === 31) await turn.breathe()
  }
  const taken = new Set(best)
  for (let centre = 0; centre < n; centre++) {
    if (best[centre] >= 0) continue
    for (let row = 0; row < count; row++) {
      if (row % 32 === 31) await turn.breathe()
      if (taken.has(row)) continue
      const distance = to(centre, row)
      if (distance < least[centre]) [least[centre], best[centre]] = [distance, row]
    }
    taken.add(best[centre])
  }
  return best.sort()
}
