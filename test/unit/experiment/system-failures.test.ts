/** @file What the system refuses while a run or a set is written: `io`, naming the file that the caller spoke of, and nothing half left. */
import { mkdirSync, readdirSync, readFileSync, rmSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { createRunDir, reopenRunDir } from '../../../src/experiment/run-dir.js'
import { writeAtomic } from '../../../src/files/atomic-file.js'
import { writeReport } from '../../../src/report/index.js'
import { expectError, freshDir, write } from '../data/fixtures.js'
import { tinyRecord, tinySet } from './sets.js'

const step = { type: 'step', step: 1, iterations: 1, loss: 1, seconds: 1, imagesPerSecond: 1 } as const

/** A run directory with events that go nowhere: every write says that the device is full. */
async function fullRun() {
  const dir = freshDir()
  await (await createRunDir(dir, tinyRecord())).close()
  rmSync(join(dir, 'events.jsonl'))
  symlinkSync('/dev/full', join(dir, 'events.jsonl'))
  return { dir, run: await createRunDir(dir, tinyRecord(), { overwrite: true }) }
}

const below = (path: string): string => join(path, 'below', 'it')

describe('a place below a file', () => {
  it.each<[string, (path: string) => unknown]>([
    ['save', (path) => tinySet().save(path)],
    ['createRunDir', (path) => createRunDir(path, tinyRecord())],
  ])('%s', async (_, act) => {
    const path = below(write(freshDir(), 'taken', 'text'))
    await expectError(() => act(path), 'io', `${path}: a part of the path is a file, not a directory (ENOTDIR)`)
  })
})

describe('a directory in place of a file', () => {
  it.each<[string, (dir: string) => unknown]>([
    ['data.safetensors', (dir) => tinySet().save(dir)],
    ['preview.png', (dir) => tinySet().save(dir)],
    ['manifest.json', (dir) => tinySet().save(dir)],
    ['run.json', (dir) => createRunDir(dir, tinyRecord(), { overwrite: true })],
  ])('%s', async (name, act) => {
    const dir = freshDir()
    mkdirSync(join(dir, name))
    await expectError(() => act(dir), 'io', `${join(dir, name)}: `)
    expect(readdirSync(dir).filter((file) => file.endsWith('.partial'))).toEqual([])
  })

  it.each(['manifest.json', 'events.jsonl'])('%s of an earlier run', async (name) => {
    const dir = freshDir()
    await (await createRunDir(dir, tinyRecord())).close()
    rmSync(join(dir, name), { force: true })
    mkdirSync(join(dir, name))
    await expectError(() => createRunDir(dir, tinyRecord(), { overwrite: true }), 'io', `${join(dir, name)}: `)
  })

  it('report.html', async () => {
    const dir = freshDir()
    await (await createRunDir(dir, tinyRecord())).close()
    mkdirSync(join(dir, 'report.html'))
    await expectError(() => writeReport(dir), 'io', /report\.html: a directory stands where a file is needed \(EISDIR\)/)
  })
})

describe.skipIf(process.platform !== 'linux')('a system that refuses', () => {
  it('a directory where none can be made: at once, not never', async () => {
    await expectError(() => tinySet().save('/proc/aludel/run'), 'io', /^\/proc\/aludel\/run: no such file or directory/)
    await expectError(() => createRunDir('/proc/aludel', tinyRecord()), 'io', /^\/proc\/aludel: no such file or directory/)
  })

  it('an event, on a full device', async () => {
    const { dir, run } = await fullRun()
    await expectError(() => run.append(step), 'io', `${join(dir, 'events.jsonl')}: no space left on the device`)
    await run.close().catch(() => undefined)
  })

  it('a file on a full device, and the old one stays', async () => {
    const path = write(freshDir(), 'file', 'old')
    symlinkSync('/dev/full', join(path, '..', '.file.partial'))
    await expectError(
      () => writeAtomic(path, 'new'),
      'io',
      `${path}: could not be written, it needs 3 bytes: no space left on the device; free some (ENOSPC)`,
    )
    expect(readFileSync(path, 'utf8')).toBe('old')
  })
})

describe('arguments', () => {
  const acts: [string, (path: string) => unknown][] = [
    ['save', (path) => tinySet().save(path)],
    ['createRunDir', (path) => createRunDir(path, tinyRecord())],
    ['reopenRunDir', reopenRunDir],
    ['writeReport', writeReport],
  ]
  it.each(acts)('%s needs a path', async (_, act) => {
    for (const path of ['', 'a\0b', undefined, 3, ['a']]) {
      await expectError(() => act(path as string), 'invalid_option', /expected a path but received/)
    }
  })

  it('an event after the end is an error, not a lost line', async () => {
    const run = await createRunDir(freshDir(), tinyRecord())
    await run.close()
    await expectError(() => run.append(step), 'disposed', /after the run directory was closed/)
  })
})

it('directories are made with their parents, beside what is there', async () => {
  const dir = freshDir()
  await Promise.all([tinySet().save(join(dir, 'a', 'b', 'c')), tinySet().save(join(dir, 'a', 'b', 'd'))])
  mkdirSync(join(dir, 'real'))
  symlinkSync(join(dir, 'real'), join(dir, 'link'))
  await tinySet().save(join(dir, 'link', 'x', '..', 'y'))
  expect(readdirSync(join(dir, 'a', 'b')).sort()).toEqual(['c', 'd'])
  expect(readdirSync(join(dir, 'real', 'y')).sort()).toEqual(['data.safetensors', 'manifest.json', 'preview.png'])
})
