/** @file Equal bits at every thread count, whole and in parts; replays, ring slots and donated buffers. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { TypedArray } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { allCases, caseTitle } from '../cases/index.js'
import { caseGraphs } from './derivatives.js'
import { boundErrors, largest, largestError } from './error-bound.js'
import { largeCases } from './large-cases.js'
import { runStep, type StepRun } from './run-step.js'
import { runTraced } from './run-traced.js'
import { gsamStep, hessianProduct, matchingStep, rows, trainingStep } from './step-graphs.js'
import { wideConvCases } from './wide-conv-cases.js'

const threadCounts = [1, 2, 3, 8]
let devices: Device[]

beforeAll(async () => {
  devices = await Promise.all(threadCounts.map((threads) => Device.open({ threads })))
})

afterAll(async () => {
  await Promise.all(devices.map((device) => device.close()))
})

const bytesOf = (arrays: readonly TypedArray[]) =>
  Buffer.concat(arrays.map(({ buffer, byteOffset, byteLength }) => new Uint8Array(buffer as ArrayBuffer, byteOffset, byteLength)))

/** Buffers are compared by hand: a matcher would print megabytes. */
function expectSameBits(a: readonly TypedArray[], b: readonly TypedArray[], what: string): void {
  expect(Buffer.compare(new Uint8Array(bytesOf(a)), new Uint8Array(bytesOf(b))), what).toBe(0)
}

describe('op cases give the same bits at 1, 2, 3 and 8 threads', () => {
  it.each([...allCases, ...wideConvCases].map((c) => [caseTitle(c), c] as const))('%s', async (_, c) => {
    const runs = []
    for (const device of devices) {
      const results: TypedArray[] = []
      for (const { traced, inputs } of caseGraphs(c)) results.push(...(await runTraced(device, traced, inputs)).results)
      runs.push(results)
    }
    for (const [i, run] of runs.entries()) expectSameBits(run, runs[0], `${threadCounts[i]} threads`)
  })
})

describe('large cases', () => {
  it.each(largeCases.map((c) => [caseTitle(c), c] as const))('%s: same bits, near the reference', async (_, c) => {
    for (const { order, traced, inputs } of caseGraphs(c).slice(0, 2)) {
      const runs = []
      for (const device of devices) runs.push((await runTraced(device, traced, inputs)).results)
      for (const [i, run] of runs.entries()) expectSameBits(run, runs[0], `${order}, ${threadCounts[i]} threads`)
      const { reference, unit } = boundErrors(traced, inputs, 1)
      for (const [i, wanted] of reference.entries()) {
        expect(largestError(runs[0][i], wanted), `${order}, output ${i}`).toBeLessThanOrEqual(c.tolerance === 0 ? 0 : 32 * unit[i])
      }
    }
  })
})

/** Batch statistics end a region: with batch norm too little stays between them for a loop to pay everywhere. */
const steps = [
  ['a matching step', matchingStep(), true],
  ['a matching step with batch norm', matchingStep('batch'), false],
  ['a training step', trainingStep(), true],
  ['a training step with batch norm', trainingStep('batch'), false],
  ['a step of GSAM', gsamStep(), true],
  ['a Hessian-vector product', hessianProduct(), true],
  ['a Hessian-vector product with batch norm', hessianProduct('batch'), false],
] as const

const resultsOf = ({ results }: StepRun): TypedArray[] => Object.values(results)

describe.each(steps)('%s', (name, graph, isSliced) => {
  let whole: StepRun
  beforeAll(async () => {
    whole = await runStep(devices[1], graph, { compile: { slicing: 'off' } })
    expect(whole.plan.slices).toEqual([])
  })

  it('gives the same bits at 1, 2, 3 and 8 threads', async () => {
    for (const slicing of ['auto', { rows: 4 }, 'off'] as const) {
      const runs = []
      for (const device of devices) runs.push(await runStep(device, graph, { compile: { slicing } }))
      for (const [i, run] of runs.entries()) expectSameBits(resultsOf(run), resultsOf(runs[0]), `${threadCounts[i]} threads`)
    }
  })

  it('agrees in slices, lanes and tails with the whole batch', async () => {
    // Every result is a sum over rows in another order: differences scale with the largest gradient, zero ones included.
    const scale = Math.max(...resultsOf(whole).map((result) => largest(result)))
    for (const slicing of ['auto', { rows: 1 }, { rows: 16 }] as const) {
      for (const memoryBudget of [0, 2 ** 28]) {
        const { plan, results } = await runStep(devices[1], graph, { compile: { slicing, memoryBudget } })
        const what = `${name}, slicing ${JSON.stringify(slicing)}, memory budget ${memoryBudget}`
        if (isSliced) expect(Math.max(0, ...plan.slices.map(({ count }) => count)), what).toBeGreaterThan(4)
        for (const [output, result] of Object.entries(results)) {
          const reference = { shape: [], data: Float64Array.from(whole.results[output]) }
          expect(largestError(result, reference), `${what}: ${output}`).toBeLessThanOrEqual(1e-5 * scale)
        }
      }
    }
  })
})

it('cuts the batch of the matching step into slices with a tail, that of the training step into lanes', async () => {
  const matching = await runStep(devices[0], matchingStep())
  const covered = matching.plan.slices.map(({ count, size }) => count * size)
  expect(covered.some((n, i) => n + covered[i + 1] === rows)).toBe(true)
  const training = await runStep(devices[0], trainingStep())
  expect(training.plan.slices.some(({ lanes }) => lanes > 1)).toBe(true)
})

describe('replays', () => {
  it('gives the bits of n single runs in one call of n', async () => {
    const graph = matchingStep()
    const once = await runStep(devices[1], graph, { calls: [5], startStep: 6 })
    const singly = await runStep(devices[2], graph, { calls: [1, 1, 1, 1, 1], startStep: 6 })
    const mixed = await runStep(devices[0], graph, { calls: [2, 0, 3], startStep: 6 })
    expectSameBits(resultsOf(once), resultsOf(singly), 'one by one')
    expectSameBits(resultsOf(once), resultsOf(mixed), 'two calls')
    // Steps 6..10 of a ring of 8 leave slots 3..5 untouched.
    expect([...once.results.loss].map((loss) => loss > 0)).toEqual([true, true, true, false, false, false, true, true])
  })
})
