/** @file Defaults of dynamic pruning that depend on the method, as a run records them. */
import { describe, expect, it } from 'vitest'
import { createDataset } from '../../../../src/data/dataset.js'
import { resolveSettings } from '../../../../src/distill/settings.js'

const data = createDataset({
  name: 'noise',
  split: 'train',
  classes: ['a', 'b'],
  images: new Uint8Array(4 * 8 * 8 * 3),
  shape: [4, 8, 8, 3],
  labels: Int32Array.of(0, 1, 0, 1),
  mean: [0.5, 0.5, 0.5],
  std: [0.25, 0.25, 0.25],
  flip: true,
})

const everyOf = (method: string, dynamic = {}) => resolveSettings(data, { method, ipc: 1, network: 'mlp', dynamic }).config.dynamicEvery

describe('steps from look to look', () => {
  it.each([
    ['dm', 5],
    ['datadam', 5],
    ['dc', 40],
    ['dsa', 40],
  ])('of %s: %i where nothing is said', (method, every) => {
    expect(everyOf(method)).toBe(every)
  })

  it('are what is said', () => {
    expect(everyOf('dc', { every: 5 })).toBe(5)
    expect(everyOf('dm', { every: 30 })).toBe(30)
  })
})
