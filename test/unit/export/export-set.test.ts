/** @file Exports of a set: what was written reads back exactly, by this package and by others, and nothing of others is overwritten. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parquetMetadata, parquetReadObjects } from 'hyparquet'
import { afterAll, describe, expect, it } from 'vitest'
import { openDataset } from '../../../src/data/index.js'
import { denormalizeImages } from '../../../src/data/normalize.js'
import { openNpz } from '../../../src/data/npz.js'
import { exportSet, type SetFormat } from '../../../src/export/export-set.js'
import { classFolders } from '../../../src/export/image-files.js'
import { nchwToNhwc } from '../../../src/nn/layout.js'
import { decodePng } from '../experiment/decode-png.js'
import { tinyLearned, tinySet } from '../experiment/sets.js'

const root = mkdtempSync(join(tmpdir(), 'aludel-export-'))
afterAll(() => rmSync(root, { recursive: true }))
let folders = 0
const fresh = () => join(root, `${folders++}`)

const set = tinySet()
const shown = denormalizeImages(set.images, set)
const imageBytes = 3 * 4 * 3

describe('npz', () => {
  it('holds images, labels, statistics and classes exactly', async () => {
    const path = join(fresh(), 'deep', 'data.npz')
    const { files, bytes } = await exportSet(set, { format: 'npz', out: path })
    const file = readFileSync(path)
    expect([files, bytes]).toEqual([1, file.length])
    const archive = openNpz(path, new Uint8Array(file))
    expect(archive.names).toEqual(['images', 'labels', 'mean', 'std', 'classes'])
    const { shape, descr, data } = await archive.read('images')
    expect([shape, descr]).toEqual([[4, 3, 3, 4], '<f4'])
    expect(nchwToNhwc(Float32Array.from(data as ArrayLike<number>), [4, 3, 3, 4])).toEqual(set.images)
    expect([...(await archive.read('labels')).data].map(Number)).toEqual([0, 0, 1, 1])
    expect([...(await archive.read('mean')).data]).toEqual(set.mean)
    expect([...(await archive.read('std')).data]).toEqual(set.std)
  })

  it('is the same bytes every time', async () => {
    const [a, b] = [join(fresh(), 'a.npz'), join(fresh(), 'b.npz')]
    for (const out of [a, b]) await exportSet(set, { format: 'npz', out })
    expect(readFileSync(a)).toEqual(readFileSync(b))
  })

  /** A Python of this machine that has the modules; PATH may show another one than the distribution's. */
  const pythonWith = (...modules: string[]): string | undefined =>
    ['python3', '/usr/bin/python3'].find((python) => spawnSync(python, ['-c', `import ${modules.join(', ')}`]).status === 0)
  /** What the documentation's lines under a heading leave, with `before` in front of them, as JSON of `shown`. */
  const runSnippet = (python: string | undefined, heading: string, cwd: string, before: string, shown: string): unknown => {
    const page = readFileSync(fileURLToPath(new URL('../../../docs/artifact.md', import.meta.url)), 'utf8')
    const snippet = page.split(`## ${heading}\n`)[1]?.match(/```python\n([\s\S]*?)```/)?.[1]
    const code = [before, snippet, `import json; print(json.dumps([${shown}]))`].join('\n')
    const { stdout, stderr, status } = spawnSync(String(python), ['-c', code], { cwd, encoding: 'utf8' })
    expect([status, status === 0 ? '' : stderr]).toEqual([0, ''])
    return JSON.parse(stdout)
  }
  const nhwc = (images: number[][][][]) => nchwToNhwc(Float32Array.from(images.flat(3)), [4, 3, 3, 4])
  const [numpy, torch, safetensors] = [pythonWith('numpy'), pythonWith('torch', 'numpy'), pythonWith('torch', 'safetensors')]

  it.skipIf(!numpy)("is read by NumPy as the documentation's lines do (python3 with numpy)", async () => {
    const dir = fresh()
    await exportSet(tinySet({ classes: ['ä b', '日本😀'] }), { format: 'npz', out: join(dir, 'export', 'data.npz') })
    const shown = 'images.tolist(), labels.tolist(), classes.tolist(), str(images.dtype), str(labels.dtype), d["std"].tolist()'
    const [images, ...rest] = runSnippet(numpy, 'NumPy and JAX', dir, '', shown) as [number[][][][], ...unknown[]]
    expect(nhwc(images)).toEqual(set.images)
    expect(rest).toEqual([[0, 0, 1, 1], ['ä b', '日本😀'], 'float32', 'int64', set.std])
  })

  const rows = 'dataset.tensors[0].tolist(), dataset.tensors[1].tolist(), str(dataset.tensors[0].dtype), str(dataset.tensors[1].dtype)'
  const expectRows = ([images, ...rest]: [number[][][][], ...unknown[]]) => {
    expect(nhwc(images)).toEqual(set.images)
    expect(rest).toEqual([[0, 0, 1, 1], 'torch.float32', 'torch.int64'])
  }
  it.skipIf(!torch)("is read by PyTorch as the documentation's lines do (python3 with torch)", async () => {
    const dir = fresh()
    await exportSet(tinySet(), { format: 'npz', out: join(dir, 'export', 'data.npz') })
    expectRows(runSnippet(torch, 'PyTorch without the safetensors package', dir, '', rows) as never)
  })

  it.skipIf(!torch)('trains networks of PyTorch on learned labels (python3 with torch)', async () => {
    const dir = fresh()
    await exportSet(tinyLearned(), { format: 'npz', out: join(dir, 'export', 'data.npz') })
    const shown = 'targets.sum(1).tolist(), optimiser.param_groups[0]["lr"], bool(torch.isfinite(loss))'
    const heading = 'Training on learned labels at the learned rate'
    const seen = runSnippet(torch, heading, dir, 'import torch; torch.manual_seed(0)', shown)
    const [sums, lr, finite] = seen as [number[], number, boolean]
    for (const sum of sums) expect(sum).toBeCloseTo(1, 6)
    expect([lr, finite]).toEqual([Math.fround(0.0125), true])
  })

  it.skipIf(!safetensors)('needs no export for PyTorch with safetensors (python3 with both)', async () => {
    const dir = fresh()
    await set.save(dir)
    expectRows(runSnippet(safetensors, 'PyTorch', dir, 'import torch', rows) as never)
  })
})

