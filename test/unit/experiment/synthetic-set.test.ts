/** @file The artifact: save and load, equal bytes for equal sets, every file checked. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeManifest, encodeManifest, type Manifest } from '../../../src/experiment/manifest.js'
import { loadSyntheticSet, readManifest } from '../../../src/experiment/synthetic-set.js'
import { decodeSafetensors } from '../../../src/files/safetensors.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { decodePng } from './decode-png.js'
import { tinyFields, tinySet } from './sets.js'

async function savedDir(): Promise<string> {
  const dir = join(freshDir(), 'nested', 'run')
  await tinySet().save(dir)
  return dir
}

describe('save and load', () => {
  it('bring back the same set, and leave no other file', async () => {
    const dir = await savedDir()
    const { save, ...loaded } = await loadSyntheticSet(dir)
    expect(loaded).toEqual(tinyFields())
    expect(save).toBeTypeOf('function')
    expect(readdirSync(dir).sort()).toEqual(['data.safetensors', 'manifest.json', 'preview.png'])
  })

  it('write PyTorch order and types', async () => {
    const dir = await savedDir()
    const { tensors } = decodeSafetensors('x', new Uint8Array(readFileSync(join(dir, 'data.safetensors'))))
    const images = tensors.get('images')!
    expect([images.dtype, images.shape]).toEqual(['F32', [4, 3, 3, 4]])
    const values = new Float32Array(images.data.slice().buffer)
    const { images: nhwc } = tinyFields()
    // image 2, channel 1, row 2, column 3
    expect(values[((2 * 3 + 1) * 3 + 2) * 4 + 3]).toBe(nhwc[((2 * 3 + 2) * 4 + 3) * 3 + 1])
    const labels = tensors.get('labels')!
    expect([labels.dtype, labels.shape]).toEqual(['I64', [4]])
    expect([...new BigInt64Array(labels.data.slice().buffer)]).toEqual([0n, 0n, 1n, 1n])
  })

  it('give equal bytes for equal sets, also over an earlier set', async () => {
    const [one, two] = [await savedDir(), await savedDir()]
    await tinySet({ images: new Float32Array(144) }).save(two)
    await tinySet().save(two)
    for (const name of readdirSync(one)) expect(readFileSync(join(one, name))).toEqual(readFileSync(join(two, name)))
  })

  it('draw a preview with one line a class', async () => {
    const { width, height, channels } = decodePng(new Uint8Array(readFileSync(join(await savedDir(), 'preview.png'))))
    expect([width, height, channels]).toEqual([2 * (4 * 16 + 1) - 1, 2 * (3 * 16 + 1) - 1, 3])
  })

  it('clear away what a crash left', async () => {
    const dir = await savedDir()
    writeFileSync(join(dir, '.data.safetensors.partial'), 'half')
    await tinySet().save(dir)
    expect(readdirSync(dir)).not.toContain('.data.safetensors.partial')
  })
})

describe('createSyntheticSet refuses', () => {
  it.each<[string, Parameters<typeof tinySet>[0], string, RegExp]>([
    ['a NaN pixel', { images: new Float32Array(144).fill(Number.NaN, 40, 41) }, 'not_finite', /synthetic image 1: expected finite/],
    ['missing pixels', { images: new Float32Array(143) }, 'invalid_data', /expected 144 values/],
    ['missing labels', { labels: Int32Array.of(0) }, 'invalid_data', /4 labels/],
    ['a label out of range', { labels: Int32Array.of(0, 0, 1, 2) }, 'invalid_data', /label of image 3/],
    ['short statistics', { mean: [0.5] }, 'invalid_data', /3 channels/],
    ['short source ids', { sourceIds: Int32Array.of(1) }, 'invalid_data', /sourceIds/],
  ])('%s', (_, change, code, text) => expectError(() => tinySet(change), code, text))
})

describe('loadSyntheticSet refuses', () => {
  const images = { dtype: 'F32', layout: 'NCHW', shape: [4, 3, 3, 4], normalised: true } as const
  const damage = (name: string, change: (content: string) => string) => async (dir: string) =>
    writeFileSync(join(dir, name), change(readFileSync(join(dir, name), 'latin1')), 'latin1')
  /** A manifest whose own hash is right, so that what is wrong otherwise is found. */
  const field = (change: Partial<Manifest>) =>
    damage('manifest.json', (content) => encodeManifest({ ...decodeManifest('manifest.json', content), ...change }))

  it.each<[string, (dir: string) => Promise<void>, RegExp]>([
    [
      'a flipped bit',
      damage('data.safetensors', (c) => c.slice(0, -1) + String.fromCharCode(c.charCodeAt(c.length - 1) ^ 1)),
      /expected sha256 \w{64} but received '\w{64}'/,
    ],
    ['a cut file', damage('data.safetensors', (c) => c.slice(0, -4)), /sha256/],
    ['a manifest that is no JSON', damage('manifest.json', (c) => c.slice(0, 30)), /manifest\.json: not JSON/],
    ['a list', damage('manifest.json', () => '[]'), /JSON object/],
    ['another format', field({ format: 'x' as Manifest['format'] }), /field 'format'.*'aludel-synthetic-set'.*"x"/],
    ['a later version', field({ version: 2 as 1 }), /field 'version'/],
    ['other shapes', field({ images: { ...images, shape: [4, 3, 3, 5] } }), /tensor 'images'.*\[4, 3, 3, 5\]/],
    ['NHWC', field({ images: { ...images, layout: 'NHWC' as 'NCHW' } }), /field 'images'/],
    ['too few classes', field({ classes: ['a'] }), /label 2: expected a class in \[0, 1\) but received 1/],
    ['no hash', field({ files: {} }), /sha256 in the manifest/],
    ['a zero std', field({ std: [0, 1, 1] }), /field 'std'/],
  ])('%s', async (_, change, text) => {
    const dir = await savedDir()
    await change(dir)
    await expectError(() => loadSyntheticSet(dir), 'invalid_data', text)
  })

  it.each(['data.safetensors', 'manifest.json', 'preview.png'])('any changed byte of %s, and any cut', async (name) => {
    const dir = await savedDir()
    const path = join(dir, name)
    const whole = new Uint8Array(readFileSync(path))
    for (let at = 0; at < whole.length; at++) {
      const changed = whole.slice()
      changed[at] ^= 1 << (at % 8)
      writeFileSync(path, changed)
      await expectError(() => loadSyntheticSet(dir), 'invalid_data', name)
    }
    for (let length = 0; length < whole.length; length += 7) {
      writeFileSync(path, whole.subarray(0, length))
      await expectError(() => loadSyntheticSet(dir), 'invalid_data', name)
    }
    writeFileSync(path, whole)
    expect((await loadSyntheticSet(dir)).labels).toHaveLength(4)
  })

  it('nothing when the preview is not there', async () => {
    const dir = await savedDir()
    rmSync(join(dir, 'preview.png'))
    expect((await loadSyntheticSet(dir)).labels).toHaveLength(4)
  })

  it('an empty directory', () => expectError(() => readManifest(freshDir()), 'not_found', /manifest\.json.*directory of a saved set/))
})
