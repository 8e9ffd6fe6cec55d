/** @file The outer loss of KRR-ST on held-out images: against a float64 ridge of one's own, what it must fall below, and bad input. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../src/data/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { fold, keyOf } from '../../src/engine/tensor/key.js'
import { networkByName } from '../../src/nn/networks/registry.js'
import { heldOutLoss } from '../../src/transfer/held-out.js'
import { forward, freshTensors } from '../../src/transfer/networks.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const side = 8
const dim = 3
const image = [side, side, 3] as const

function noise(rows: number, salt: number) {
  const images = Uint8Array.from({ length: rows * side * side * 3 }, (_, i) => (Math.imul(i + salt, 2654435761) >>> 24) & 255)
  return createDataset({
    ...{ name: 'noise', split: 'train' as const, classes: ['all'], images, shape: [rows, ...image] as const, flip: false },
    ...{ labels: new Int32Array(rows), mean: [0.5, 0.5, 0.5], std: [0.3, 0.3, 0.3] },
  })
}

/** Means of the three channels. */
const teacher = {
  ...{ name: 'means', dim, sha256: 'e'.repeat(64), input: { shape: image } },
  async encode(pixels: Float32Array, rows: number) {
    const out = new Float32Array(rows * dim)
    for (let i = 0; i < pixels.length; i++) out[Math.floor(i / (side * side * 3)) * dim + (i % 3)] += pixels[i] / (side * side)
    return out
  },
}

async function setOf(rows: number) {
  const part = noise(rows, 1)
  const raw = Float32Array.from(part.images, (byte) => byte / 255)
  const shape = [rows, ...image] as const
  const seen = { mean: part.mean, std: part.std, initSpace: 'normalised' as const }
  return { images: raw.map((v) => (v - 0.5) / 0.3), shape, targets: await teacher.encode(raw, rows), dim, ...seen }
}

/** Solves (K + ridge I) A = Y by Gauss-Jordan in float64. */
function solved(matrix: number[][], right: number[][]): number[][] {
  const rows = matrix.map((row, i) => [...row, ...right[i]])
  for (let p = 0; p < rows.length; p++) {
    const scale = rows[p][p]
    rows[p] = rows[p].map((v) => v / scale)
    for (let q = 0; q < rows.length; q++) if (q !== p) rows[q] = rows[q].map((v, c) => v - rows[q][p] * rows[p][c])
  }
  return rows.map((row) => row.slice(matrix.length))
}

async function byHand(c: number): Promise<number> {
  const set = await setOf(10)
  const held = noise(30, 99)
  const network = networkByName('conv-bn', image, dim)
  const tensors = await freshTensors(device, network, fold(fold(keyOf(0), 'held-out'), 'conv-bn', 0, 'parameters'))
  const features = async (rows: Parameters<typeof forward>[3]) => {
    const { data, width } = await forward(device, network, tensors, rows, 'embedding')
    return Array.from({ length: data.length / width }, (_, i) => [...data.subarray(i * width, (i + 1) * width), 1])
  }
  const own = await features({ pixels: set.images, shape: set.shape, mean: [], std: [] })
  const real = await features({ pixels: held.images, shape: held.shape, mean: held.mean, std: held.std })
  const dot = (a: number[], b: number[]) => a.reduce((sum, v, i) => sum + v * b[i], 0)
  const kernel = own.map((a) => own.map((b) => dot(a, b)))
  const trace = kernel.reduce((sum, row, i) => sum + row[i], 0)
  const system = kernel.map((row, i) => row.map((v, j) => v + (i === j ? c * trace : 0)))
  const coefficients = solved(
    system,
    own.map((_, i) => [...set.targets.subarray(i * dim, (i + 1) * dim)]),
  )
  const truth = await teacher.encode(
    Float32Array.from(held.images, (byte) => byte / 255),
    30,
  )
  let squares = 0
  for (const [i, phi] of real.entries())
    for (let k = 0; k < dim; k++) {
      const answer = own.reduce((sum, other, j) => sum + dot(phi, other) * coefficients[j][k], 0)
      squares += (answer - truth[i * dim + k]) ** 2
    }
  return squares / (30 * dim)
}

describe('heldOutLoss', () => {
  it('is that of a float64 ridge regression by hand, however many images there are', async () => {
    const ridge = { c: 1e-3, scale: 'trace', detach: true } as const
    const options = { device, data: noise(30, 99), teacher, repeats: 1, pretrain: { epochs: 0 }, ridge }
    const { losses, mean } = await heldOutLoss(await setOf(10), options)
    expect(losses).toEqual([mean])
    expect(Math.abs(mean / (await byHand(1e-3)) - 1)).toBeLessThan(1e-5)
  })

  it('crosses the borders of its pieces', async () => {
    const options = { device, teacher, repeats: 1, pretrain: { epochs: 0 } }
    const set = await setOf(10)
    const whole = noise(1300, 7)
    const [all, one, two] = await Promise.all(
      [whole, whole.subset([...Array(1100).keys()]), whole.subset([...Array(200).keys()].map((i) => 1100 + i))].map((data) =>
        heldOutLoss(set, { ...options, data }),
      ),
    )
    expect(Math.abs((1100 * one.mean + 200 * two.mean) / 1300 / all.mean - 1)).toBeLessThan(1e-9)
  })

  it('takes fewer images than the set has, and refuses another teacher than the set names', async () => {
    const options = { device, data: noise(3, 5), teacher, repeats: 1, pretrain: { epochs: 0 } }
    const set = await setOf(12)
    expect((await heldOutLoss(set, options)).mean).toBeGreaterThan(0)
    const named = { name: 'means', objective: 'none', dim, sha256: 'd'.repeat(64) }
    await expect(heldOutLoss({ ...set, teacher: named }, options)).rejects.toMatchObject({ code: 'incompatible' })
  })

  it('trains its networks on the set, the same each time', async () => {
    const options = { device, data: noise(40, 5), teacher, repeats: 2, pretrain: { epochs: 3, lr: 0.01 } }
    const set = await setOf(12)
    const first = await heldOutLoss(set, options)
    expect(await heldOutLoss(set, options)).toEqual(first)
    expect(new Set([...first.losses, ...(await heldOutLoss(set, { ...options, pretrain: { epochs: 0 } })).losses]).size).toBe(4)
    expect(first.constant).toBeGreaterThan(0)
  })

  it.each([
    [
      'another size of images',
      { data: createDataset({ ...noise(4, 1), images: new Uint8Array(4 * 3), shape: [4, 1, 1, 3] }) },
      'invalid_data',
    ],
    ['no images', { data: undefined as never }, 'invalid_option'],
    ['no teacher', { teacher: undefined as never }, 'invalid_option'],
    ['no repeats', { repeats: 0 }, 'invalid_option'],
    ['a ridge of 0', { ridge: { c: 0, scale: 'trace', detach: true } as const }, 'invalid_option'],
    ['epochs that are none', { pretrain: { epochs: -1 } }, 'invalid_option'],
    ['another option', { epochs: 3 }, 'invalid_option'],
  ])('refuses %s', async (_, change, code) => {
    const options = { device, data: noise(20, 3), teacher, ...change }
    await expect(heldOutLoss(await setOf(4), options)).rejects.toMatchObject({ code })
  })
})
