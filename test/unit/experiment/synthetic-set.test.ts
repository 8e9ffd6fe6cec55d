/** @file The artifact: save and load, equal bytes for equal sets, every file checked. */
import { readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { decodeManifest, encodeManifest, fileEntry, type Manifest } from '../../../src/experiment/manifest.js'
import { createSyntheticSet, loadSyntheticSet, readManifest } from '../../../src/experiment/synthetic-set.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../../../src/files/safetensors.js'
import { expectError, freshDir } from '../data/fixtures.js'
import { decodePng } from './decode-png.js'
import { tinyFields, tinyLearned, tinySet } from './sets.js'

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

describe('learned labels and rate', () => {
  const saved = async (set = tinyLearned()) => {
    const dir = freshDir()
    await set.save(dir)
    return dir
  }
  const bytesOf = (dir: string) => new Uint8Array(readFileSync(join(dir, 'data.safetensors')))

  it('come back, and are saved again to the same bytes', async () => {
    const dir = await saved()
    const { save, ...loaded } = await loadSyntheticSet(dir)
    const { labelLogits } = tinyLearned()
    expect(loaded).toEqual({ ...tinyFields(), labelLogits, learningRate: Math.fround(0.0125) })
    const again = freshDir()
    await save(again)
    for (const name of readdirSync(dir)) expect(readFileSync(join(again, name))).toEqual(readFileSync(join(dir, name)))
  })

  it('are tensors that the manifest announces', async () => {
    const dir = await saved(tinyLearned({ learningRate: 0.3 }))
    const { tensors } = decodeSafetensors('x', bytesOf(dir))
    expect([...tensors.keys()]).toEqual(['images', 'labels', 'label_logits', 'lr'])
    const shown = [...tensors.values()].map(({ dtype, shape }) => `${dtype} ${shape.join()}`)
    expect(shown.slice(2)).toEqual(['F32 4,2', 'F32 '])
    expect(await readManifest(dir)).toMatchObject({ labelLogits: { dtype: 'F32', shape: [4, 2] }, learningRate: Math.fround(0.3) })
  })

  it('may be there one by one, and leave a set without them as it was', async () => {
    const [logits, rate, none] = [tinyLearned(), tinyLearned(), tinySet()].map(({ save: _, ...fields }) => fields)
    const { learningRate: _rate, ...onlyLogits } = logits
    const { labelLogits: _logits, ...onlyRate } = rate
    for (const fields of [onlyLogits, onlyRate, none]) {
      const { save: _, ...loaded } = await loadSyntheticSet(await saved(createSyntheticSet(fields)))
      expect(loaded).toEqual({ ...fields, ...('learningRate' in fields && { learningRate: Math.fround(0.0125) }) })
    }
    const dir = await saved(tinySet())
    expect([...decodeSafetensors('x', bytesOf(dir)).tensors.keys()]).toEqual(['images', 'labels'])
    expect(Object.keys(await readManifest(dir)).filter((name) => /label|rate/i.test(name))).toEqual([])
  })

  it('may be targets in place of logits: numbers that are no probabilities', async () => {
    const { save: _, ...fields } = tinySet({ targets: Float32Array.from({ length: 8 }, (_, i) => (i % 2 ? 0.7 : -0.7) + i / 9) })
    const dir = await saved(createSyntheticSet(fields))
    expect([...decodeSafetensors('x', bytesOf(dir)).tensors.keys()]).toEqual(['images', 'labels', 'targets'])
    expect(await readManifest(dir)).toMatchObject({ targets: { dtype: 'F32', shape: [4, 2] } })
    const { save, ...loaded } = await loadSyntheticSet(dir)
    expect(loaded).toEqual(fields)
    const again = freshDir()
    await save(again)
    for (const name of readdirSync(dir)) expect(readFileSync(join(again, name))).toEqual(readFileSync(join(dir, name)))
  })

  /** Tensors and manifest as asked, both with their hashes right, so that only the two can disagree. */
  async function rewritten(tensors: Iterable<[string, SafeTensor]>, change: Partial<Manifest>): Promise<string> {
    const dir = await saved()
    const all = new Map([...decodeSafetensors('x', bytesOf(dir)).tensors].slice(0, 2).concat([...tensors]))
    const data = encodeSafetensors(all)
    writeFileSync(join(dir, 'data.safetensors'), data)
    const manifest = await readManifest(dir)
    const { labelLogits: _l, learningRate: _r, ...rest } = manifest
    const files = { ...manifest.files, 'data.safetensors': fileEntry(data) }
    writeFileSync(join(dir, 'manifest.json'), encodeManifest({ ...rest, files, ...change }))
    return dir
  }
  const floats = (shape: number[], fill = 0.5): SafeTensor => ({
    ...{ dtype: 'F32', shape },
    data: new Uint8Array(new Float32Array(shape.reduce((a, b) => a * b, 1)).fill(fill).buffer),
  })
  const labelLogits = { dtype: 'F32', shape: [4, 2] } as const

  it.each<[string, Iterable<[string, SafeTensor]>, Partial<Manifest>, RegExp]>([
    ['logits that are announced and missing', [], { labelLogits }, /tensor 'label_logits': expected F32 \[4, 2\] but received 'no such/],
    ['logits that nothing announces', [['label_logits', floats([4, 2])]], {}, /'label_logits': expected no such tensor: the manifest/],
    ['logits of another shape', [['label_logits', floats([4, 3])]], { labelLogits }, /but received 'F32 \[4, 3\]'/],
    ['logits of another type', [['label_logits', { ...floats([4, 4]), dtype: 'F16', shape: [4, 4].concat(2) }]], { labelLogits }, /F16/],
    ['a rate that is announced and missing', [], { learningRate: 0.5 }, /tensor 'lr': expected F32 \[\] but received 'no such tensor'/],
    ['a rate that nothing announces', [['lr', floats([])]], {}, /tensor 'lr': expected no such tensor/],
    ['another rate than announced', [['lr', floats([])]], { learningRate: 0.25 }, /tensor 'lr': expected 0\.25 as in the manifest/],
    ['a rate of two numbers', [['lr', floats([2])]], { learningRate: 0.5 }, /expected F32 \[\] but received 'F32 \[2\]'/],
    ['a rate that is no number', [], { learningRate: '1' as never }, /field 'learningRate'/],
    ['a rate of 0', [['lr', floats([], 0)]], { learningRate: 0 }, /field 'learningRate'/],
    [
      'targets that are announced and missing',
      [],
      { targets: labelLogits },
      /tensor 'targets': expected F32 \[4, 2\] but received 'no such/,
    ],
    ['targets that nothing announces', [['targets', floats([4, 2])]], {}, /'targets': expected no such tensor/],
    ['an entry that is none', [], { labelLogits: { dtype: 'F64', shape: [4, 2] } as never }, /field 'labelLogits'/],
  ])('refuse to load %s', async (_, tensors, change, text) => {
    const dir = await rewritten(tensors, change)
    await expectError(() => loadSyntheticSet(dir), 'invalid_data', text)
  })

  it('refuse to load logits that are not finite', async () => {
    const dir = await rewritten([['label_logits', floats([4, 2], Number.NaN)]], { labelLogits })
    await expectError(() => loadSyntheticSet(dir), 'not_finite', /label logits of synthetic image 0/)
  })
})

describe('createSyntheticSet refuses', () => {
  it.each<[string, Parameters<typeof tinySet>[0], string, RegExp]>([
    ['a NaN pixel', { images: new Float32Array(144).fill(Number.NaN, 40, 41) }, 'not_finite', /synthetic image 1: expected finite/],
    ['missing pixels', { images: new Float32Array(143) }, 'invalid_data', /expected 144 values/],
    ['missing labels', { labels: Int32Array.of(0) }, 'invalid_data', /4 labels/],
    ['a label out of range', { labels: Int32Array.of(0, 0, 1, 2) }, 'invalid_data', /label of image 3/],
    ['short statistics', { mean: [0.5] }, 'invalid_data', /3 channels/],
    ['short logits', { labelLogits: new Float32Array(7) }, 'invalid_data', /labelLogits: expected 8 logits, 2 for each of 4 images/],
    ['logits of another type', { labelLogits: new Float64Array(8) as never }, 'invalid_data', /labelLogits/],
    ['an infinite logit', { labelLogits: new Float32Array(8).fill(Infinity, 5) }, 'not_finite', /label logits of synthetic image 2/],
    ['short targets', { targets: new Float32Array(7) }, 'invalid_data', /targets: expected 8 numbers, 2 for each of 4 images/],
    ['a target that is no number', { targets: new Float32Array(8).fill(Number.NaN, 3, 4) }, 'not_finite', /targets of synthetic image 1/],
    [
      'targets beside logits',
      { targets: new Float32Array(8), labelLogits: new Float32Array(8) },
      'invalid_data',
      /targets: expected no label logits/,
    ],
    ['a rate of 0', { learningRate: 0 }, 'invalid_data', /learningRate: expected a finite number > 0/],
    ['a negative rate', { learningRate: -0.01 }, 'invalid_data', /learningRate/],
    ['a rate that float32 has not', { learningRate: 1e-60 }, 'invalid_data', /learningRate/],
    ['an infinite rate', { learningRate: 1e39 }, 'invalid_data', /learningRate/],
    ['a rate as text', { learningRate: '0.01' as never }, 'invalid_data', /learningRate/],
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
    const dir = freshDir()
    await tinyLearned().save(dir)
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
