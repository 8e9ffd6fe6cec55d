/** @file Real batches by a data schedule: which rows they come from, and what a schedule is refused for. */
import { describe, expect, it } from 'vitest'
import { createSampler } from '../../../src/data/sampler.js'
import { methodByName } from '../../../src/distill/registry.js'
import { checkSchedule, realSampler, resolveSchedule, scheduleConfig } from '../../../src/distill/scheduled-rows.js'
import { resolveSettings } from '../../../src/distill/settings.js'
import { purpose } from '../../../src/engine/tensor/key.js'
import type { DistillOptions } from '../../../src/experiment/types.js'
import { type DataSchedule, padSchedule } from '../../../src/schedule/index.js'
import { noiseDataset } from '../../noise-dataset.js'

const rule = { initialRatio: 0.5, addEndEpoch: 2, removeMiddle: 3, removeEnd: 4, r1: 0.25, r2: 0.5, scope: 'class' } as const
const pad = () =>
  padSchedule({ ...rule, scores: Array.from(noiseDataset.labels, (_, i) => (i * 17) % 40), labels: noiseDataset.labels, classes: 2 })
const everything: DataSchedule = { name: 'all', config: {}, rows: () => Int32Array.from(noiseDataset.labels.keys()) }
const draws = { perClass: 3, seed: 5 }
const plain = createSampler({ dataset: noiseDataset, ...draws, purpose: purpose.realBatch })

describe('realSampler', () => {
  it('draws what a run without a schedule draws while all rows are there', () => {
    const all = realSampler(noiseDataset, { ...draws, schedule: { data: everything, every: 2 } })
    for (let step = 0; step < 9; step++) expect(all.draw(step)).toEqual(plain.draw(step))
    expect([all.counts, all.weights]).toEqual([plain.counts, plain.weights])
  })

  it('draws from the rows of the epoch that an iteration is in, in whatever order it is asked', async () => {
    const schedule = { data: await pad(), every: 3 }
    const sampler = realSampler(noiseDataset, { ...draws, schedule, iterationOf: (step) => Math.floor(step / 2) })
    const inOrder = Array.from({ length: 40 }, (_, step) => sampler.draw(step))
    for (const [step, rows] of inOrder.entries()) {
      const own = schedule.data.rows(Math.floor(step / 6))
      for (const row of rows) expect(own).toContain(row)
      for (const [place, row] of rows.entries()) expect(noiseDataset.labels[row]).toBe(Math.floor(place / 3))
    }
    for (const step of [39, 0, 20, 7, 6, 12]) expect(sampler.draw(step)).toEqual(inOrder[step])
    expect(sampler.drawClasses(20, 1, 2)).toEqual(inOrder[20].slice(3))
    // the easiest rows, and not all of those that a run without a schedule draws
    expect(inOrder.flatMap((rows) => [...rows])).not.toEqual(Array.from({ length: 40 }, (_, step) => [...plain.draw(step)]).flat())
  })
})

const general = { method: 'dm', ipc: 1, realBatch: 3, network: 'mlp', iterations: 12 }
const settings = (given: Partial<DistillOptions>) => resolveSettings(noiseDataset, { ...general, ...given } as never)

describe('a schedule is refused', () => {
  it('where a step takes more of a class than an epoch of the run has', async () => {
    const schedule = await pad()
    // of the class of 6 images an epoch has 3 at first
    await checkSchedule(noiseDataset, settings({ schedule }))
    const more = settings({ schedule, realBatch: 4 })
    await expect(checkSchedule(noiseDataset, more)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(/class 'b' in epoch 0.*at least the 4.*received 3/),
    })
  })

  it('that has rows of other data', async () => {
    const schedule: DataSchedule = { name: 'other', config: {}, rows: () => Int32Array.of(0, 40) }
    await expect(checkSchedule(noiseDataset, settings({ schedule }))).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringMatching(/rows from 0 to 39.*40/),
    })
  })

  it.each<[string, Partial<DistillOptions>, RegExp]>([
    ['that is none', { schedule: 'pad' as never }, /a data schedule/],
    ['without epochs', { schedule: everything, scheduleEvery: 0 }, /scheduleEvery/],
    ['where there is none', { scheduleEvery: 3 }, /a schedule beside it/],
    ['beside dynamic pruning', { schedule: everything, dynamic: {} }, /dynamic pruning/],
    [
      'by methods that take no real images',
      { method: 'mtt', realBatch: undefined as never, schedule: everything },
      /aludel experts --schedule/,
    ],
  ])('%s', (_, given, message) => {
    expect(() => settings(given)).toThrow(message)
  })
})

it('has a hundredth of the iterations an epoch, and is part of what a run is', async () => {
  const about = { method: methodByName('dm'), dynamic: false }
  expect(resolveSchedule({ schedule: everything }, { ...about, iterations: 250 })?.every).toBe(3)
  const schedule = await pad()
  expect(scheduleConfig({ data: schedule, every: 3 })).toMatchObject({
    ...{ schedule: 'pad', scheduleEvery: 3, scheduleInitialRatio: 0.5, scheduleRanking: schedule.config.ranking },
  })
  expect(settings({ schedule, scheduleEvery: 4 }).config).toMatchObject({ schedule: 'pad', scheduleEvery: 4, scheduleR2: 0.5 })
})
