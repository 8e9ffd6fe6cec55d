/** @file Checkpoints in a folder, newest and the one before: a save that fails or a file that is damaged never costs more than one of them. */
import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists } from '../data/file-bytes.js'
import { AludelError, systemFailure } from '../errors.js'
import { prepareDirectory } from '../files/atomic-file.js'
import { readCheckpoint, writeCheckpoint } from './checkpoint-file.js'
import type { Checkpoint, CheckpointStore, LoadedCheckpoint } from './types.js'

const fileName = /^checkpoint-(\d{6,})\.safetensors$/
const nameOf = (generation: number): string => `checkpoint-${String(generation).padStart(6, '0')}.safetensors`

/**
 * Keeps the checkpoints of one run in `dir` (created at the first save). Two stores must not write one folder at the same time: a run
 * directory is locked, a folder of your own is yours to guard.
 */
export function checkpointStore(dir: string): CheckpointStore {
  /** The generation that is known to be whole. */
  let good: number | undefined
  let prepared = false
  return {
    async save(checkpoint) {
      try {
        if (!prepared) await prepareDirectory(dir)
        prepared = true
        const before = await generations(dir)
        const next = Math.max(0, ...before) + 1
        await writeCheckpoint(join(dir, nameOf(next)), checkpoint)
        const kept = good ?? before.at(-1)
        for (const old of before) if (old !== kept) await rm(join(dir, nameOf(old)), { force: true })
        good = next
      } catch (error) {
        throw systemFailure(error)
      }
    },
    async load() {
      const loaded = await newest(dir)
      good = loaded?.generation
      return loaded
    },
  }
}

/** Ascending. */
async function generations(dir: string): Promise<number[]> {
  if (!(await exists(dir))) return []
  const numbers = (await readdir(dir)).flatMap((name) => fileName.exec(name)?.[1] ?? []).map(Number)
  return numbers.sort((a, b) => a - b)
}

async function newest(dir: string): Promise<(LoadedCheckpoint & { readonly generation: number }) | undefined> {
  const damaged: string[] = []
  for (const generation of (await generations(dir)).reverse()) {
    let checkpoint: Checkpoint
    try {
      checkpoint = await readCheckpoint(join(dir, nameOf(generation)))
    } catch (error) {
      if (!(error instanceof AludelError && error.code === 'invalid_data')) throw systemFailure(error)
      damaged.push(error.message)
      continue
    }
    return { checkpoint, damaged, generation }
  }
  if (damaged.length === 0) return undefined
  const todo = `remove ${dir} to start again from the first step`
  throw new AludelError('invalid_data', `${dir}: no checkpoint can be read; ${todo}. ${damaged.join('. ')}`)
}
