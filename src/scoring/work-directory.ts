/** @file A score directory while one works in it: locked, with a folder of checkpoints that goes when everything is written. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { onFile } from '../errors.js'
import { lockRun } from '../experiment/run-lock.js'
import { prepareDirectory } from '../files/atomic-file.js'

export const progressDir = 'progress'

/** Runs `action` while no other process works in `dir`. Throws `locked`. */
export async function locked<T>(dir: string, action: () => Promise<T>): Promise<T> {
  const lock = await onFile(dir, () => lockRun(dir))
  try {
    return await action()
  } finally {
    await lock.release()
  }
}

/** Takes away what a process left that was killed once everything was written. Throws `locked`, `io`. */
export const tidyScores = (dir: string): Promise<void> =>
  locked(dir, async () => {
    await prepareDirectory(dir)
    await rm(join(dir, progressDir), { recursive: true, force: true })
  })
