/** @file Scores by an ONNX model: what they are, class maps, resumption and shards to the same bytes, and every model and file that is refused. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { imageFolder } from '../../src/data/image-folder.js'
import { encodePng } from '../../src/data/png.js'
import { Device } from '../../src/engine/runtime/device.js'
import { openDataset } from '../../src/prune/index.js'
import { readScores, scoresOf } from '../../src/prune/score-file.js'
import { readFeatures } from '../../src/scoring/feature-file.js'
import { mergeScores, resumeScoreModel, type ScoreModelOptions, scoreModel } from '../../src/scoring/model/index.js'
import { readKind, readRecord } from '../../src/scoring/score-directory.js'
import { expectError, freshDir } from '../unit/data/fixtures.js'
import { halves, jpeg, plain, tree } from '../unit/data/image-fixtures.js'
import { type TeacherOptions, teacher } from '../unit/onnx/teachers.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

/** Colours of class 0 lean to red, of 1 to green, of 2 to blue, the less the higher their number; one in ten leans elsewhere. */
function colours(perClass: number): { readonly files: Record<string, Uint8Array>; readonly pixels: readonly (readonly number[])[] } {
  const files: Record<string, Uint8Array> = {}
  const pixels: number[][] = []
  for (let c = 0; c < 3; c++) {
    for (let i = 0; i < perClass; i++) {
      const colour = [100, 100, 100]
      colour[i % 10 === 9 ? (c + 1) % 3 : c] = 250 - (i % 50)
      pixels.push(colour)
      const png = encodePng({ width: 2, height: 2, channels: 3, pixels: Uint8Array.from([colour, colour, colour, colour].flat()) })
      files[`${'abc'[c]}/${String(i).padStart(4, '0')}.png`] = png
    }
  }
  return { files, pixels }
}

const inSplits = (files: Readonly<Record<string, Uint8Array | string>>) =>
  tree({ ...under('train', files), ...under('val', { 'a/0.png': Object.values(files)[0] }) })
