/** @file Run directories: records, events, crashes. */
import { appendFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createRunDir, readEvents, readRunRecord, reopenRunDir } from '../../../src/experiment/run-dir.js'
import type { StepEvent } from '../../../src/experiment/types.js'
import { writeAtomic } from '../../../src/files/atomic-file.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { tinyRecord, tinySet } from './sets.js'

const step = (number: number): StepEvent => ({
  type: 'step',
  step: number,
  iterations: 9,
  loss: 1 / number,
  seconds: number,
  imagesPerSecond: 5,
})

describe('a run directory', () => {
  it('keeps the record and the events in order, across reopening', async () => {
    const dir = join(freshDir(), 'a', 'b')
    const run = await createRunDir(dir, tinyRecord())
    await run.append(step(1))
    await run.append(step(2))
    await run.update({ status: 'stopped' })
    await run.close()
    await run.close()
    const again = await reopenRunDir(dir)
    await again.append(step(3))
    await again.close()
    expect(await readEvents(dir)).toEqual([step(1), step(2), step(3)])
    expect(await readRunRecord(dir)).toEqual({ ...tinyRecord(), status: 'stopped' })
    expect(readdirSync(dir).sort()).toEqual(['events.jsonl', 'run.json'])
  })

  it('refuses to write over a run unless told to', async () => {
    const dir = freshDir()
    const first = await createRunDir(dir, tinyRecord())
    await first.append(step(1))
    await first.close()
    await tinySet().save(dir)
    writeFileSync(join(dir, 'zca.safetensors'), 'the whitening of that run')
    writeFileSync(join(dir, 'notes.txt'), 'mine')
    await expectError(() => createRunDir(dir, tinyRecord()), 'invalid_option', /already holds a run/)
    await (await createRunDir(dir, tinyRecord(), { overwrite: true })).close()
    expect(await readEvents(dir)).toEqual([])
    expect(readdirSync(dir).sort()).toEqual(['events.jsonl', 'notes.txt', 'run.json'])
  })

  it.each(['data.safetensors', 'manifest.json', 'report.html', 'events.jsonl'])("does not replace somebody else's %s", async (name) => {
    const dir = freshDir()
    writeFileSync(join(dir, name), 'mine')
    for (const overwrite of [false, true]) {
      await expectError(
        () => createRunDir(dir, tinyRecord(), { overwrite }),
        'invalid_option',
        new RegExp(`holds ${name} but no run\\.json`),
      )
    }
    expect(readFileSync(join(dir, name), 'utf8')).toBe('mine')
    expect(readdirSync(dir)).toEqual([name])
  })

  it('leaves out a last line that a crash cut short, and refuses a bad line before it', async () => {
    const dir = freshDir()
    const run = await createRunDir(dir, tinyRecord())
    await run.append(step(1))
    await run.close()
    appendFileSync(join(dir, 'events.jsonl'), '{"type":"step","st')
    expect(await readEvents(dir)).toEqual([step(1)])
    appendFileSync(join(dir, 'events.jsonl'), '\n')
    await expectError(() => readEvents(dir), 'invalid_data', /events\.jsonl: line 2 is not an event/)
  })

  it.each([['{'], ['{}'], ['null'], ['{"format":"aludel-run","version":2,"evaluations":[]}']])('refuses %s as run.json', async (text) => {
    const dir = freshDir()
    writeFileSync(join(dir, 'run.json'), text)
    await expectError(() => readRunRecord(dir), 'invalid_data', /run\.json: expected a run record/)
  })

  it('says what is missing', () => expectError(() => reopenRunDir(freshDir()), 'not_found', /run\.json/))
})

describe('writeAtomic', () => {
  it('keeps the old file when writing fails', async () => {
    const path = join(freshDir(), 'file')
    await writeAtomic(path, 'old')
    // a value that cannot be written: the write itself fails after the temporary file was opened
    await expect(writeAtomic(path, 3 as unknown as string)).rejects.toThrow()
    expect(readFileSync(path, 'utf8')).toBe('old')
    expect(readdirSync(join(path, '..'))).toEqual(['file'])
  })
})