describe('png', () => {
  it('holds every image as the eye sees it, by class', async () => {
    const out = fresh()
    expect(await exportSet(set, { format: 'png', out })).toMatchObject({ path: out, files: 4 })
    const names = readdirSync(out)
    expect(names).toEqual(['cat - -dog', 'ship'])
    for (const [i, label] of set.labels.entries()) {
      const { width, height, channels, pixels } = decodePng(new Uint8Array(readFileSync(join(out, names[label], `${i}.png`))))
      expect([width, height, channels]).toEqual([4, 3, 3])
      expect(pixels).toEqual(shown.slice(i * imageBytes, (i + 1) * imageBytes))
    }
  })

  it('is a data set of its own', async () => {
    const out = fresh()
    await exportSet(tinySet({ classes: ['cat', 'ship'] }), { format: 'png', out })
    const read = await openDataset(`folder:${out},holdout=0.5`, 'train')
    expect(read.classes).toEqual(['cat', 'ship'])
    expect([...read.shape.slice(1)]).toEqual([3, 4, 3])
    for (let row = 0; row < read.shape[0]; row++) {
      const image = read.images.slice(row * imageBytes, (row + 1) * imageBytes)
      const same = [...set.labels.keys()].filter((i) => shown.slice(i * imageBytes, (i + 1) * imageBytes).join() === image.join())
      expect(same.map((i) => set.labels[i])).toEqual([read.labels[row]])
    }
  })

  it('keeps class names that are good folders in label order, and numbers the others', () => {
    expect(classFolders(['airplane', 'bird', 'cat'])).toEqual(['airplane', 'bird', 'cat'])
    expect(classFolders(['cat', 'bird'])).toEqual(['0_cat', '1_bird'])
    expect(classFolders(['T-shirt/top', 'Trouser'])).toEqual(['T-shirt-top', 'Trouser'])
    expect(classFolders(['..', '../../etc', ''])).toEqual(['0', '1_etc', '2'])
    expect(classFolders(['A', 'a'])).toEqual(['0_A', '1_a'])
    expect(classFolders(Array.from({ length: 11 }, (_, i) => `c${i}`))[10]).toBe('10_c10')
  })

  it('refuses images of two channels, which npz takes', async () => {
    const two = tinySet({ shape: [4, 3, 6, 2], mean: [0, 0], std: [1, 1] })
    const refused = exportSet(two, { format: 'png', out: fresh() })
    await expect(refused).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining('use npz') })
    await expect(exportSet(two, { format: 'parquet', out: join(fresh(), 'a') })).rejects.toMatchObject({ code: 'invalid_option' })
    await exportSet(two, { format: 'npz', out: join(fresh(), 'a.npz') })
  })
})

