/** @file Pretraining on small images: every objective learns, resumes to the same bytes, guards what goes wrong, and gives a teacher. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../src/data/dataset.js'
import { Device } from '../../src/engine/runtime/device.js'
import { objectives, type PretrainOptions, pretrain } from '../../src/pretrain/index.js'
import { assessTeacher, openTeacher } from '../../src/teachers/index.js'

let device: Device
let dir: string
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
  dir = await mkdtemp(join(tmpdir(), 'aludel-pretrain-'))
})
afterAll(async () => {
  await device.close()
  await rm(dir, { recursive: true })
})

const [count, side] = [64, 8]
/** Stripes across or down, each image of other colours. */
const stripes = createDataset({
  ...{ name: 'stripes', split: 'train', classes: ['across', 'down'], shape: [count, side, side, 3] },
  images: Uint8Array.from({ length: count * side * side * 3 }, (_, i) => {
    const [image, y, x, c] = [Math.floor(i / 192), Math.floor((i % 192) / 24), Math.floor((i % 24) / 3), i % 3]
    return ((image % 2 ? x : y) % 4 < 2 ? 40 : 200) + ((image * 7 + c * 31) % 50)
  }),
  labels: Int32Array.from({ length: count }, (_, i) => i % 2),
  ...{ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], flip: true },
})

let folders = 0
const folder = () => join(dir, `teacher-${folders++}`)
const small = (options: Partial<PretrainOptions> = {}): PretrainOptions => ({
  ...{ device, network: 'convnet-bn', epochs: 3, batch: 16, projector: [32, 16], seed: 3 },
  ...options,
})
const bytesOf = async (place: string) =>
  Promise.all(
    ['network.safetensors', 'teacher.json', 'quality.json'].map(async (name) => (await readFile(join(place, name))).toString('base64')),
  )

describe.each(objectives)('pretraining by %s', (objective) => {
  const options = () => small({ objective, ...(objective === 'byol' && { predictor: [32, 16] }) })

  it('lowers its loss and gives a teacher, the same again and after an interruption', async () => {
    const [whole, broken] = [folder(), folder()]
    const { record, quality, sha256 } = await pretrain(whole, stripes, options())
    expect(record.losses).toHaveLength(3)
    expect(record.losses[2]).toBeLessThan(record.losses[0])
    expect(record.spreads.every((spread) => spread > 0 && spread <= 1)).toBe(true)
    expect(quality.probe?.held).toBe(16)
    expect((await readdir(whole)).sort()).toEqual(['network.safetensors', 'pretraining.json', 'quality.json', 'teacher.json'])

    const abort = new AbortController()
    const onProgress = ({ done }: { readonly done: number }) => done >= 3 && abort.abort()
    await expect(pretrain(broken, stripes, { ...options(), signal: abort.signal, onProgress })).rejects.toMatchObject({
      name: 'AbortError',
    })
    await expect(openTeacher(broken, { device })).rejects.toMatchObject({ code: 'not_found' })
    let found = 0
    await pretrain(broken, stripes, { ...options(), onProgress: (progress) => (found = progress.found) })
    expect(found).toBeGreaterThan(0)
    expect(found).toBeLessThan(12)
    expect((await bytesOf(broken)).slice(0, 2)).toEqual((await bytesOf(whole)).slice(0, 2))

    const teacher = await openTeacher(whole, { device, image: [side, side, 3] })
    expect([teacher.objective, teacher.dim, teacher.sha256, teacher.input.mean]).toEqual([objective, record.dim, sha256, stripes.mean])
    const pixels = Float32Array.from(stripes.images, (byte) => byte / 255)
    const rows = await teacher.encode(pixels, count)
    const single = await teacher.encode(pixels.subarray(5 * 192, 6 * 192), 1)
    // Calls that overlap, of other images each, in several batches: krr-st asks for the next step's while it waits for this one's.
    const two = [pixels, pixels.map((value) => 1 - value)].map((images) => {
      const many = new Float32Array(3 * images.length)
      for (let i = 0; i < 3; i++) many.set(images, i * images.length)
      return many
    })
    const apart = [await teacher.encode(two[0], 3 * count), await teacher.encode(two[1], 3 * count)]
    expect(await Promise.all(two.map((images) => teacher.encode(images, 3 * count)))).toEqual(apart)
    expect(rows.subarray(5 * teacher.dim, 6 * teacher.dim)).toEqual(single)
    const { warnings: _, ...again } = await assessTeacher(teacher, stripes, { seed: 3 })
    expect(again.probe).toEqual(quality.probe)
    await teacher.dispose()
  })
})

