/** @file Whole steps on the GPU against the CPU: matching, training, second order; replayed from a captured graph, one by one, sliced or not. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TypedArray } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { runStep, type StepRun, type StepRunOptions } from '../device/run-step.js'
import { gsamStep, hessianProduct, matchingStep, type StepGraph, trainingStep } from '../device/step-graphs.js'

let gpu: Device
let cpu: Device
beforeAll(async () => {
  gpu = await Device.open({ device: 'cuda', precision: 'f32' })
  cpu = await Device.open({ device: 'cpu', threads: 1 })
})
afterAll(() => Promise.all([gpu.close(), cpu.close()]))

const largest = (values: TypedArray): number => Array.from(values, Number).reduce((most, v) => Math.max(most, Math.abs(v)), 0)

/**
 * Every output within 2e-4 of its largest number. Some are zero but for roundings (the bias in front of a norm has no gradient): their size is
 * that of all outputs together, of which they may be a millionth.
 */
function expectClose(ours: StepRun['results'], wanted: StepRun['results']): void {
  const whole = Math.max(...Object.values(wanted).map(largest))
  expect(whole).toBeGreaterThan(0)
  for (const [name, values] of Object.entries(wanted)) {
    const difference = largest(Float64Array.from(values, (v, i) => Number(v) - Number(ours[name][i])))
    expect(difference, name).toBeLessThan(Math.max(2e-4 * largest(values), 1e-6 * whole))
  }
}

async function compare(graph: StepGraph, options: StepRunOptions): Promise<void> {
  const [ours, theirs] = [await runStep(gpu, graph, options), await runStep(cpu, graph, options)]
  expectClose(ours.results, theirs.results)
}

describe.each([
  ['matching', matchingStep],
  ['training', trainingStep],
  ['training by GSAM', gsamStep],
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

it.each([{ rows: 1 }, { rows: 16 }, { rows: 96 }])('cuts its batch into slices of $rows', async (slicing) => {
  const sliced = await runStep(gpu, trainingStep(), { compile: { slicing } })
  expect(sliced.plan.slices.length).toBeGreaterThan(0)
  const whole = await runStep(gpu, trainingStep())
  expect(whole.plan.slices).toEqual([])
  expectClose(sliced.results, whole.results)
})
