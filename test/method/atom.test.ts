/** @file ATOM: the method contract, its presets and options, and DataDAM as its special case. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DistillSettings } from '../../src/experiment/types.js'
import { runOn, stripes, testMethod } from './contract.js'

testMethod('atom')

const dataset = stripes([9, 8, 10])
const settings: DistillSettings = { method: 'atom', ipc: 2, iterations: 2, realBatch: 5, seed: 1 }

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 1 })
})
afterAll(() => device.close())

describe('atom: presets and options', () => {
  it.each([
    ['default', { network: 'convnet', spatialWeight: 1, channelWeight: 1, gamma: null, layers: [1] }],
    ['batch-norm', { network: 'convnet-bn', spatialWeight: 1, channelWeight: 1 }],
    ['channel-only', { network: 'convnet', spatialWeight: 0, channelWeight: 1 }],
  ])('preset %s: in the settings, the same bits at 1 and 3 threads', async (preset, config) => {
    const [one, three] = [await runOn(dataset, { ...settings, preset }, 1), await runOn(dataset, { ...settings, preset }, 3)]
    const shared = { preset, spatialPower: 4, channelPower: 4, lambda: 0.01, gain: 100 }
    expect(one.set.config).toMatchObject({ ...shared, ...config })
    expect(three.set.images).toEqual(one.set.images)
  })

  it('gamma sets both weights', async () => {
    const { set } = await runOn(dataset, { ...settings, methodOptions: { gamma: 0.75 } }, 1)
    expect(set.config).toMatchObject({ gamma: 0.75, spatialWeight: 0.25, channelWeight: 0.75 })
    const weights = { spatialWeight: 0.25, channelWeight: 0.75 }
    const same = await runOn(dataset, { ...settings, methodOptions: weights }, 1)
    expect(same.set.images).toEqual(set.images)
  })

  it('is DataDAM without its channel terms', async () => {
    const start = { ...settings, iterations: 1, network: 'convnet' }
    const datadam = await runOn(dataset, { ...start, method: 'datadam', preset: 'paper' }, 1)
    const reduced = await runOn(dataset, { ...start, methodOptions: { channelWeight: 0 } }, 1)
    const difference = reduced.set.images.map((v, i) => Math.abs(v - datadam.set.images[i]))
    expect(Math.max(...difference)).toBeLessThan(1e-4)
  })

  it.each<[Record<string, number>, RegExp]>([
    [{ power: 4 }, /expected one of spatialWeight, channelWeight, gamma, spatialPower, .* but received 'power'/],
    [{ gamma: 1.5 }, /atom gamma: expected a number from 0 to 1 but received 1.5/],
    [{ gamma: 0.5, channelWeight: 1 }, /gamma or spatialWeight and channelWeight but received both; drop one/],
    [{ spatialWeight: 0, channelWeight: 0, lambda: 0 }, /expected a weight above 0/],
    [{ channelPower: -1 }, /atom channelPower: expected a number > 0 but received -1/],
  ])('refuses %j', (methodOptions, message) => {
    expect(() => distill(dataset, { ...settings, methodOptions, device })).toThrow(
      expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(message) }),
    )
  })
})
