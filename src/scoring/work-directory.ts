/** @file A score directory while one works in it: locked, with a folder of checkpoints that goes when everything is written. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { locked } from '../experiment/run-lock.js'
import { prepareDirectory } from '../files/atomic-file.js'

export const progressDir = 'progress'

/** Takes away what a process left that was killed once everything was written. Throws `locked`, `io`. */
export const tidyScores = (dir: string): Promise<void> =>
  locked(dir, async () => {
    await prepareDirectory(dir)
    await rm(join(dir, progressDir), { recursive: true, force: true })
  })
