/** @file The order of more rows than are sorted in one piece. */
import { expect, it } from 'vitest'
import { stableOrder } from '../../../src/prune/stable-order.js'
import { gridMatrix, randomMatrix } from '../scores/matrices.js'

it.each([0, 1, 1023, 1024, 1025, 5000])('is that of a stable sort of %i rows', async (n) => {
  const rows = Int32Array.from({ length: n }, (_, i) => 2 * i)
  for (const { data } of [gridMatrix(2 * n + 1, 1, 5), randomMatrix(2 * n + 1, 1, 5)]) {
    const keys = Float64Array.from(data)
    expect(await stableOrder(rows, keys)).toEqual(Int32Array.from([...rows].sort((a, b) => keys[a] - keys[b])))
  }
})

it('takes keys whose difference overflows, and 0 and -0 for equal', async () => {
  const keys = Float64Array.of(1e308, -1e308, 0, -0, Number.MIN_VALUE)
  expect([...(await stableOrder(Int32Array.of(0, 1, 2, 3, 4), keys))]).toEqual([1, 2, 3, 4, 0])
})
