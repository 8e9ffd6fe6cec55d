/** @file Runs of parts of the classes: what is refused before anything is written. Whole merges are tested on a device. */
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { joinRuns } from '../../../src/experiment/merge-runs.js'
import { createRunDir } from '../../../src/experiment/run-dir.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyLearned, tinyRecord, tinySet } from './sets.js'

/** A run that is all of its parts. */
async function onlyPart(set = tinySet()): Promise<string> {
  const dir = join(freshDir(), 'part')
  const settings = { method: 'dm', ipc: 2, shard: { index: 1, of: 1 } }
  const run = await createRunDir(dir, { ...tinyRecord(), settings })
  await run.close()
  await set.save(dir)
  return dir
}

it('joins a set that has labels and pixels', async () => {
  expect((await joinRuns([await onlyPart()])).set.images).toEqual(tinySet().images)
})

it('refuses a part with learned labels or rate: they are of all classes', async () => {
  const parts = [tinyLearned(), tinySet({ learningRate: 0.01 })]
  for (const part of parts) {
    const dir = await onlyPart(part)
    await expectError(() => joinRuns([dir]), 'invalid_option', /part: expected a set without learned labels or rate/)
  }
})
