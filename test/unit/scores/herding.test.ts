/** @file Herding against float64 golden orders, and what it refuses. */
import { expect, it } from 'vitest'
import { herd } from '../../../src/scores/herding.js'
import golden from '../../golden/data/selection/geometry.json' with { type: 'json' }
import { matrixOf } from './matrices.js'

it('follows the golden order, from float32 features as well', async () => {
  const x = matrixOf(golden.X)
  for (const features of [x, { ...x, data: Float32Array.from(x.data) }])
    expect([...(await herd(features, golden.k))]).toEqual(golden.herding.order)
})

it('takes the first row on ties, and every row once', async () => {
  expect([...(await herd(matrixOf(golden.ties.X), 8))]).toEqual(golden.ties.herding)
})

it("follows Welling's rule, with repeats as well", async () => {
  const x = matrixOf(golden.X)
  expect([...(await herd(x, 12, { rule: 'welling' }))]).toEqual(golden.herding_welling_without_replacement)
  expect([...(await herd(x, 12, { rule: 'welling', repeats: true }))]).toEqual(golden.herding_welling_with_replacement)
  expect(await herd(x, 40, { rule: 'welling', repeats: true })).toHaveLength(40)
})

it('takes rows whose distances overflow', async () => {
  expect([...(await herd(matrixOf([[1e200], [-1e200]]), 2))]).toHaveLength(2)
})

it('refuses more rows than there are, other rules, and features that are no numbers', async () => {
  const x = matrixOf(golden.X)
  await expect(herd(x, 31)).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(herd(x, 31, { rule: 'welling' })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(herd(x, 3, { rule: 'argmax' as 'welling' })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(herd(x, 3, { repeats: true })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(herd(matrixOf([[Number.NaN], [1]]), 1)).rejects.toMatchObject({ code: 'not_finite' })
  await expect(herd({ data: new Float32Array(5), shape: [3, 2] }, 1)).rejects.toMatchObject({ code: 'invalid_shape' })
})
