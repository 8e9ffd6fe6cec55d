/** @file CRAIG against plain greedy steps, GradMatch against refits from scratch, gradients of the last layer, least squares. */
import { describe, expect, it } from 'vitest'
import { craig } from '../../../src/scores/craig.js'
import { gradMatch } from '../../../src/scores/grad-match.js'
import { lastLayerGradients } from '../../../src/scores/last-layer-gradients.js'
import { leastSquares, nonNegativeLeastSquares } from '../../../src/scores/least-squares.js'
import { distance, gridMatrix, matrixOf, randomMatrix, rowsOf } from './matrices.js'

describe('craig', () => {
  it.each([1, 2, 3])('takes what plain greedy steps take, ties and duplicates included (set %i)', async (seed) => {
    const gradients = gridMatrix(30, 2, seed)
    const rows = rowsOf(gradients)
    const largest = Math.max(...rows.flatMap((a) => rows.map((b) => distance(a, b))))
    const similarity = (i: number, j: number) => largest - distance(rows[i], rows[j]) + 1e-3
    const covered = rows.map(() => 0)
    const order: number[] = []
    while (order.length < 30) {
      const gain = (j: number) => rows.reduce((sum, _, i) => sum + Math.max(0, similarity(i, j) - covered[i]), 0)
      const left = [...rows.keys()].filter((j) => !order.includes(j))
      const best = left.reduce((b, j) => (gain(j) > gain(b) ? j : b))
      order.push(best)
      rows.forEach((_, i) => {
        covered[i] = Math.max(covered[i], similarity(i, best))
      })
    }
    const { indices, weights } = await craig(gradients, 30)
    expect([...indices]).toEqual(order)
    expect(weights.reduce((sum, w) => sum + w, 0)).toBe(30)
  })

  it('stands for all rows whatever their number', async () => {
    expect((await craig(randomMatrix(20, 3, 4), 3)).weights.reduce((sum, w) => sum + w, 0)).toBe(20)
    expect((await craig(matrixOf([[2], [2]]), 1)).weights).toEqual(Float64Array.of(2))
    expect((await craig(matrixOf([[2], [2]]), 0)).indices).toHaveLength(0)
  })
})

