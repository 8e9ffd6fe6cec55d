/** @file Whole steps on the GPU against the CPU: matching, training, second order; replayed from a captured graph, one by one, sliced or not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TypedArray } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { runStep, type StepRunOptions } from '../device/run-step.js'
import { hessianProduct, matchingStep, rows, type StepGraph, trainingStep } from '../device/step-graphs.js'

let gpu: Device
let cpu: Device
beforeAll(async () => {
  gpu = await Device.open({ device: 'cuda', precision: 'f32' })
  cpu = await Device.open({ device: 'cpu', threads: 1 })
})
afterAll(() => Promise.all([gpu.close(), cpu.close()]))

/** Largest difference over the largest magnitude. */
function difference(a: TypedArray, b: TypedArray): number {
  const [x, y] = [Array.from(a, Number), Array.from(b, Number)]
  const largest = Math.max(...y.map(Math.abs), 1e-30)
  return Math.max(...x.map((v, i) => (Number.isNaN(v) ? Infinity : Math.abs(v - y[i])))) / largest
}

async function compare(graph: StepGraph, options: StepRunOptions, onCpu: StepRunOptions = options): Promise<void> {
  const [ours, theirs] = [await runStep(gpu, graph, options), await runStep(cpu, graph, onCpu)]
  for (const [name, wanted] of Object.entries(theirs.results)) {
    expect(wanted.some((v) => Number(v) !== 0)).toBe(true)
    expect(difference(ours.results[name], wanted), name).toBeLessThan(2e-4)
  }
}

describe.each([
  ['matching', matchingStep],
  ['training', trainingStep],
  ['a Hessian-vector product', hessianProduct],
] as const)('%s', (_, graphOf) => {
  it.each(['instance', 'batch'] as const)('under %s norm is that of the CPU', async (norm) => {
    if (norm === 'batch' && graphOf === matchingStep) return compare(graphOf('none'), {})
    await compare(graphOf(norm), {})
  })
})

it('counts steps and turns its rings as the CPU does', async () => {
  await compare(matchingStep(), { calls: [1, 3, 2], startStep: 5 })
})

it('gives the same bits from a captured graph as from single steps', async () => {
  const [together, apart] = [
    await runStep(gpu, matchingStep(), { calls: [4] }),
    await runStep(gpu, matchingStep(), { calls: [1, 1, 1, 1] }),
  ]
  expect(together.results).toEqual(apart.results)
})

it.each([{ rows: 1 }, { rows: 16 }, { rows: rows - 1 }])('cuts its batch into slices of $rows', async (slicing) => {
  const sliced = await runStep(gpu, trainingStep(), { compile: { slicing } })
  expect(sliced.plan.slices.length).toBeGreaterThan(0)
  const whole = await runStep(gpu, trainingStep())
  expect(whole.plan.slices).toEqual([])
  for (const [name, wanted] of Object.entries(whole.results)) expect(difference(sliced.results[name], wanted), name).toBeLessThan(2e-4)
})
