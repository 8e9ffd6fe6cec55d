/** @file k-center greedy against a search over all pairs, on rows full of ties and duplicates. */
import { expect, it } from 'vitest'
import { kCenterGreedy } from '../../../src/scores/k-center.js'
import { distance, gridMatrix, matrixOf, rowsOf } from './matrices.js'

/** All distances, every time anew; the first row wins. */
function searchAll(rows: number[][], count: number, start: number[]): { chosen: number[]; radii: number[] } {
  const chosen: number[] = []
  const radii: number[] = []
  const toChosen = (row: number) => Math.min(...chosen.map((c) => distance(rows[row], rows[c])))
  while (chosen.length < count) {
    const left = [...rows.keys()].filter((row) => !chosen.includes(row))
    const next = start[chosen.length] ?? left.reduce((best, row) => (toChosen(row) > toChosen(best) ? row : best))
    chosen.push(next)
    radii.push(Math.max(...rows.map((_, row) => toChosen(row))))
  }
  return { chosen, radii }
}

it.each([1, 2, 3, 4])('takes what the search takes (set %i)', async (seed) => {
  const features = gridMatrix(40, 3, seed)
  for (const start of [[7], [39, 0, 12]]) {
    const { indices, radii } = await kCenterGreedy(features, 40, { start })
    const wanted = searchAll(rowsOf(features), 40, start)
    expect([...indices]).toEqual(wanted.chosen)
    expect([...radii]).toEqual(wanted.radii)
  }
})

it('starts at the row nearest to the mean, the first of equals', async () => {
  const { indices } = await kCenterGreedy(matrixOf([[0], [6], [4], [2], [8], [4]]), 2)
  expect([...indices]).toEqual([2, 0])
})

it('counts the rows of start in', async () => {
  const { indices } = await kCenterGreedy(matrixOf([[0], [1], [2]]), 2, { start: [2, 0] })
  expect([...indices]).toEqual([2, 0])
})

it('refuses what it cannot start from', async () => {
  const features = gridMatrix(5, 2, 1)
  await expect(kCenterGreedy(features, 1, { start: [0, 1] })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(kCenterGreedy(features, 3, { start: [1, 1] })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(kCenterGreedy(features, 3, { start: 5 })).rejects.toMatchObject({ code: 'invalid_index' })
  await expect(kCenterGreedy(features, 6)).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(kCenterGreedy(matrixOf([[0], [Number.POSITIVE_INFINITY]]), 1)).rejects.toMatchObject({ code: 'not_finite' })
})
