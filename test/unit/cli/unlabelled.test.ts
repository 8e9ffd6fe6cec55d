/** @file Commands that read labels, on images that have none. */
import { expect, it } from 'vitest'
import { createDataset } from '../../../src/data/index.js'
import { ramp } from '../data/fixtures.js'
import { fakeLibrary, run } from './fake-library.js'

const photos = createDataset({
  ...{ name: 'photos', split: 'train', images: ramp(24), shape: [6, 2, 2, 1] },
  ...{ mean: [0.5], std: [0.25], flip: true },
})

it.each([
  ['distill --method dm', ['distill', '--method', 'dm']],
  ['plan --method dm', ['plan', '--method', 'dm', '--ipc', '1']],
  ['prune', ['prune', '--order', 'random', '--keep', '0.5', '--out', 'absent.json']],
  ['sweep', ['sweep', '--method', 'dm', '--order', 'random', '--keep', '0.5', '--out', 'absent']],
])('%s says that there are none', async (what, args) => {
  const { library, calls } = fakeLibrary()
  const opened: string[] = []
  const openDataset = async (_: string, split: string) => {
    opened.push(split)
    return photos
  }
  const { code, stderr } = await run({ ...library, openDataset }, ...args, '--data', 'photos')
  expect([code, opened.includes('test'), calls.opened, calls.distill]).toEqual([1, false, [], []])
  expect(stderr).toContain(`data set 'photos': has no labels, but ${what} needs them; give labels, or take what needs none: pretrain`)
})
