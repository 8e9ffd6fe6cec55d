/** @file Herding against float64 golden orders. */
import { expect, it } from 'vitest'
import { herd } from '../../../src/scores/herding.js'
import golden from '../../golden/selection/herding.json' with { type: 'json' }

const flat = (rows: readonly (readonly number[])[]) => Float64Array.from(rows.flat())
const width = golden.X[0].length

it('follows the golden order, from float32 features as well', async () => {
  for (const features of [flat(golden.X), Float32Array.from(flat(golden.X))]) {
    expect([...(await herd(features, width, golden.order.length))]).toEqual(golden.order)
  }
})

it('follows the golden order of each class', async () => {
  for (const [label, order] of Object.entries(golden.perClass)) {
    const rows = golden.y.flatMap((y, row) => (y === Number(label) ? [row] : []))
    const chosen = await herd(flat(rows.map((row) => golden.X[row])), width, order.length)
    expect(Array.from(chosen, (i) => rows[i])).toEqual(order)
  }
})

it('takes the first row on ties, and every row once', async () => {
  expect([...(await herd(flat(golden.ties.X), 2, golden.ties.order.length))]).toEqual(golden.ties.order)
})

it('refuses more rows than there are, and features that are no numbers', async () => {
  await expect(herd(new Float32Array(6), 2, 4)).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(herd(Float32Array.of(Number.NaN, 1), 1, 1)).rejects.toMatchObject({ code: 'not_finite' })
})
