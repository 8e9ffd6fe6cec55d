/** @file The choice of images by who classifies them right, and means over the experts that do: cases that the golden vectors leave out. */
import fc from 'fast-check'
import { expect, it } from 'vitest'
import { chooseRight, predictedClass, RightLogits } from '../../../src/distill/trajectory/initial-labels.js'

it('takes the first of equal logits', () => {
  expect([0, 1].map((row) => predictedClass([1, 2, 2, 5, 5, 5], row, 3))).toEqual([1, 0])
})

it('averages over all experts where none is right', () => {
  const mean = new RightLogits([0, 1], 2)
  mean.add([1, 3, 2, 8])
  mean.add([0, 4, 6, 1])
  expect([...mean.mean()]).toEqual([0.5, 3.5, 2, 8])
})

it('chooses as one image after the other does, however many are asked for together', async () => {
  const settings = fc.record({
    counts: fc.array(fc.integer({ min: 0, max: 9 }), { minLength: 1, maxLength: 4 }),
    experts: fc.integer({ min: 1, max: 3 }),
    ipc: fc.integer({ min: 1, max: 5 }),
    together: fc.integer({ min: 1, max: 12 }),
    seed: fc.integer({ min: 1, max: 1000 }),
  })
  await fc.assert(
    fc.asyncProperty(settings, async ({ counts, experts, ipc, together, seed }) => {
      const isRight = (expert: number, row: number) => (row * 7919 + expert * 104729 + seed * 31) % 3 === 0
      let next = 0
      const orders = counts.map((count) => Int32Array.from({ length: count }, () => next++))
      const wanted = orders.map((order) => {
        const chosen: number[] = []
        for (let expert = 0; expert < experts; expert++)
          for (const row of order) if (chosen.length < ipc && !chosen.includes(row) && isRight(expert, row)) chosen.push(row)
        return chosen
      })
      const asked: number[] = []
      const { rows } = await chooseRight(orders, {
        ...{ ipc, experts: Array.from({ length: experts }, (_, e) => e), together },
        async right(expert, some) {
          asked.push(some.length)
          return Array.from(some, (row) => isRight(expert, row))
        },
      })
      expect(rows).toEqual(wanted)
      expect(Math.max(0, ...asked)).toBeLessThanOrEqual(together)
    }),
  )
})
