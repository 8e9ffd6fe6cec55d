/** @file Validation on held-out images through the loop: what is kept, where a run ends, that it continues to the same bytes; and all rates of a run that goes back. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill, kernelAccuracy } from '../../src/distill/index.js'
import { holdOut, rowsBeside } from '../../src/distill/regression/held-out.js'
import { labelDraws } from '../../src/distill/regression/label-draws.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { Checkpoint, DistillOptions, RunEvent } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { planRun } from '../../src/plan/plan.js'
import { memoryStore } from '../method/contract.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'

const network = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 8, norm: 'none' })
const seed = 3

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

interface Given extends Partial<DistillOptions<Device>> {
  readonly stopAt?: number
}

const looks = { validateEvery: 2, validateImages: 2, patience: 6 }
const random = { method: 'rfad', network, methodOptions: { ...looks, networks: 2, validateNetworks: 3 } }
const exact = { method: 'kip', methodOptions: looks }

async function follow({ stopAt, ...given }: Given) {
  const run = distill(noiseDataset, { ...{ method: 'rfad', ipc: 2, iterations: 60, realBatch: 12, seed, device }, ...given })
  const events: RunEvent[] = []
  for await (const event of run) {
    events.push(event)
    if (event.type === 'step' && event.step === stopAt) run.stop()
  }
  const set = await run.result
  const looked = events.flatMap((event) => (event.type === 'step' && event.validation ? [{ step: event.step, ...event.validation }] : []))
  return { set, events, looked, numbers: [[...set.images], set.targets && [...set.targets]] }
}

describe.each<[string, Given]>([
  ['rfad', { ...random, imageLr: 3e-3 }],
  ['rfad without a matrix, with fixed labels', { ...random, methodOptions: { ...random.methodOptions, transformLr: 0, labels: 'fixed' } }],
  ['kip', { ...exact, imageLr: 0.01 }],
])('%s', (_, given) => {
  it('keeps the set of the lowest loss, and ends when none was lower for so long', async () => {
    const { looked, events, set, numbers } = await follow(given)
    const best = looked.reduce((a, b) => (b.loss < a.loss ? b : a))
    const last = looked.at(-1)!
    expect([last.step - best.step, looked.map(({ step }) => step)]).toEqual([6, looked.map((_, i) => 2 * (i + 1))])
    for (const [i, { step, bestStep }] of looked.entries())
      expect(bestStep).toBe(looked.slice(0, i + 1).reduce((a, b) => (b.loss < a.loss ? b : a)).step || step)
    expect(events.at(-1)).toMatchObject({ type: 'done', step: last.step, stopped: false })
    expect(events.at(-2)).toEqual({
      type: 'notice',
      message: expect.stringMatching(`ends after step ${last.step}: .* after step ${best.step},`),
    })
    expect(set.config).toMatchObject({ steps: last.step, bestStep: best.step, validateImages: 2 })
    // the run that ends there has that set itself, and one that only looks there keeps nothing else
    const { numbers: there } = await follow({ ...given, iterations: best.step })
    expect(there).toEqual(numbers)
    const { numbers: worse } = await follow({ ...given, iterations: best.step + 4 })
    expect(worse).toEqual(numbers)
    const off = await follow({
      ...given,
      iterations: best.step + 4,
      methodOptions: { ...given.methodOptions, validateEvery: best.step, patience: 0 },
    })
    expect(off.numbers).toEqual(numbers)
  })

  it('continues to the same bytes, the best set included, at another number of threads', async () => {
    const all = memoryStore()
    const whole = await follow({ ...given, checkpoints: all, checkpointEvery: 1 })
    const other = await Device.open({ threads: 3 })
    try {
      for (const stopAt of [5, whole.looked.at(-1)!.bestStep + 3]) {
        const store = memoryStore()
        await follow({ ...given, checkpoints: store, checkpointEvery: 1, stopAt })
        const reached = store.saved.at(-1)!.counters.step
        const rest = await follow({ ...given, checkpoints: store, checkpointEvery: 1, device: other })
        expect(rest.numbers).toEqual(whole.numbers)
        expect(rest.looked).toEqual(whole.looked.filter(({ step }) => step > reached))
        expect(state(store.saved.at(-1)!)).toEqual(state(all.saved.at(-1)!))
        // and once more: nothing is left to do
        const again = await follow({ ...given, checkpoints: store })
        expect([again.looked, again.numbers]).toEqual([[], whole.numbers])
      }
    } finally {
      await other.close()
    }
  })
})

const state = ({ tensors, counters }: Checkpoint) => ({
  counters,
  tensors: Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, [...data]])),
})

it('tells loss and accuracy as kernelAccuracy has them of the images held out', async () => {
  const { set, looked } = await follow({ ...exact, imageLr: 0.01 })
  const held = noiseDataset.subset(holdOut(noiseDataset, 2, seed).rows)
  const { loss, accuracy } = await kernelAccuracy(set, { device, test: held })
  const best = looked.find(({ step, bestStep }) => step === bestStep && step === looked.at(-1)!.bestStep)!
  expect(best.accuracy).toBe(accuracy)
  expect(best.loss).toBeCloseTo(loss, 6)
})

it('looks under the same networks every time, which are none of those that it learns under', async () => {
  const still = { ...random, imageLr: 1e-30, iterations: 6, methodOptions: { ...random.methodOptions, transformLr: 0, scaleLr: 0 } }
  const { looked, events } = await follow({ ...still, methodOptions: { ...still.methodOptions, labels: 'fixed', patience: 0 } })
  expect(new Set(looked.map(({ loss }) => loss)).size).toBe(1)
  expect(looked.map(({ bestStep }) => bestStep)).toEqual([2, 2, 2])
  expect(new Set(events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))).size).toBe(6)
})

it('starts and learns from the images that are left', async () => {
  const { rows, mask } = holdOut(noiseDataset, 2, seed)
  expect([...rows].map((row) => noiseDataset.labels[row])).toEqual([0, 0, 1, 1])
  const { set } = await follow({ ...random, ipc: 4, iterations: 1 })
  // all that class 'b' has left
  const left = [...noiseDataset.classIndices(1)].filter((row) => mask[row] === 0)
  expect([...set.sourceIds!.slice(4)].sort((a, b) => a - b)).toEqual(left)
  expect([...set.sourceIds!].some((row) => mask[row] === 1)).toBe(false)
  const held = { rows, mask }
  const passes = labelDraws(noiseDataset, { rows: 12, draws: 'shuffled', seed, held })
  const drawn = [...(await passes(0)), ...(await passes(1)), ...(await passes(2))]
  const others = Array.from({ length: 40 }, (_, row) => row).filter((row) => mask[row] === 0)
  expect([...drawn].sort((a, b) => a - b)).toEqual(others)
  const balanced = labelDraws(noiseDataset, { rows: 8, draws: 'balanced', seed, held })
  expect([...(await balanced(0)).slice(4)].sort((a, b) => a - b)).toEqual(left)
  expect(rowsBeside(noiseDataset, held).shape[0]).toBe(36)
})

it('is counted where a run is planned', async () => {
  const planned = async (validateEvery: number) => {
    const methodOptions = { ...random.methodOptions, validateEvery }
    const settings = { ...random, methodOptions, ipc: 2, iterations: 6, realBatch: 12, seed }
    const plan = await planRun(noiseDataset, { ...settings, device })
    const run = distill(noiseDataset, { ...settings, device })
    let held = 0
    for await (const event of run) if (event.type === 'start') held = device.memory().arrayBytes
    await run.result
    expect(plan.phases[0].bytes.arrays).toBe(held)
    return plan
  }
  const [off, rare, often] = [await planned(0), await planned(4), await planned(2)]
  expect(rare.phases[0].flops - off.phases[0].flops).toBeGreaterThan(0)
  expect((often.phases[0].flops - off.phases[0].flops) / (rare.phases[0].flops - off.phases[0].flops)).toBeGreaterThan(1.5)
  expect(rare.stateBytes - off.stateBytes).toBe(4 * noiseSide ** 2 * 3 * 4 + 4 * 2 * 4 + 8 + 4)
})

it.each<[string, Given, RegExp]>([
  [
    'more images than are left',
    { ...exact, methodOptions: { validateEvery: 1, validateImages: 5 } },
    /validateImages: expected at most 4 .* 6/,
  ],
  ['more than there are', { ...random, methodOptions: { validateImages: 1000 } }, /validateImages: expected at most 4 images of a class/],
  [
    'no patience',
    { ...random, methodOptions: { validateEvery: 40, patience: 39 } },
    /patience: expected 0, or at least validateEvery \(40\)/,
  ],
  ['half a step', { ...random, methodOptions: { validateEvery: 0.5 } }, /rfad validateEvery: expected a whole number >= 0/],
  ['no image', { ...random, methodOptions: { validateImages: 0 } }, /rfad validateImages: expected a whole number >= 1/],
  ['no network', { ...random, methodOptions: { validateNetworks: 0 } }, /rfad validateNetworks: expected a whole number from 1 to 256/],
  ['labels that are solved for', { ...exact, methodOptions: { ...looks, labels: 'solve' } }, /kip validateEvery: labels are solved for/],
])('refuses %s', async (_, given, message) => {
  await expect((async () => follow(given))()).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringMatching(message) })
})

describe('a run that goes back', () => {
  const diverging = { ...random, imageLr: 7.5e36, iterations: 6, onDivergence: 'rollback' } as const

  it('learns all that it learns at half the rates, as its event says', async () => {
    const store = memoryStore()
    const { events } = await follow({ ...diverging, checkpoints: store, checkpointEvery: 1 })
    const [back, ...more] = events.filter(({ type }) => type === 'rollback')
    expect(back).toMatchObject({ to: 0, rollbacks: 1, imageLr: 3.75e36, rates: { transformLr: 2.5e-5, scaleLr: 0.005 } })
    expect(more).toEqual([])
    const firsts = store.saved.filter(({ counters }) => counters.step === 1)
    const [before, after] = firsts.map(({ tensors: { images, targets, transform, logScale } }) => ({
      ...{ image: images.data[0], logScale: logScale.data[0], transform: transform.data[1], target: targets.data[0] - 0.5 },
    }))
    // AdaBelief's first step is the rate itself, whatever the gradient; pixels and labels move at that of the images
    for (const name of ['image', 'logScale', 'transform', 'target'] as const) expect(after[name] / before[name]).toBeCloseTo(0.5, 3)
  })

  it('continues to the same bytes before and after', async () => {
    const whole = await follow(diverging)
    for (const stopAt of [2, 5]) {
      const store = memoryStore()
      await follow({ ...diverging, checkpoints: store, checkpointEvery: 1, stopAt })
      const rest = await follow({ ...diverging, checkpoints: store })
      expect(rest.numbers).toEqual(whole.numbers)
    }
  })
})
