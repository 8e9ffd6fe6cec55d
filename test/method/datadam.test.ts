/** @file DataDAM: the method contract under both presets, its options, and what lands in the run's settings. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DistillSettings, RunEvent } from '../../src/experiment/types.js'
import { runOn, stripes, testMethod } from './contract.js'

testMethod('datadam')
testMethod('datadam', { preset: 'paper' })

const dataset = stripes([9, 8, 10])
const settings: DistillSettings = { method: 'datadam', ipc: 2, iterations: 2, realBatch: 5, seed: 1, augment: 'none' }
const losses = (events: readonly RunEvent[]) => events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 1 })
})
afterAll(() => device.close())

describe('datadam: presets and options', () => {
  it.each([
    [undefined, { preset: 'code', network: 'convnet-bn', power: 1, lambda: 0.01, gain: 100, layers: [1] }],
    ['paper', { preset: 'paper', network: 'convnet', power: 4, lambda: 0.01, gain: 100, layers: [1] }],
  ])('preset %s is in the settings of the run, with the layers that were matched', async (preset, config) => {
    const { events, set } = await runOn(dataset, { ...settings, ...(preset ? { preset } : {}) }, 1)
    expect(events[0]).toMatchObject({ config })
    expect(set.config).toMatchObject(config)
  })

  it('takes options over the preset', async () => {
    const { set } = await runOn(dataset, { ...settings, network: 'convnet', methodOptions: { power: 2, lambda: 0, layers: [2, 1] } }, 1)
    expect(set.config).toMatchObject({ network: 'convnet', power: 2, lambda: 0, gain: 100, layers: [1, 2] })
  })

  it('multiplies the whole loss by the gain', async () => {
    const first = async (gain: number) => losses((await runOn(dataset, { ...settings, methodOptions: { gain } }, 1)).events)[0]
    expect((await first(100)) / (await first(1))).toBeCloseTo(100, 3)
  })

  it.each([0.5, 1.5, 3, 5])('stays finite with p = %s, where most activations are 0', async (power) => {
    const { events, set } = await runOn(dataset, { ...settings, methodOptions: { power, lambda: 0 } }, 1)
    expect(losses(events).every((loss) => Number.isFinite(loss) && loss > 0)).toBe(true)
    expect(set.images.every(Number.isFinite)).toBe(true)
  })

  it.each<[Record<string, unknown>, RegExp]>([
    [{ spatialWeight: 1 }, /options of datadam: expected one of power, lambda, gain, layers but received 'spatialWeight'/],
    [{ power: 0 }, /datadam power: expected a number > 0 but received 0/],
    [{ power: '4' }, /datadam power: expected a number > 0 but received '4'/],
    [{ lambda: -1 }, /datadam lambda: expected a number >= 0 but received -1/],
    [{ gain: Number.NaN }, /datadam gain: expected a number > 0 but received NaN/],
    [{ layers: [] }, /datadam layers: expected different block numbers .* but received \[\]/],
    [{ layers: [1, 1] }, /datadam layers: .* received \[1, 1\]/],
    [{ layers: [0] }, /datadam layers: .* received \[0\]/],
    [{ layers: [3] }, /layers: expected block numbers up to 2 of convnet2 but received 3/],
  ])('refuses %j', (methodOptions, message) => {
    const wrong = { ...settings, methodOptions: methodOptions as { power: number } }
    expect(() => distill(dataset, { ...wrong, device })).toThrow(
      expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(message) }),
    )
  })
})
