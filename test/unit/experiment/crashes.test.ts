/** @file Crashes between any two file operations of a save: what is on the disk then is what was saved before or what was being saved. */
import { readdirSync, rmSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, describe, expect, it, vi } from 'vitest'
import { freshDir } from '../data/fixtures.js'
import { tinyCheckpoint } from './checkpoints.js'
import { crash, crashEverywhere } from './crash-points.js'
import { tinyRecord, tinySet } from './sets.js'

vi.mock('node:fs/promises', async (original) => (await import('./crash-points.js')).crashing(await original()))

const { checkpointStore } = await import('../../../src/experiment/checkpoint-store.js')
const { createRunDir, readRunRecord, reopenRunDir } = await import('../../../src/experiment/run-dir.js')
const { loadSyntheticSet } = await import('../../../src/experiment/synthetic-set.js')

afterEach(() => {
  crash.left = Number.POSITIVE_INFINITY
})

describe('a crash before any file operation', () => {
  it('of a checkpoint leaves the one before or the new one, and the next save works', async () => {
    const operations = await crashEverywhere(
      async () => {
        const dir = join(freshDir(), 'checkpoints')
        const store = checkpointStore(dir)
        for (const step of [1, 2]) await store.save(tinyCheckpoint(step))
        return { dir, store }
      },
      ({ store }) => store.save(tinyCheckpoint(3)),
      async ({ dir }, finished) => {
        const again = checkpointStore(dir)
        const loaded = await again.load()
        expect(loaded?.damaged).toEqual([])
        const { step } = loaded!.checkpoint.counters
        expect(finished ? [3] : [2, 3]).toContain(step)
        expect(loaded?.checkpoint).toEqual(tinyCheckpoint(step))
        await again.save(tinyCheckpoint(4))
        expect((await checkpointStore(dir).load())?.checkpoint).toEqual(tinyCheckpoint(4))
      },
    )
    // open, two halves of each of four pieces, fsync, rename, fsync of the folder, removal
    expect(operations).toBeGreaterThanOrEqual(12)
  })

  it('of the first checkpoint leaves none or it', async () => {
    await crashEverywhere(
      async () => join(freshDir(), 'checkpoints'),
      (dir) => checkpointStore(dir).save(tinyCheckpoint(1)),
      async (dir, finished) => {
        const loaded = await checkpointStore(dir).load()
        if (finished) expect(loaded).toBeDefined()
        expect(loaded?.checkpoint ?? tinyCheckpoint(1)).toEqual(tinyCheckpoint(1))
      },
    )
  })

  it('of a set over another leaves one of them, or a mix that is noticed', async () => {
    const other = { images: new Float32Array(144), config: { method: 'dm', ipc: 2, seed: 6 } }
    const outcomes = new Set<string>()
    await crashEverywhere(
      async () => {
        const dir = freshDir()
        await tinySet().save(dir)
        return dir
      },
      (dir) => tinySet(other).save(dir),
      async (dir, finished) => {
        const found = await loadSyntheticSet(dir).then(
          ({ images, config }) => {
            expect(images[1]).toBe(config.seed === 6 ? 0 : tinySet().images[1])
            return config.seed === 6 ? 'new' : 'old'
          },
          (error) => error.code,
        )
        outcomes.add(found)
        if (finished) expect(found).toBe('new')
        await tinySet(other).save(dir)
        expect((await loadSyntheticSet(dir)).config).toEqual(other.config)
      },
    )
    expect([...outcomes].sort()).toEqual(['invalid_data', 'new', 'old'])
  })

  it('of run.json leaves the old record or the new one', async () => {
    await crashEverywhere(
      async () => {
        const dir = freshDir()
        return createRunDir(dir, tinyRecord())
      },
      (run) => run.update({ status: 'stopped' }),
      async (run) => {
        expect(['done', 'stopped']).toContain((await readRunRecord(run.dir)).status)
        await run.close()
      },
    )
  })

  it('of the creation of a run over another leaves a directory that can be created again', async () => {
    await crashEverywhere(
      async () => {
        const dir = freshDir()
        const run = await createRunDir(dir, tinyRecord())
        await run.checkpoints.load()
        await run.checkpoints.save(tinyCheckpoint(0))
        await run.close()
        await tinySet().save(dir)
        return dir
      },
      async (dir) => (await createRunDir(dir, { ...tinyRecord(), started: 'later' }, { overwrite: true })).close(),
      async (dir) => {
        // the process is gone, and its lock with it
        for (const name of readdirSync(dir)) if (name.startsWith('run.lock')) rmSync(join(dir, name))
        const run = await reopenRunDir(dir)
        // what belongs to the old run is never found beside the record of the new one
        if (run.record.started === 'later') expect(await run.checkpoints.load()).toBeUndefined()
        await run.close()
        await (await createRunDir(dir, tinyRecord(), { overwrite: true })).close()
      },
    )
  })
})

describe('a disk without room', () => {
  afterEach(() => {
    crash.reason = new Error('crash')
  })

  it.each(['ENOSPC', 'EDQUOT', 'EFBIG'])('%s: an error with the bytes needed, and the checkpoint before stays', async (code) => {
    crash.reason = Object.assign(new Error(code), { code, syscall: 'write' })
    const messages: string[] = []
    let bytes = 0
    await crashEverywhere(
      async () => {
        const dir = join(freshDir(), 'checkpoints')
        const store = checkpointStore(dir)
        await store.save(tinyCheckpoint(1))
        bytes = statSync(join(dir, 'checkpoint-000001.safetensors')).size
        crash.seen.length = 0
        return { dir, store }
      },
      ({ store }) =>
        store.save(tinyCheckpoint(2)).catch((error) => {
          messages.push(`${error.code} ${error.message}`)
          throw error
        }),
      async ({ dir }, finished) => {
        // what fails after the rename has failed too late to be undone
        const renamed = crash.seen[crash.seen.lastIndexOf('rename') + 1] === 'open' && crash.seen.includes('rename')
        expect((await checkpointStore(dir).load())?.checkpoint.counters.step).toBe(finished || renamed ? 2 : 1)
      },
    )
    expect(messages.every((message) => message.startsWith('io '))).toBe(true)
    const complete = /checkpoint-000002\.safetensors: could not be written, it needs (\d+) bytes: .*(space|quota|limit)/
    // two halves of each of four pieces, the fsync, and the rename
    const needed = messages.flatMap((message) => complete.exec(message)?.[1] ?? []).map(Number)
    expect(needed).toEqual(new Array(10).fill(bytes))
  })
})
