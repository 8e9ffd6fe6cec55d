/** @file Images with target representations: save and load, equal bytes, every field and file checked. */
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import {
  createRepresentationSet,
  loadRepresentationSet,
  type RepresentationSetFields,
  readRepresentationManifest,
} from '../../../src/experiment/representation-set.js'
import { loadSyntheticSet } from '../../../src/experiment/synthetic-set.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { decodePng } from './decode-png.js'

const fields = (change: Partial<RepresentationSetFields> = {}): RepresentationSetFields => ({
  images: Float32Array.from({ length: 5 * 3 * 4 * 3 }, (_, i) => (i % 7) / 7),
  shape: [5, 3, 4, 3],
  targets: Float32Array.from({ length: 10 }, (_, i) => i / 3),
  dim: 2,
  mean: [0.5, 0.4, 0.3],
  std: [0.25, 0.2, 0.1],
  initSpace: 'raw',
  teacher: { name: 'bt', objective: 'barlow-twins', dim: 2, sha256: 'cd'.repeat(32) },
  targetStatistics: { mean: Float32Array.of(0.1, 0.2), std: Float32Array.of(1, 0) },
  source: { name: 'tiny', split: 'train', sha256: 'ab'.repeat(32) },
  config: { method: 'krr-st', n: 5, seed: 3 },
  sourceIds: Int32Array.of(4, 0, 7, 1, 2),
  ...change,
})

async function saved(change: Partial<RepresentationSetFields> = {}): Promise<string> {
  const dir = join(freshDir(), 'run')
  await createRepresentationSet(fields(change)).save(dir)
  return dir
}

describe('save and load', () => {
  it('bring back the same set in three files', async () => {
    const dir = await saved()
    const { save, ...loaded } = await loadRepresentationSet(dir)
    expect(loaded).toEqual(fields())
    expect(save).toBeTypeOf('function')
    expect(readdirSync(dir).sort()).toEqual(['data.safetensors', 'manifest.json', 'preview.png'])
    expect((await readRepresentationManifest(dir)).seeds).toEqual({ run: 3 })
  })

  it('give equal bytes for equal sets', async () => {
    const [one, two] = [await saved(), await saved({ targets: new Float32Array(10) })]
    await createRepresentationSet(fields()).save(two)
    for (const name of readdirSync(one)) expect(readFileSync(join(one, name))).toEqual(readFileSync(join(two, name)))
  })

  it('show raw pixels as they are, and others without their normalisation', async () => {
    const corner = async (initSpace: 'raw' | 'normalised') => {
      const dir = await saved({ images: new Float32Array(180).fill(0.2), initSpace })
      return [...decodePng(new Uint8Array(readFileSync(join(dir, 'preview.png')))).pixels.subarray(0, 3)]
    }
    expect(await corner('raw')).toEqual([51, 51, 51])
    expect(await corner('normalised')).toEqual([140, 112, 82])
  })
})

describe('refusals', () => {
  it.each<[string, Partial<RepresentationSetFields>, string]>([
    ['targets of another number', { targets: new Float32Array(9) }, 'invalid_data'],
    ['a teacher of another size', { teacher: { name: 'bt', objective: 'x', dim: 3, sha256: '' } }, 'invalid_data'],
    ['statistics of another size', { targetStatistics: { mean: new Float32Array(2), std: new Float32Array(1) } }, 'invalid_data'],
    ['a space that is none', { initSpace: 'bytes' as 'raw' }, 'invalid_data'],
    ['a pixel that is no number', { images: new Float32Array(180).fill(Number.NaN) }, 'not_finite'],
    ['a target that is infinite', { targets: new Float32Array(10).fill(Number.POSITIVE_INFINITY) }, 'not_finite'],
    ['class labels', { labels: new Int32Array(5) } as Partial<RepresentationSetFields>, 'invalid_option'],
  ])('name %s', async (_, change, code) => {
    await expectError(() => createRepresentationSet(fields(change)), code, /representation set/)
  })

  it('find damage, and tell the two kinds of sets apart', async () => {
    const dir = await saved()
    await expectError(() => loadSyntheticSet(dir), 'invalid_data', /aludel-synthetic-set/)
    const path = join(dir, 'data.safetensors')
    const bytes = new Uint8Array(readFileSync(path))
    bytes[bytes.length - 1] ^= 1
    writeFileSync(path, bytes)
    await expectError(() => loadRepresentationSet(dir), 'invalid_data', /sha256/)
  })
})
