/** @file Checkpoints on the disk: whole or noticed, and never without the one before. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readCheckpoint, writeCheckpoint } from '../../../src/experiment/checkpoint-file.js'
import { checkpointStore } from '../../../src/experiment/checkpoint-store.js'
import { decodeSafetensors, encodeSafetensors } from '../../../src/files/safetensors.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyCheckpoint } from './checkpoints.js'

/** A megabyte and a bit: several pieces. */
const elements = 300_000

const joined = (...parts: Uint8Array[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]))

describe('a checkpoint file', () => {
  it('brings back every field and bit, and is a safetensors file', async () => {
    const path = join(freshDir(), 'c')
    const checkpoint = tinyCheckpoint(4, elements)
    await writeCheckpoint(path, checkpoint)
    expect(await readCheckpoint(path)).toEqual(checkpoint)
    const { tensors } = decodeSafetensors(path, new Uint8Array(readFileSync(path)))
    expect([...tensors.keys()]).toEqual(['images', 'cursor', 'sha256'])
  })

  it('is refused with any bit changed and at any length', async () => {
    const path = join(freshDir(), 'c')
    await writeCheckpoint(path, tinyCheckpoint(4, elements))
    const whole = new Uint8Array(readFileSync(path))
    const last = whole.length - 1
    const places = [...Array.from({ length: Math.ceil(whole.length / 4096) }, (_, i) => i * 4096), 5, 300, last, last - 31, last - 32]
    for (const at of places) {
      const changed = whole.slice()
      changed[at] ^= 1 << (at % 8)
      writeFileSync(path, changed)
      await expectError(() => readCheckpoint(path), 'invalid_data', path)
      writeFileSync(path, whole.subarray(0, at))
      await expectError(() => readCheckpoint(path), 'invalid_data', path)
    }
    writeFileSync(path, joined(whole, Uint8Array.of(0)))
    await expectError(() => readCheckpoint(path), 'invalid_data', path)
  })

  it('of another version says so', async () => {
    const path = join(freshDir(), 'c')
    await writeCheckpoint(path, tinyCheckpoint(4))
    const { createHash } = await import('node:crypto')
    const { tensors, metadata } = decodeSafetensors(path, new Uint8Array(readFileSync(path)))
    const file = encodeSafetensors(tensors, { ...metadata, version: '2' })
    const body = file.subarray(0, -32)
    writeFileSync(path, joined(body, new Uint8Array(createHash('sha256').update(body).digest())))
    await expectError(() => readCheckpoint(path), 'incompatible', /version: expected 1 but received '2'/)
  })
})

describe('checkpointStore', () => {
  const files = (dir: string) => readdirSync(dir).sort()

  it('keeps the newest and the one before', async () => {
    const dir = join(freshDir(), 'checkpoints')
    const store = checkpointStore(dir)
    expect(await store.load()).toBeUndefined()
    for (const step of [1, 2, 3]) await store.save(tinyCheckpoint(step))
    expect(files(dir)).toEqual(['checkpoint-000002.safetensors', 'checkpoint-000003.safetensors'])
    expect(await checkpointStore(dir).load()).toEqual({ checkpoint: tinyCheckpoint(3), damaged: [], generation: 3 })
  })

  it('falls back to the one before, says so, and keeps that one until the next is whole', async () => {
    const dir = join(freshDir(), 'checkpoints')
    for (const step of [1, 2]) await checkpointStore(dir).save(tinyCheckpoint(step))
    const newest = join(dir, 'checkpoint-000002.safetensors')
    const whole = new Uint8Array(readFileSync(newest))
    for (let at = 0; at < whole.length; at++) {
      const changed = whole.slice()
      changed[at] ^= 0x40
      writeFileSync(newest, at % 2 === 0 ? changed : whole.subarray(0, at))
      const loaded = await checkpointStore(dir).load()
      expect(loaded?.checkpoint).toEqual(tinyCheckpoint(1))
      expect(loaded?.damaged).toEqual([expect.stringContaining(newest)])
    }
    const store = checkpointStore(dir)
    await store.load()
    await store.save(tinyCheckpoint(5))
    expect(files(dir)).toEqual(['checkpoint-000001.safetensors', 'checkpoint-000003.safetensors'])
    expect((await store.load())?.checkpoint).toEqual(tinyCheckpoint(5))
  })

  it('refuses to start over by itself when none can be read', async () => {
    const dir = join(freshDir(), 'checkpoints')
    for (const step of [1, 2]) await checkpointStore(dir).save(tinyCheckpoint(step))
    for (const name of files(dir)) writeFileSync(join(dir, name), 'gone')
    await expectError(() => checkpointStore(dir).load(), 'invalid_data', /no checkpoint can be read; remove .* to start again/)
    rmSync(dir, { recursive: true })
    expect(await checkpointStore(dir).load()).toBeUndefined()
  })

  it('clears away what a crash left, and leaves other files alone', async () => {
    const dir = freshDir()
    writeFileSync(join(dir, '.checkpoint-000001.safetensors.partial'), 'half')
    writeFileSync(join(dir, 'notes.txt'), 'mine')
    await checkpointStore(dir).save(tinyCheckpoint(1))
    expect(files(dir)).toEqual(['checkpoint-000001.safetensors', 'notes.txt'])
  })
})
