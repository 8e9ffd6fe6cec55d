/** @file DSA: the method contract, and that both sides of a step see the same augmentation. */
import { expect, it } from 'vitest'
import { runOn, stripes, testMethod } from './contract.js'

const methodOptions = { outerLoop: 2, innerLoop: 2 }

testMethod('dsa', { methodOptions })

it('dsa: images that are all of their class have its gradients under every augmentation', async () => {
  const dataset = stripes([4, 4, 4])
  const start = {
    method: 'dsa',
    ipc: 4,
    realBatch: 4,
    iterations: 20,
    seed: 2,
    imageLr: 1e-9,
    methodOptions: { outerLoop: 1, metric: 'mse' },
  }
  const losses = async (changes: object) => {
    const { events } = await runOn(dataset, { ...start, ...changes }, 1)
    return events.flatMap((event) => (event.type === 'step' ? [event.loss] : []))
  }
  const alike = await losses({})
  const other = await losses({ init: 'noise' })
  expect(Math.max(...alike)).toBeLessThan(1e-6 * Math.min(...other))
})