describe('a pretraining', () => {
  it('is not continued with other settings or other data, and is found done', async () => {
    const place = folder()
    const { sha256 } = await pretrain(place, stripes, small({ epochs: 1 }))
    const steps: number[] = []
    const again = await pretrain(place, stripes, small({ epochs: 1, onProgress: ({ done }) => steps.push(done) }))
    expect([again.sha256, steps]).toEqual([sha256, []])
    await expect(pretrain(place, stripes, small({ epochs: 2 }))).rejects.toMatchObject({ code: 'invalid_option', message: /epochs/ })
    await expect(pretrain(place, stripes.subset([0, 1, 2, 3]), small({ epochs: 1 }))).rejects.toMatchObject({ code: 'invalid_option' })
  })

  it.each<[string, object, string, RegExp]>([
    ['an objective', { objective: 'moco' }, 'invalid_option', /barlow-twins, simclr, byol, vicreg/],
    ['a network', { network: 'resnet17' }, 'not_found', /resnet18/],
    ['a batch', { batch: 1 }, 'invalid_option', /batch/],
    ['a projector', { projector: [] }, 'invalid_option', /projector/],
    ['a predictor', { predictor: [8] }, 'invalid_option', /byol/],
    ['a temperature', { temperature: 0.5 }, 'invalid_option', /simclr/],
    ['a rate', { lr: -1 }, 'invalid_option', /lr/],
    ['a warm-up', { warmupEpochs: 9 }, 'invalid_option', /warmupEpochs/],
  ])('refuses %s that does not fit', async (_, options, code, message) => {
    await expect(pretrain(folder(), stripes, small(options))).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('ends at a loss that is no number, and leaves no teacher', async () => {
    const place = folder()
    await expect(pretrain(place, stripes, small({ lr: 1e30, weightDecay: 0, warmupEpochs: 0 }))).rejects.toMatchObject({
      code: expect.stringMatching(/not_finite|invalid_data/),
      // of a checkpoint only where there is one
      message: expect.not.stringMatching(/checkpoint/),
    })
    await expect(openTeacher(place, { device })).rejects.toMatchObject({ code: 'not_found' })
  })

  it('ends where all representations have become one', async () => {
    // black images stay black in every view: their representations have no other choice
    const black = createDataset({ ...stripes, name: 'black', images: new Uint8Array(stripes.images.length).fill(0) })
    await expect(pretrain(folder(), black, small({ epochs: 1 }))).rejects.toMatchObject({ code: 'invalid_data', message: /collapsed/ })
  })

  it('is told by a teacher whose files were changed', async () => {
    const place = folder()
    await pretrain(place, stripes, small({ epochs: 1 }))
    const weights = join(place, 'network.safetensors')
    const bytes = new Uint8Array(await readFile(weights))
    bytes[bytes.length - 1] ^= 1
    await writeFile(weights, bytes)
    await expect(openTeacher(place, { device })).rejects.toMatchObject({ code: 'invalid_data', message: /sha256/ })
    await expect(openTeacher(place, { device, output: 'features' })).rejects.toMatchObject({ code: 'invalid_option' })
  })
})

describe('the report of a teacher', () => {
  it('warns of one that has collapsed, and of pixels in another range', async () => {
    const record = { name: 'constant', objective: 'unknown', dim: 2, sha256: '0'.repeat(64) }
    const input = { shape: [side, side, 3] as const, mean: [0, 0, 0], std: [0.004, 0.004, 0.004] }
    const constant = {
      ...record,
      input,
      encode: async (_: Float32Array, rows: number) => new Float32Array(2 * rows).fill(1),
      dispose: async () => undefined,
    }
    const { warnings, spread, constantDimensions } = await assessTeacher(constant, stripes)
    expect([spread < 1e-3, constantDimensions]).toEqual([true, 2])
    expect(warnings.join('\n')).toMatch(/collapsed[\s\S]*normalised pixels[\s\S]*linear probe/)
    const other = { ...constant, input: { ...input, shape: [4, 4, 3] as const } }
    await expect(assessTeacher(other, stripes)).rejects.toMatchObject({ code: 'incompatible', message: /--size 4/ })
  })
})
