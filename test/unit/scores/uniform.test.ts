/** @file Random rows: every row once, from the seed alone. */
import { expect, it } from 'vitest'
import { drawUniform } from '../../../src/scores/uniform.js'

it('draws without replacement, a longer draw beginning with the shorter', async () => {
  const all = await drawUniform(50, 50, 3)
  expect(all.toSorted()).toEqual(Int32Array.from({ length: 50 }, (_, i) => i))
  expect(await drawUniform(50, 11, 3)).toEqual(all.subarray(0, 11))
  expect(await drawUniform(50, 0, 3)).toHaveLength(0)
})

it('depends on seed and part', async () => {
  const draws = [
    await drawUniform(50, 50, 3),
    await drawUniform(50, 50, 4),
    await drawUniform(50, 50, 3, 1),
    await drawUniform(50, 50, 3, 'ccs'),
  ]
  expect(new Set(draws.map(String)).size).toBe(4)
})

it('gives every place every row about as often', async () => {
  const first = new Int32Array(5)
  for (let seed = 0; seed < 2000; seed++) first[(await drawUniform(5, 1, seed))[0]]++
  // six standard deviations of a binomial of 2000 draws at 1/5
  for (const count of first) expect(Math.abs(count - 400)).toBeLessThan(6 * Math.sqrt(2000 * 0.2 * 0.8))
})

it('refuses more rows than there are, and bad seeds', async () => {
  await expect(drawUniform(5, 6, 0)).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(drawUniform(5, 2, -1)).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(drawUniform(0, 0, 0)).rejects.toMatchObject({ code: 'invalid_option' })
})