describe('parquet', () => {
  it('holds images and labels as Hugging Face datasets has them', async () => {
    const path = join(fresh(), 'train.parquet')
    await exportSet(set, { format: 'parquet', out: path })
    const file = Uint8Array.from(readFileSync(path)).buffer
    const metadata = parquetMetadata(file)
    const features = JSON.parse(metadata.key_value_metadata?.find(({ key }) => key === 'huggingface')?.value ?? '').info.features
    expect(features).toEqual({ image: { _type: 'Image' }, label: { _type: 'ClassLabel', names: set.classes } })
    const rows = await parquetReadObjects({ file, utf8: false })
    expect(rows).toHaveLength(4)
    for (const [i, { image, label }] of rows.entries()) {
      expect(Number(label)).toBe(set.labels[i])
      expect(image.path).toMatch(new RegExp(`/${i}\\.png$`))
      expect(decodePng(Uint8Array.from(image.bytes)).pixels).toEqual(shown.slice(i * imageBytes, (i + 1) * imageBytes))
    }
  })

  it('holds more rows than one group', async () => {
    const many = tinySet({
      ...{ images: Float32Array.from({ length: 230 * 4 }, (_, i) => (i % 90) / 90), shape: [230, 2, 2, 1], mean: [0], std: [1] },
      ...{ labels: Int32Array.from({ length: 230 }, (_, i) => Math.floor(i / 115)), sourceIds: new Int32Array(230).fill(-1) },
    })
    const path = join(fresh(), 'train.parquet')
    await exportSet(many, { format: 'parquet', out: path })
    const file = Uint8Array.from(readFileSync(path)).buffer
    expect(parquetMetadata(file).row_groups).toHaveLength(3)
    const rows = await parquetReadObjects({ file, utf8: false })
    expect(rows.map(({ label }) => Number(label))).toEqual([...many.labels])
    const pixels = rows.flatMap(({ image }) => [...decodePng(Uint8Array.from(image.bytes)).pixels])
    expect(pixels).toEqual([...denormalizeImages(many.images, many)])
  })
})

describe('learned labels and rate', () => {
  const learned = tinyLearned()
  const logits = [...(learned.labelLogits as Float32Array)]

  it('are arrays of the npz', async () => {
    const path = join(fresh(), 'data.npz')
    await exportSet(learned, { format: 'npz', out: path })
    const archive = openNpz(path, new Uint8Array(readFileSync(path)))
    expect(archive.names).toEqual(['images', 'labels', 'mean', 'std', 'classes', 'label_logits', 'lr'])
    const read = await archive.read('label_logits')
    expect([read.descr, read.shape, [...read.data]]).toEqual(['<f4', [4, 2], logits])
    const rate = await archive.read('lr')
    expect([rate.descr, rate.shape, [...rate.data]]).toEqual(['<f4', [], [learned.learningRate]])
  })

  it('may be targets in place of logits, in every form', async () => {
    const targets = Float32Array.from({ length: 8 }, (_, i) => i / 8 - 0.4)
    const set = tinySet({ targets })
    const out = fresh()
    await exportSet(set, { format: 'npz', out: join(out, 'data.npz') })
    const archive = openNpz('data.npz', new Uint8Array(readFileSync(join(out, 'data.npz'))))
    expect([...(await archive.read('targets')).data]).toEqual([...targets])
    await exportSet(set, { format: 'png', out: join(out, 'png') })
    const { targets: rows } = JSON.parse(readFileSync(join(out, 'png', 'labels.json'), 'utf8'))
    expect(Object.values(rows).flat()).toEqual([...targets])
    await exportSet(set, { format: 'parquet', out: join(out, 'train.parquet') })
    const read = await parquetReadObjects({ file: Uint8Array.from(readFileSync(join(out, 'train.parquet'))).buffer, utf8: false })
    expect(read.flatMap((row) => [...row.targets])).toEqual([...targets])
  })

  it('stand beside the folders of PNG files', async () => {
    const out = fresh()
    expect(await exportSet(learned, { format: 'png', out })).toMatchObject({ files: 5 })
    const { classes, lr, label_logits: rows } = JSON.parse(readFileSync(join(out, 'labels.json'), 'utf8'))
    expect([classes, lr]).toEqual([learned.classes, learned.learningRate])
    expect(Object.keys(rows)).toEqual(['cat - -dog/0.png', 'cat - -dog/1.png', 'ship/2.png', 'ship/3.png'])
    expect(Object.values(rows).flat()).toEqual(logits)
    expect(await exportSet(learned, { format: 'png', out })).toMatchObject({ files: 5 })
  })

  it('are a column and an entry of the parquet file', async () => {
    const path = join(fresh(), 'train.parquet')
    await exportSet(learned, { format: 'parquet', out: path })
    const file = Uint8Array.from(readFileSync(path)).buffer
    const entries = Object.fromEntries(parquetMetadata(file).key_value_metadata?.map(({ key, value }) => [key, value]) ?? [])
    expect(entries.lr).toBe(String(learned.learningRate))
    expect(JSON.parse(entries.huggingface ?? '').info.features.label_logits).toMatchObject({ feature: { dtype: 'float32' }, length: 2 })
    const rows = await parquetReadObjects({ file, utf8: false })
    expect(rows.map(({ label }) => Number(label))).toEqual([...learned.labels])
    expect(rows.flatMap(({ label_logits: row }) => [...row])).toEqual(logits)
  })
})

