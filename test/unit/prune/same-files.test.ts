/** @file Scores and subsets of image files: they belong to the files, whatever size these are read at. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { imageFolder } from '../../../src/data/image-folder.js'
import { applySubset, createSubset, describeScores, readScores, scoresOf, selectSamples, writeScores } from '../../../src/prune/index.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { plain, png, tree } from '../data/image-fixtures.js'

const folder = async (values: readonly number[]) => {
  const files = await Promise.all(values.map(async (value, i) => [`${i}.png`, await png(plain([value, 0, 0], 4))] as const))
  return tree(
    Object.fromEntries(files.flatMap(([name, bytes]) => [[`train/a/${name}`, bytes] as const, [`val/a/${name}`, bytes] as const])),
  )
}
const about = { name: 'loss', source: 'a teacher', pass: 'evaluation', epochs: null, runs: 1, seed: null } as const

it('scores of one size choose from the same files at another', async () => {
  const dir = await folder([1, 2, 3, 4])
  const [large, small] = [await imageFolder(dir, 'train', { size: 8 }), await imageFolder(dir, 'train', { size: 2 })]
  const path = join(freshDir(), 'loss.safetensors')
  await writeScores(path, describeScores(large, [4, 3, 2, 1], about))
  const scores = await readScores(path)
  expect(scores.data).toMatchObject({ sha256: large.sha256, files: large.filesSha256 })
  const values = scoresOf(small, scores)
  const subset = createSubset(small, await selectSamples(small, { order: 'asc', scores: values, keep: 0.5 }), scores.score)
  expect([...applySubset(large, subset).images.subarray(0, 1)]).toEqual([3])
  // and of a part they are those of its rows, at either size
  for (const whole of [large, small]) expect([...scoresOf(applySubset(whole, subset), scores)]).toEqual([2, 1])
})

it('scores of other files are refused', async () => {
  const scores = describeScores(await imageFolder(await folder([1, 2])), [1, 2], about)
  const other = await imageFolder(await folder([1, 3]))
  await expectError(async () => scoresOf(other, scores), 'incompatible', /expected files of sha256 .* but received/)
})