describe('gradMatch', () => {
  it('leaves no descent direction that weights >= 0 could use', async () => {
    const gradients = randomMatrix(40, 6, 5)
    const { indices, weights } = await gradMatch(gradients, 12, { lambda: 0.5 })
    const rows = rowsOf(gradients)
    const mean = rows[0].map((_, i) => rows.reduce((sum, row) => sum + row[i], 0) / rows.length)
    const dot = (a: ArrayLike<number>, b: ArrayLike<number>) => Array.from(a).reduce((sum, x, i) => sum + x * b[i], 0)
    const normal = [...indices].map((a, i) => [...indices].map((b, j) => dot(rows[a], rows[b]) + (i === j ? 0.5 : 0)))
    const residual = normal.map((row, i) => dot(rows[indices[i]], mean) - dot(row, weights))
    const slopes = normal.map((row) => dot(row, residual))
    weights.forEach((weight, i) => {
      expect(weight).toBeGreaterThanOrEqual(0)
      if (weight > 0) expect(Math.abs(slopes[i])).toBeLessThan(1e-9)
      else expect(slopes[i]).toBeLessThan(1e-9)
    })
    expect(weights.some((weight) => weight > 0)).toBe(true)
    expect(new Set(indices).size).toBe(12)
  })

  it('gives gradients of zeros no weight', async () => {
    const { indices, weights, residualNorm } = await gradMatch(
      matrixOf([
        [0, 0],
        [0, 0],
      ]),
      2,
    )
    expect([...indices]).toEqual([0, 1])
    expect([...weights]).toEqual([0, 0])
    expect(residualNorm).toBe(0)
  })

  it('refuses a ridge that is none', async () => {
    for (const lambda of [0, -1, Number.NaN])
      await expect(gradMatch(randomMatrix(4, 2, 1), 2, { lambda })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(gradMatch(randomMatrix(4, 2, 1), 5)).rejects.toMatchObject({ code: 'invalid_option' })
  })
})

describe('lastLayerGradients', () => {
  const logits = matrixOf([[Math.log(3), 0]])

  it('are p - y, times the inputs and 1', async () => {
    expect([...(await lastLayerGradients({ logits, labels: [0] })).data]).toEqual([expect.closeTo(-0.25, 15), expect.closeTo(0.25, 15)])
    const { data, shape } = await lastLayerGradients({ logits, labels: [1], features: matrixOf([[2, 4]]) })
    expect(shape).toEqual([1, 6])
    for (const [i, value] of [1.5, 3, 0.75, -1.5, -3, -0.75].entries()) expect(data[i]).toBeCloseTo(value, 14)
  })

  it('refuse features of other samples, and what is no number', async () => {
    await expect(lastLayerGradients({ logits, labels: [0], features: randomMatrix(2, 2, 1) })).rejects.toMatchObject({
      code: 'invalid_shape',
    })
    await expect(lastLayerGradients({ logits: matrixOf([[Number.NaN, 0]]), labels: [0] })).rejects.toMatchObject({ code: 'not_finite' })
    await expect(lastLayerGradients({ logits, labels: [2] })).rejects.toMatchObject({ code: 'invalid_index' })
  })
})

describe('gradients in factors', () => {
  const [samples, classes, width] = [40, 4, 5]
  const given = async (seed: number) => {
    const [logits, features] = [randomMatrix(samples, classes, seed), randomMatrix(samples, width, seed + 1)]
    const labels = Array.from({ length: samples }, (_, i) => i % classes)
    return {
      whole: await lastLayerGradients({ logits, labels, features }),
      factors: { errors: await lastLayerGradients({ logits, labels }), features },
    }
  }

  it.each([1, 2, 3])('choose what whole ones choose (set %i)', async (seed) => {
    const { whole, factors } = await given(seed)
    const [byWhole, byFactors] = [await craig(whole, 12), await craig(factors, 12)]
    expect([byFactors.indices, byFactors.weights]).toEqual([byWhole.indices, byWhole.weights])
    for (const [t, value] of byWhole.values.entries()) expect(byFactors.values[t]).toBeCloseTo(value, 9)
    const [matched, matching] = [await gradMatch(whole, 12), await gradMatch(factors, 12)]
    expect(matching.indices).toEqual(matched.indices)
    for (const [t, weight] of matched.weights.entries()) expect(matching.weights[t]).toBeCloseTo(weight, 10)
    expect(matching.residualNorm).toBeCloseTo(matched.residualNorm, 9)
  })

  it('are refused where their rows differ', async () => {
    const { factors } = await given(1)
    await expect(craig({ ...factors, features: randomMatrix(3, 5, 1) }, 1)).rejects.toMatchObject({ code: 'invalid_shape' })
  })
})

describe('least squares', () => {
  it('begin with the columns that a guess without bounds keeps, and end the same', async () => {
    const many = Array.from({ length: 12 }, (_, j) => randomMatrix(1, 12, 50 + j).data as Float64Array).map((data) =>
      Float64Array.from(data),
    )
    const right = Float64Array.from(randomMatrix(1, 12, 99).data)
    const cold = await nonNegativeLeastSquares(many, right)
    const warm = await nonNegativeLeastSquares(many, right, await leastSquares(many, right))
    expect(cold.some((value) => value === 0)).toBe(true)
    for (const [i, value] of cold.entries()) expect(warm[i]).toBeCloseTo(value, 9)
  })

  const columns = [Float64Array.of(1, 2, 3), Float64Array.of(0, 1, -1)]

  it('find the coefficients that made the right side', async () => {
    const right = Float64Array.from(columns[0], (a, i) => 2 * a - 3 * columns[1][i])
    const found = await leastSquares(columns, right)
    expect(found[0]).toBeCloseTo(2, 13)
    expect(found[1]).toBeCloseTo(-3, 13)
  })

  it('leave out columns whose coefficient would be negative', async () => {
    const right = Float64Array.from(columns[0], (a, i) => 2 * a - 3 * columns[1][i])
    const found = await nonNegativeLeastSquares(columns, right)
    expect(found[1]).toBe(0)
    // alone, the first column fits with <a, b> / <a, a>
    expect(found[0]).toBeCloseTo((2 * 14 - 3 * -1) / 14, 13)
    expect(await nonNegativeLeastSquares(columns, Float64Array.of(-1, -3, -2))).toEqual(Float64Array.of(0, 0))
  })
})