describe('what stands in the way', () => {
  const files: Readonly<Record<SetFormat, string>> = { npz: 'data.npz', parquet: 'train.parquet', png: '' }

  it.each(['npz', 'png', 'parquet'] as const)('is kept when it is an earlier %s of the same set', async (format) => {
    const out = join(fresh(), files[format])
    const first = await exportSet(set, { format, out })
    expect(await exportSet(set, { format, out })).toEqual(first)
  })

  it.each(['npz', 'parquet'] as const)('is refused when it is another file where %s goes', async (format) => {
    const out = join(fresh(), files[format])
    mkdirSync(join(out, '..'), { recursive: true })
    writeFileSync(out, 'mine')
    const todo = expect.stringContaining('exists and holds something else; remove it or choose another place')
    await expect(exportSet(set, { format, out })).rejects.toMatchObject({ code: 'invalid_option', message: todo })
    expect(readFileSync(out, 'utf8')).toBe('mine')
  })

  it('is refused before the first image when it is a file of another name in a folder', async () => {
    const out = fresh()
    mkdirSync(join(out, 'notes'), { recursive: true })
    writeFileSync(join(out, 'notes', 'a.txt'), 'mine')
    const message = expect.stringContaining('holds notes/a.txt, which this export does not write')
    await expect(exportSet(set, { format: 'png', out })).rejects.toMatchObject({ code: 'invalid_option', message })
    expect(readdirSync(out)).toEqual(['notes'])
  })

  it('is refused when it is an image of another set', async () => {
    const out = fresh()
    await exportSet(set, { format: 'png', out })
    const other = tinySet({ images: set.images.map((v) => -v) })
    await expect(exportSet(other, { format: 'png', out })).rejects.toMatchObject({ code: 'invalid_option' })
    expect(decodePng(new Uint8Array(readFileSync(join(out, 'cat - -dog', '0.png')))).pixels).toEqual(shown.slice(0, imageBytes))
  })

  it('is an io error when it is a file where a folder is needed', async () => {
    const file = fresh()
    writeFileSync(file, 'mine')
    for (const [format, out] of [
      ['npz', join(file, 'data.npz')],
      ['png', file],
    ] as const) {
      await expect(exportSet(set, { format, out })).rejects.toMatchObject({ code: 'io' })
    }
  })
})

it.each([
  [{ format: 'pt', out: 'x' }, /one of npz, png, parquet/],
  [{ format: 'npz', out: '' }, /a path/],
  [{ format: 'npz' }, /a path/],
  [undefined, /options/],
])('refuses %j', async (options, message) => {
  await expect(exportSet(set, options as never)).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringMatching(message) })
})
