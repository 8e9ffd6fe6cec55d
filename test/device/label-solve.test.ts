/** @file KIP's label solve: against least squares on the host, what it keeps and refuses, and that a continued run has the same bits. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { normalizeImages } from '../../src/data/normalize.js'
import { distill, kernelAccuracy } from '../../src/distill/index.js'
import { symmetricEigen } from '../../src/engine/reference/symmetric-eigen.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DistillOptions, StepEvent, SyntheticSet } from '../../src/experiment/types.js'
import { planRun } from '../../src/plan/plan.js'
import { memoryStore } from '../method/contract.js'
import { noiseDataset } from '../noise-dataset.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

type Given = Partial<DistillOptions<Device>>

async function finish({ stopAt, ...given }: Given & { readonly stopAt?: number } = {}): Promise<{ set: SyntheticSet; steps: StepEvent[] }> {
  const options = { method: 'kip', ipc: 3, realBatch: 12, seed: 3, device, ...given }
  const run = distill(noiseDataset, { ...options, methodOptions: { labels: 'solve', ...given.methodOptions } })
  const steps: StepEvent[] = []
  for await (const event of run) {
    if (event.type !== 'step') continue
    steps.push(event)
    if (event.step === stopAt) run.stop()
  }
  return { set: await run.result, steps }
}

const [total, d, k] = [noiseDataset.shape[0], noiseDataset.shape.slice(1).reduce((a, b) => a * b), 2]
const [variance, bias] = [2, 0.01]

/** NTK of one hidden layer between rows of pixels, as specification 9.2 has it. */
function kernel(a: Float32Array, b: Float32Array): number[][] {
  const rows = (x: Float32Array) => Array.from({ length: x.length / d }, (_, i) => Float64Array.from(x.subarray(i * d, (i + 1) * d)))
  const product = (x: Float64Array, y: Float64Array) => (variance * x.reduce((sum, value, i) => sum + value * y[i], 0)) / d + bias
  return rows(a).map((x) =>
    rows(b).map((y) => {
      const [q, norms] = [product(x, y), Math.sqrt(product(x, x) * product(y, y))]
      const angle = Math.acos(Math.max(-1, Math.min(1, q / norms)))
      const activation = (norms / (2 * Math.PI)) * (Math.sin(angle) + (Math.PI - angle) * Math.cos(angle))
      return variance * activation + bias + variance * ((Math.PI - angle) / (2 * Math.PI)) * q
    }),
  )
}

const times = (a: readonly (readonly number[])[], b: readonly (readonly number[])[]): number[][] =>
  a.map((row) => b[0].map((_, j) => row.reduce((sum, value, i) => sum + value * b[i][j], 0)))
const transposed = (a: readonly (readonly number[])[]): number[][] => a[0].map((_, j) => a.map((row) => row[j]))

const pixels = normalizeImages(noiseDataset.images, noiseDataset)
const answers = Array.from(noiseDataset.labels, (label) => Array.from({ length: k }, (_, c) => Number(c === label) - 1 / k))

/** (K_ss + lambda I) (K_ts)^+ Y_t by the eigenvectors of K_st K_ts, singular values below `cut` times the largest left out. */
function solved(images: Float32Array, cut: number): number[][] {
  const [across, own] = [kernel(pixels, images), kernel(images, images)]
  const n = own.length
  const { values, vectors } = symmetricEigen(Float64Array.from(times(transposed(across), across).flat()), n)
  const projected = times(transposed(across), answers)
  const kept = values.map((value) => (Math.sqrt(Math.max(0, value)) > cut * Math.sqrt(values[n - 1]) ? 1 / value : 0))
  const rows = Array.from({ length: n }, (_, i) => [...vectors.subarray(i * n, (i + 1) * n)])
  const inverse = rows[0].map((_, i) => rows[0].map((_, j) => kept.reduce((sum, f, e) => sum + f * rows[e][i] * rows[e][j], 0)))
  const lambda = (1e-6 * own.reduce((sum, row, i) => sum + row[i], 0)) / n
  const system = own.map((row, i) => row.map((value, j) => value + (i === j ? lambda : 0)))
  return times(system, times(inverse, projected))
}

/** Half the mean squared error of the labels `y` on all real images, solved for by Gaussian elimination. */
function lossOf(images: Float32Array, y: readonly (readonly number[])[]): number {
  const [across, own] = [kernel(pixels, images), kernel(images, images)]
  const n = own.length
  const lambda = (1e-6 * own.reduce((sum, row, i) => sum + row[i], 0)) / n
  const work = own.map((row, i) => [...row.map((value, j) => value + (i === j ? lambda : 0)), ...y[i]])
  for (let p = 0; p < n; p++)
    for (let i = 0; i < n; i++) {
      if (i === p) continue
      const factor = work[i][p] / work[p][p]
      for (let j = p; j < n + k; j++) work[i][j] -= factor * work[p][j]
    }
  const predicted = times(
    across,
    work.map((row, i) => row.slice(n).map((value) => value / row[i])),
  )
  return predicted.reduce((sum, row, i) => sum + row.reduce((own, p, c) => own + (p - answers[i][c]) ** 2, 0), 0) / (2 * total * k)
}