const under = (split: string, files: Readonly<Record<string, Uint8Array | string>>) =>
  Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${split}/${name}`, bytes]))

/** Blocks of 21 images: small ones at a size that fills the bytes of a block. */
const large = 256
const whole = { mean: [0], std: [1] }

async function modelFile(options: TeacherOptions = {}): Promise<string> {
  const path = join(freshDir(), 'teacher.onnx')
  writeFileSync(path, await teacher(options))
  return path
}

async function score(data: string, model: string, options: Partial<ScoreModelOptions> = {}) {
  const out = join(freshDir(), 'scores')
  const record = await scoreModel({ data, model, out, kinds: ['loss'], device, ...whole, ...options })
  return { out, record }
}

/** Cross-entropy and error norm of 8 times a colour in [0, 1]. */
function expectedScores(colour: readonly number[], label: number) {
  const exps = colour.map((byte) => Math.exp((8 * byte) / 255))
  const sum = exps.reduce((a, b) => a + b)
  return { loss: -Math.log(exps[label] / sum), el2n: Math.hypot(...exps.map((e, c) => e / sum - (c === label ? 1 : 0))) }
}

describe('scores by a model', () => {
  it('are those of its logits, in float64, whatever the size of the image', async () => {
    const { files, pixels } = colours(20)
    const data = `folder:${inSplits(files)}`
    const { out, record } = await score(data, await modelFile({ side: 5 }), { kinds: ['loss', 'el2n'] })
    expect(record).toMatchObject({ status: 'done', accuracies: [90], perClass: [90, 90, 90], unreadable: [], source: { size: [5, 5] } })
    for (const kind of ['loss', 'el2n'] as const) {
      const { values, score: about } = await readKind(out, kind)
      for (const [row, value] of values.entries()) expect(value).toBeCloseTo(expectedScores(pixels[row], Math.floor(row / 20))[kind], 5)
      expect(about).toMatchObject({
        name: kind,
        pass: 'evaluation',
        runs: 1,
        source: expect.stringMatching(/^teacher\.onnx \(sha256 .*, 5x5 pixels, squash$/),
      })
    }
    expect(readdirSync(out).sort()).toEqual(['el2n.safetensors', 'loss.safetensors', 'scores.json'])
    // scores of 5-pixel views belong to the same files at 2 pixels
    expect(scoresOf(await openDataset(data), await readScores(join(out, 'loss.safetensors')))).toHaveLength(60)
  })

  it('are the same from a data set in memory, which has its own identity', async () => {
    const { files } = colours(20)
    const dir = inSplits(files)
    const train = await imageFolder(dir, 'train')
    const { createDataset } = await import('../../src/data/dataset.js')
    expect(createDataset({ ...train, labels: train.labels }).sha256).toBe(train.sha256)
    const { out } = await score(`folder:${dir},size=2`, await modelFile())
    expect((await readKind(out, 'loss')).data).toEqual({
      ...{ name: train.name, split: 'train', samples: 60 },
      ...{ sha256: train.filesSha256, files: train.filesSha256 },
    })
  })

  it('keep features and what is made of them', async () => {
    const { files, pixels } = colours(20)
    const kinds = ['grandLastLayer', 'prototypicality', 'selfPrototypicality', 'moderate']
    const model = await modelFile({ features: true })
    const { out } = await score(`folder:${inSplits(files)}`, model, { kinds, features: true, featuresOutput: 'features' })
    const { features, logits } = await readFeatures(join(out, 'features.safetensors'))
    expect([features.shape, logits.shape]).toEqual([
      [60, 3],
      [60, 3],
    ])
    for (const [row, colour] of pixels.entries())
      for (let c = 0; c < 3; c++) expect(features.data[row * 3 + c]).toBeCloseTo(colour[c] / 255, 5)
    const { values } = await readKind(out, 'grandLastLayer')
    const norm = Math.hypot(...pixels[0].map((byte) => byte / 255))
    expect(values[0]).toBeCloseTo(expectedScores(pixels[0], 0).el2n * Math.sqrt(norm ** 2 + 1), 5)
    for (const kind of kinds) expect((await readKind(out, kind)).values).toHaveLength(60)
  })

  it('take logarithms of probabilities, and say so', async () => {
    const data = `folder:${inSplits(colours(20).files)}`
    const notices: string[] = []
    const logits = await score(data, await modelFile(), { kinds: ['loss'] })
    const probabilities = await score(data, await modelFile({ softmax: true }), { onNotice: (notice) => notices.push(notice) })
    expect(notices.join()).toMatch(/probabilities, not logits/)
    const [one, other] = [await readKind(logits.out, 'loss'), await readKind(probabilities.out, 'loss')]
    for (const [row, value] of one.values.entries()) expect(other.values[row]).toBeCloseTo(value, 5)
  })

  it.each([1, 4, 100])('are the same from a model with a batch of %i, with a notice', async (batch) => {
    const data = `folder:${inSplits(colours(20).files)}`
    const notices: string[] = []
    const fixed = await score(data, await modelFile({ batch }), { onNotice: (notice) => notices.push(notice) })
    expect(notices.join()).toMatch(new RegExp(`batch is fixed at ${batch}: .*slower`))
    const free = await score(data, await modelFile())
    const [one, other] = [await readKind(fixed.out, 'loss'), await readKind(free.out, 'loss')]
    for (const [row, value] of one.values.entries()) expect(other.values[row]).toBeCloseTo(value, 6)
  })

  it.each([1, 2])('do not depend on threads (%i)', async (threads) => {
    const data = `folder:${inSplits(colours(40).files)},size=${large}`
    const other = await Device.open({ threads })
    const model = await modelFile()
    try {
      const [one, two] = [await score(data, model), await score(data, model, { device: other })]
      expect(bytesOf(two.out, 'loss') === bytesOf(one.out, 'loss')).toBe(true)
    } finally {
      await other.close()
    }
  })
})

const bytesOf = (dir: string, kind: string) => readFileSync(join(dir, `${kind}.safetensors`), 'latin1')

describe('classes', () => {
  it("are mapped by a map, by the names in the model, by ImageNet's synsets; the loss is over all outputs", async () => {
    const { files } = colours(20)
    const data = `folder:${inSplits(files)}`
    const plainly = await score(data, await modelFile())
    const channels = [2, 0, 1]
    const given = await score(data, await modelFile({ channels }), { classMap: { a: 1, b: 2, c: 0, unknown: 7 } })
    const metadata = { 'aludel.classes': '["c","a","b"]' }
    const named = await score(data, await modelFile({ channels, metadata }))
    for (const { out, record } of [given, named]) {
      expect([record.accuracies, record.source.classMap]).toEqual([[90], [1, 2, 0]])
      for (const [row, value] of (await readKind(out, 'loss')).values.entries())
        expect(value).toBeCloseTo((await readKind(plainly.out, 'loss')).values[row], 5)
    }
    const synsets: Record<string, string> = { a: 'n01440764', b: 'n02102040', c: 'n02979186' }
    const imagenette = Object.fromEntries(Object.entries(files).map(([name, bytes]) => [`${synsets[name[0]]}${name.slice(1)}`, bytes]))
    const dir = tree({ ...under('train', imagenette), ...under('val', { 'n01440764/0.png': Object.values(files)[0] }) })
    // outputs of other classes follow the darkest channel of an image by far less
    const wide = Array.from({ length: 1000 }, (_, output) => ({ 0: 0, 217: 1, 482: 2 })[output] ?? 3)
    const { record } = await score(`folder:${dir}`, await modelFile({ channels: wide }))
    expect(record.source).toMatchObject({ classMap: [0, 217, 482], width: 1000, mapBy: 'synsets' })
    expect(record.accuracies).toEqual([90])
  })

  it.each<[string, TeacherOptions, Partial<ScoreModelOptions>, string, RegExp]>([
    ['another width', { channels: [0, 1, 2, 0] }, {}, 'invalid_data', /outputs: expected 3 logits, .* received 4; give --class-map/],
    ['1,000 outputs and folders that are no synsets', { channels: new Array(1000).fill(0) }, {}, 'invalid_data', /a, b, c are in no table/],
    ['a map without a class', {}, { classMap: { a: 0, b: 1 } }, 'invalid_option', /an output for class 'c'/],
    [
      'a map beyond the outputs',
      {},
      { classMap: { a: 0, b: 1, c: 3 } },
      'invalid_option',
      /'c': expected an output in \[0, 3\) but received 3/,
    ],
    ['a map of two classes to one', {}, { classMap: { a: 0, b: 1, c: 1 } }, 'invalid_option', /'b' and 'c' are both output 1/],
    ['other names in the model', { metadata: { 'aludel.classes': '["a","b","d"]' } }, {}, 'invalid_data', /one named 'c' as in the data/],
    ['classes in another order', { channels: [1, 2, 0] }, {}, 'invalid_data', /no better than chance; likely the order of the classes/],
    ['a kind that needs training', {}, { kinds: ['forgetting'] }, 'invalid_option', /received 'forgetting'; the others need networks/],
    ['a kind that needs features', {}, { kinds: ['prototypicality'] }, 'invalid_option', /--features-output/],
    ['features that the model has not', {}, { featuresOutput: 'h' }, 'invalid_option', /features output: expected one of float32/],
    ['a shard that is none', {}, { shard: { index: 3, of: 2 } }, 'invalid_option', /1 <= index <= of/],
  ])('of %s are refused before anything is written', async (_, options, changes, code, message) => {
    const data = `folder:${inSplits(colours(20).files)}`
    const out = join(freshDir(), 'scores')
    const model = await modelFile(options)
    await expectError(() => score(data, model, { out, ...changes }), code, message)
    expect(existsSync(out)).toBe(false)
  })

  it('near chance leave no scores, and go on when that is allowed', async () => {
    // each class looks like another but for a few images: the first look may see those, all images do not
    const { files } = colours(20)
    const data = `folder:${inSplits(files)}`
    const out = join(freshDir(), 'scores')
    const model = await modelFile({ channels: [1, 2, 0] })
    await expectError(() => score(data, model, { out }), 'invalid_data', /chance/)
    const { record } = await score(data, model, { out, allowChance: true })
    expect(record.accuracies).toEqual([10])
  })
})

describe('files that cannot be decoded', () => {
  const broken = async () => {
    const { files } = colours(20)
    return { ...files, 'a/0003.png': 'text', 'b/0010.png': Uint8Array.from(await jpeg(halves(64, 64))).subarray(0, -200) }
  }

  it('end a pass by default', async () => {
    const model = await modelFile()
    await expectError(async () => score(`folder:${inSplits(await broken())},size=2`, model), 'invalid_data', /a\/0003\.png: expected JPEG/)
  })

  it('are left out on request: counted, listed, and the rows are those of the data set that skips them', async () => {
    const data = `folder:${inSplits(await broken())},size=2,on-unreadable=skip`
    const notices: string[] = []
    const { out, record } = await score(data, await modelFile(), { onNotice: (notice) => notices.push(notice) })
    const train = await openDataset(data)
    expect(record.unreadable).toEqual(train.unreadable)
    expect(notices.filter((notice) => /left out/.test(notice))).toHaveLength(2)
    const scores = await readKind(out, 'loss')
    expect([scores.values.length, scores.data.files]).toEqual([58, train.filesSha256])
    const { values } = await readKind((await score(`folder:${inSplits(colours(20).files)},size=2`, await modelFile())).out, 'loss')
    expect([...scores.values]).toEqual([...values].filter((_, row) => row !== 3 && row !== 30))
  })

  it('do not include the known oddities of ImageNet: a CMYK JPEG, a PNG that is called JPEG', async () => {
    const { files } = colours(20)
    const cmyk = await jpeg(plain([250, 20, 20], 8).toColourspace('cmyk'))
    const odd = { ...files, 'a/0000.png': cmyk, 'b/0000.JPEG': files['b/0000.png'] }
    const { record } = await score(`folder:${inSplits(odd)}`, await modelFile({ side: 8 }))
    expect([record.data.samples, record.unreadable]).toEqual([61, []])
  })
})

describe('a pass that ended early', () => {
  it('goes on to the same bytes, from what it had kept', async () => {
    const data = `folder:${inSplits(colours(60).files)},size=${large}`
    const model = await modelFile({ features: true })
    const options = { kinds: ['loss', 'margin'], features: true, featuresOutput: 'features' } as const
    const uncut = await score(data, model, options)
    const out = join(freshDir(), 'scores')
    const seen: number[] = []
    for (const stop of [40, 100]) {
      const abort = new AbortController()
      const onProgress = ({ images }: { readonly images: number }) => {
        seen.push(images)
        if (images >= stop) abort.abort()
      }
      const watch = { device, signal: abort.signal, onProgress }
      const run = stop === 40 ? score(data, model, { ...options, ...watch, out }) : resumeScoreModel(out, watch)
      await expect(run).rejects.toMatchObject({ name: 'AbortError' })
      expect(await readRecord(out)).toMatchObject({ status: 'running' })
    }
    const record = await resumeScoreModel(out, { device, onProgress: ({ images }) => seen.push(images) })
    expect(record.status).toBe('done')
    // every block once, but for one that was under way
    expect(seen.length).toBeLessThanOrEqual(Math.ceil(180 / 21) + 2)
    for (const kind of ['loss', 'margin', 'features']) expect(bytesOf(out, kind) === bytesOf(uncut.out, kind), kind).toBe(true)
    expect(existsSync(join(out, 'progress'))).toBe(false)
    expect(await resumeScoreModel(out, { device })).toEqual(record)
  })

  it('computes a damaged part again, and does not go on with another model', async () => {
    const data = `folder:${inSplits(colours(60).files)},size=${large}`
    const model = await modelFile()
    const uncut = await score(data, model)
    const out = join(freshDir(), 'scores')
    const abort = new AbortController()
    const onProgress = ({ images }: { readonly images: number }) => images >= 40 && abort.abort()
    await expect(score(data, model, { out, signal: abort.signal, onProgress })).rejects.toMatchObject({ name: 'AbortError' })
    writeFileSync(model, await teacher({ channels: [0, 1, 2], side: large }))
    await expectError(() => resumeScoreModel(out, { device }), 'incompatible', /modelSha256: expected [0-9a-f]+, as it began/)
    writeFileSync(model, await teacher())
    const [part] = readdirSync(join(out, 'progress'))
    const path = join(out, 'progress', part)
    const bytes = readFileSync(path)
    bytes[bytes.length - 1] ^= 1
    writeFileSync(path, Uint8Array.from(bytes))
    await resumeScoreModel(out, { device })
    expect(bytesOf(out, 'loss') === bytesOf(uncut.out, 'loss')).toBe(true)
  })

  it('is not begun anew over its scores', async () => {
    const data = `folder:${inSplits(colours(20).files)}`
    const { out } = await score(data, await modelFile())
    const model = await modelFile()
    await expectError(() => score(data, model, { out }), 'invalid_option', /holds scores already/)
  })
})

describe('shards', () => {
  const shardsOf = async (of: number, data: string, model: string, options: Partial<ScoreModelOptions> = {}) => {
    const made = Array.from({ length: of }, async (_, i) => (await score(data, model, { ...options, shard: { index: i + 1, of } })).out)
    return Promise.all(made)
  }

  it.each([1, 2, 7])('%i of them make the same files as one pass', async (of) => {
    const { files } = colours(50)
    const data = `folder:${inSplits({ ...files, 'b/0020.png': 'text' })},size=${large},on-unreadable=skip`
    const model = await modelFile({ features: true })
    const options = { kinds: ['loss', 'prototypicality'], features: true, featuresOutput: 'features' } as const
    const uncut = await score(data, model, options)
    const dirs = await shardsOf(of, data, model, options)
    const out = join(freshDir(), 'scores')
    const record = await mergeScores([...dirs].reverse(), out)
    for (const kind of ['loss', 'prototypicality', 'features']) expect(bytesOf(out, kind) === bytesOf(uncut.out, kind), kind).toBe(true)
    const { seconds: _, ...rest } = uncut.record
    expect(record).toMatchObject(rest)
  })

  it('are all needed, once each, of the same data by the same settings', async () => {
    const data = `folder:${inSplits(colours(20).files)}`
    const model = await modelFile()
    const [one, two, three] = await shardsOf(3, data, model)
    const merge = (...dirs: string[]) => mergeScores(dirs, join(freshDir(), 'scores'))
    await expectError(() => merge(one, three), 'not_found', /shard 2\/3 is missing/)
    await expectError(() => merge(one, two, two, three), 'invalid_option', /shard 2\/3 is there twice/)
    const [ofTwo] = await shardsOf(2, data, model)
    await expectError(() => merge(one, ofTwo), 'incompatible', /shards: expected 3 as in .* received 2/)
    const others = await shardsOf(3, data, model, { kinds: ['el2n'] })
    await expectError(() => merge(one, others[1], three), 'incompatible', /kinds: expected/)
    const elsewhere = await shardsOf(3, `folder:${inSplits(colours(21).files)}`, model)
    await expectError(() => merge(one, two, elsewhere[2]), 'incompatible', /expected .* as in/)
    const { out } = await score(data, model)
    await expectError(() => merge(out), 'invalid_option', /a shard that aludel score .* received 'scores of all images'/)
    await expectError(() => readKind(one, 'loss'), 'invalid_data', /holds shard 1\/3 of scores; join all/)
  })
})
