/**
 * @file Crashes between any two file operations of an export, a report or an entry of the cache: the same command afterwards ends with the
 * bytes of one that never crashed, and nothing else lies there.
 */
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { afterEach, expect, it, vi } from 'vitest'
import { whiteningHash } from '../../../src/data/whitening.js'
import { freshDir } from '../data/fixtures.js'
import { halves, png, tree } from '../data/image-fixtures.js'
import { crash, crashEverywhere } from '../experiment/crash-points.js'
import { tinyRecord, tinySet } from '../experiment/sets.js'

vi.mock('node:fs/promises', async (original) => (await import('../experiment/crash-points.js')).crashing(await original()))

const { imageFolder } = await import('../../../src/data/image-folder.js')
const { createRunDir } = await import('../../../src/experiment/run-dir.js')
const { exportSet } = await import('../../../src/export/export-set.js')
const { loadCached, storeCached } = await import('../../../src/preprocess/whitening-file.js')
const { writeReport } = await import('../../../src/report/index.js')

afterEach(() => {
  crash.left = Number.POSITIVE_INFINITY
})

/** Paths and contents of all files below a folder. */
function filesBelow(dir: string): Record<string, string> {
  const names = existsSync(dir) ? (readdirSync(dir, { recursive: true }) as string[]) : []
  const files = names.filter((name) => statSync(join(dir, name)).isFile()).sort()
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(dir, name), 'latin1')]))
}

/** Whole files only, each as `whole` has it; what a crash left half written has a name of its own. */
function expectPartOf(files: Record<string, string>, whole: Record<string, string>): void {
  for (const [name, content] of Object.entries(files)) if (!name.endsWith('.partial')) expect(content).toBe(whole[name])
}

const set = tinySet()

it.each(['npz', 'png', 'parquet'] as const)('an export as %s', async (format) => {
  const act = (dir: string) => exportSet(set, { format, out: format === 'png' ? join(dir, 'png') : join(dir, `set.${format}`) })
  const whole = freshDir()
  await act(whole)
  const wanted = filesBelow(whole)
  const operations = await crashEverywhere(
    async () => freshDir(),
    act,
    async (dir, finished) => {
      expectPartOf(filesBelow(dir), wanted)
      if (finished) expect(filesBelow(dir)).toEqual(wanted)
      await act(dir)
      expect(filesBelow(dir)).toEqual(wanted)
    },
  )
  // for each file: open, two halves, fsync, rename, the folder's open and fsync
  expect(operations).toBeGreaterThanOrEqual(7 * Object.keys(wanted).length)
})

it('a report', async () => {
  await crashEverywhere(
    async () => {
      const dir = freshDir()
      await (await createRunDir(dir, tinyRecord())).close()
      await set.save(dir)
      await writeReport(dir)
      return { dir, before: readFileSync(join(dir, 'report.html'), 'utf8') }
    },
    ({ dir }) => writeReport(dir),
    async ({ dir, before }) => {
      expect(readFileSync(join(dir, 'report.html'), 'utf8')).toBe(before)
      await writeReport(dir)
      expect(readdirSync(dir).filter((name) => name.endsWith('.partial'))).toEqual([])
    },
  )
})

it('an entry of the cache of decoded images', async () => {
  const dir = tree({ 'train/a/0.png': await png(halves(4, 4)), 'train/a/1.png': await png(halves(4, 4)) })
  const { sha256 } = await imageFolder(dir)
  const whole = freshDir()
  await imageFolder(dir, 'train', { cache: whole })
  const wanted = filesBelow(whole)
  await crashEverywhere(
    async () => join(freshDir(), 'cache'),
    (cache) => imageFolder(dir, 'train', { cache }),
    async (cache) => {
      expectPartOf(filesBelow(cache), wanted)
      expect((await imageFolder(dir, 'train', { cache })).sha256).toBe(sha256)
      expect((await imageFolder(dir, 'train', { cache })).sha256).toBe(sha256)
    },
  )
})

it('an entry of the cache of whitenings', async () => {
  const about = {
    ...{ order: 'raw' as const, eps: 0.1, image: [2, 2, 1] as const, channels: { mean: [0], std: [1] } },
    source: { name: 'tiny', sha256: '00' },
  }
  const arrays = { mean: new Float32Array(4), transform: new Float32Array(16).fill(1), inverse: new Float32Array(16).fill(1) }
  const whitening = { ...about, ...arrays, sha256: await whiteningHash({ ...about, ...arrays }) }
  await crashEverywhere(
    async () => join(freshDir(), 'cache'),
    (cache) => storeCached(cache, whitening, 'portable'),
    async (cache, finished) => {
      const kept = await loadCached(cache, about, 'portable')
      if (finished) expect(kept).toBeDefined()
      expect(kept ?? whitening).toEqual(whitening)
      await storeCached(cache, whitening, 'portable')
      expect(await loadCached(cache, about, 'portable')).toEqual(whitening)
    },
  )
})
