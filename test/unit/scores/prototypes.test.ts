/** @file k-means, prototypicality and distances to the median at their borders. Values: golden case geometry. */
import { expect, it } from 'vitest'
import { kMeans } from '../../../src/scores/k-means.js'
import { medianDistance } from '../../../src/scores/moderate.js'
import { classPrototypicality, clusterPrototypicality } from '../../../src/scores/prototypicality.js'
import { gridMatrix, matrixOf, randomMatrix } from './matrices.js'

it('draws first centroids from the seed, each row once, also when rows are equal', async () => {
  const features = randomMatrix(60, 4, 3)
  const first = await kMeans(features, 6, { seed: 5 })
  expect(await kMeans(features, 6, { seed: 5 })).toEqual(first)
  const others = await Promise.all([6, 7, 8].map((seed) => kMeans(features, 6, { seed, maxIterations: 1 })))
  expect(new Set(others.map(({ centroids }) => centroids.data.join())).size).toBe(3)
  const equal = matrixOf([[1], [1], [1], [2]])
  expect((await kMeans(equal, 4)).centroids.data.toSorted()).toEqual(Float64Array.of(1, 1, 1, 2))
})

it('ends where no row is nearer to another centroid and every centroid is its rows’ mean', async () => {
  const features = randomMatrix(80, 3, 9)
  const { centroids, assignment } = await kMeans(features, 5)
  const again = await kMeans({ data: Float64Array.of(...centroids.data, ...features.data), shape: [85, 3] }, 5, {
    init: 'firstRows',
    maxIterations: 1,
  })
  expect(again.assignment.subarray(5)).toEqual(assignment)
})

it('keeps the centroid of a cluster that lost its rows', async () => {
  const { centroids, assignment } = await kMeans(matrixOf([[0], [0], [4]]), 2, { init: 'firstRows' })
  // the first round gives all rows to the first of two equal centroids, which then moves away from the other
  expect([...assignment]).toEqual([1, 1, 0])
  expect([...centroids.data]).toEqual([4, 0])
})

it('gives a vector of zeros the cosine 0', async () => {
  const scores = await clusterPrototypicality(
    matrixOf([
      [0, 0],
      [1, 0],
      [1, 0],
    ]),
    { clusters: 1 },
  )
  expect([...scores]).toEqual([1, 0, 0])
  expect([
    ...(await classPrototypicality(
      matrixOf([
        [0, 0],
        [2, 0],
      ]),
      [0, 0],
      { classes: 1, distance: 'cosine' },
    )),
  ]).toEqual([1, 0])
})

it('leaves classes without samples out', async () => {
  expect([...(await classPrototypicality(matrixOf([[0], [2], [5]]), [2, 2, 0], { classes: 4 }))]).toEqual([1, 1, 0])
})

it('measures distances to the median of the class, the mean of two middle ones', async () => {
  expect([...(await medianDistance([1, 2, 4, 8, 3], [0, 0, 0, 0, 1], { classes: 3 }))]).toEqual([2, 1, 1, 5, 0])
})

it('refuses labels that do not fit, unknown distances, more clusters than rows', async () => {
  const features = gridMatrix(4, 2, 1)
  await expect(classPrototypicality(features, [0, 1], { classes: 2 })).rejects.toMatchObject({ code: 'invalid_data' })
  await expect(classPrototypicality(features, [0, 1, 2, 0], { classes: 2 })).rejects.toMatchObject({ code: 'invalid_index' })
  await expect(classPrototypicality(features, [0, 0, 0, 0], { classes: 1, distance: 'manhattan' as 'cosine' })).rejects.toMatchObject({
    code: 'invalid_option',
  })
  await expect(clusterPrototypicality(features, { clusters: 5 })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(kMeans(features, 2, { seed: -1 })).rejects.toMatchObject({ code: 'invalid_option' })
  await expect(medianDistance([1, Number.NaN], [0, 0], { classes: 1 })).rejects.toMatchObject({ code: 'not_finite' })
  await expect(medianDistance([1, 2], [0, 1], { classes: 1 })).rejects.toMatchObject({ code: 'invalid_index' })
})
