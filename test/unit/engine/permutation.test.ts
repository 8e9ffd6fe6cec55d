/** @file Random orders: what a sort by word and index gives, in steps that leave the event loop to others. */
import { expect, it } from 'vitest'
import { keyOf } from '../../../src/engine/tensor/key.js'
import { permutation, permuting, randomBits } from '../../../src/engine/tensor/philox.js'
import { inTurns, Turn } from '../../../src/event-loop.js'

it.each([0, 1, 2, 5, 2047, 70_001])('%i indices are sorted by word and index', (length) => {
  const bits = randomBits(keyOf(5), 3, 2, length)
  const wanted = Int32Array.from({ length }, (_, i) => i).sort((a, b) => bits[a] - bits[b] || a - b)
  expect(permutation(keyOf(5), 3, 2, length)).toEqual(wanted)
})

it('a long order leaves turns to others, and is the same', async () => {
  let turns = 0
  const timer = setInterval(() => turns++, 1)
  const order = await inTurns(permuting(keyOf(5), 0, 1, 500_000), new Turn())
  clearInterval(timer)
  expect(turns).toBeGreaterThan(3)
  const whole = permutation(keyOf(5), 0, 1, 500_000)
  expect(order.every((row, i) => row === whole[i])).toBe(true)
})