const rowsOf = (targets: Float32Array): number[][] =>
  Array.from({ length: targets.length / k }, (_, i) => [...targets.subarray(i * k, (i + 1) * k)])

describe("kip's label solve", () => {
  it('is least squares over all real images, however they are cut into steps', async () => {
    const { set, steps } = await finish()
    expect(steps).toHaveLength(4)
    const wanted = solved(set.images, 0)
    const largest = Math.max(...wanted.flat().map(Math.abs))
    for (const [i, row] of rowsOf(set.targets!).entries())
      for (const [c, value] of row.entries()) expect(Math.abs(value - wanted[i][c])).toBeLessThan(1e-4 * largest)
    const whole = await finish({ realBatch: 1000 })
    expect(whole.steps).toHaveLength(1)
    for (const [i, value] of whole.set.targets!.entries()) expect(Math.abs(value - set.targets![i])).toBeLessThan(1e-4 * largest)
  })

  it('tells its loss and what it kept, and no other labels are better', async () => {
    const { set, steps } = await finish()
    const { loss, regression } = steps[3]
    const targets = rowsOf(set.targets!)
    expect(loss).toBeCloseTo(lossOf(set.images, targets), 5)
    expect(loss).toBeCloseTo((await kernelAccuracy(set, { device, test: noiseDataset })).loss, 5)
    expect(loss).toBeLessThan(steps[0].loss)
    expect(regression).toMatchObject({ directions: 6, imageDrift: 0 })
    expect(regression!.targetDrift).toBeGreaterThan(0)
    for (const change of [0.05, -0.05])
      for (let i = 0; i < 6; i++) {
        const other = targets.map((row, j) => (i === j ? row.map((value) => value + change) : row))
        expect(lossOf(set.images, other)).toBeGreaterThan(loss - 1e-7)
      }
  })

  it('leaves the images as they begin', async () => {
    const [first, all] = [await finish({ iterations: 1 }), await finish()]
    expect([...all.set.images]).toEqual([...first.set.images])
    expect(first.steps).toHaveLength(1)
    // more steps than show every image once are not run
    expect((await finish({ iterations: 9 })).steps).toHaveLength(4)
  })

  it('leaves small singular values out', async () => {
    const cut = 0.6
    const { set, steps } = await finish({ methodOptions: { labelCut: cut } })
    expect(steps[3].regression!.directions).toBeLessThan(6)
    const wanted = solved(set.images, cut)
    const largest = Math.max(...wanted.flat().map(Math.abs))
    for (const [i, row] of rowsOf(set.targets!).entries())
      for (const [c, value] of row.entries()) expect(Math.abs(value - wanted[i][c])).toBeLessThan(1e-4 * largest)
  })

  it('continues to the bits of a run that nobody touched, at another number of threads', async () => {
    const whole = await finish()
    const checkpoints = memoryStore()
    await finish({ stopAt: 2, checkpoints, checkpointEvery: 1 })
    expect(checkpoints.saved.at(-1)!.counters.step).toBe(2)
    const other = await Device.open({ threads: 3 })
    try {
      const rest = await finish({ checkpoints, device: other })
      expect(rest.steps.map(({ step, loss }) => [step, loss])).toEqual(whole.steps.slice(2).map(({ step, loss }) => [step, loss]))
      expect([...rest.set.targets!]).toEqual([...whole.set.targets!])
    } finally {
      await other.close()
    }
  })

  it.each<[string, Given, string, RegExp]>([
    ['another loss', { methodOptions: { loss: 'platt-ce' } }, 'invalid_option', /kip loss: labels are solved for by least squares/],
    ['a learning rate', { imageLr: 0.1 }, 'invalid_option', /imageLr: kip solves for the labels of images that stay/],
    ['a cut of 0', { methodOptions: { labelCut: 0 } }, 'invalid_option', /kip labelCut: expected a number > 0/],
    ['too many images', { ipc: 5000, init: 'noise' }, 'out_of_memory', /labels are solved for: expected at most 8192 but received 10000/],
  ])('refuses %s', async (_, given, code, message) => {
    await expect((async () => finish(given))()).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('says what a run needs before it begins', async () => {
    const { phases } = await planRun(noiseDataset, { method: 'kip', ipc: 3, realBatch: 12, methodOptions: { labels: 'solve' }, device })
    expect(phases[0]).toMatchObject({ name: 'distill', steps: 4 })
  })
})
