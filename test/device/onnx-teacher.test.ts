/** @file ONNX models as teachers: any output by name, maps pooled, raw pixels in; what cannot be one is refused. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { checkTeacherImage, openTeacher, type Teacher, type TeacherOptions } from '../../src/teachers/index.js'
import { encoded, externalTensor } from '../unit/onnx/models.js'

let device: Device
let dir: string
const open: Teacher[] = []
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
  dir = await mkdtemp(join(tmpdir(), 'aludel-teacher-'))
})
afterAll(async () => {
  for (const teacher of open) await teacher.dispose()
  await device.close()
  await rm(dir, { recursive: true })
})

let files = 0
async function teacherOf(model: Uint8Array, options: Partial<TeacherOptions> = { normalization: {} }): Promise<Teacher> {
  const path = join(dir, `model-${files++}.onnx`)
  await writeFile(path, model)
  const teacher = await openTeacher(path, { device, ...options })
  open.push(teacher)
  return teacher
}

/** Images [N, 1, 2, 2] -> maps [N, 2, 2, 2]: the image, and the image times 2. */
const mapModel = (changes: Parameters<typeof encoded>[0] = {}) =>
  encoded({
    nodes: [{ op: 'Conv', inputs: ['images', 'weight'], output: 'maps', attributes: {} }],
    initializers: [{ name: 'weight', dims: [2, 1, 1, 1], dtype: 'f32', data: Float32Array.of(1, 2) }],
    output: { name: 'maps', dims: ['batch', 2, 2, 2] },
    ...changes,
  })

describe('an ONNX teacher', () => {
  it('gives the rows of its output for pixels in [0, 1], in their order, whatever their number', async () => {
    const teacher = await teacherOf(await encoded())
    expect([teacher.dim, teacher.objective, teacher.input.shape]).toEqual([3, 'unknown', [2, 2, 1]])
    const rows = 150
    const pixels = Float32Array.from({ length: 4 * rows }, (_, i) => Math.floor(i / 4) / rows)
    const means = (await teacher.encode(pixels, rows)).filter((_, i) => i % 3 === 0)
    for (const [row, mean] of means.entries()) expect(mean).toBeCloseTo(row / rows, 6)
  })

  it('normalises by itself, and says by what', async () => {
    const teacher = await teacherOf(await encoded(), { normalization: { mean: [0.5], std: [0.25] } })
    expect(teacher.input.mean[0]).toBeCloseTo(0.5, 6)
    expect(teacher.input.std[0]).toBeCloseTo(0.25, 6)
    expect((await teacher.encode(new Float32Array(4).fill(0.75), 1))[0]).toBeCloseTo(1, 6)
    const bytes = await teacherOf(await encoded(), { normalization: { scale: 1 } })
    expect((await bytes.encode(new Float32Array(4).fill(1), 1))[0]).toBeCloseTo(255, 3)
  })

  it('averages maps over their positions', async () => {
    const teacher = await teacherOf(await mapModel(), { normalization: {}, output: 'maps' })
    expect(teacher.dim).toBe(2)
    const [a, b] = await teacher.encode(Float32Array.of(0, 0.25, 0.5, 0.75), 1)
    expect([a, b]).toEqual([0.375, 0.75])
  })

  it('takes the size of images where the model leaves it open', async () => {
    const openSize = await mapModel({ input: { name: 'images', dims: ['n', 1, 'h', 'w'] } })
    await expect(teacherOf(openSize)).rejects.toMatchObject({ code: 'invalid_option' })
    const teacher = await teacherOf(openSize, { normalization: {}, image: [2, 2, 1] })
    expect(teacher.input.shape).toEqual([2, 2, 1])
  })

  it.each<[string, () => Promise<Uint8Array>, Partial<TeacherOptions>, string, RegExp]>([
    [
      'a fixed batch',
      () => encoded({ input: { name: 'images', dims: [1, 1, 2, 2] } }),
      { normalization: {} },
      'invalid_data',
      /free batch/,
    ],
    ['external data', async () => externalTensor('location'), { normalization: {} }, 'invalid_data', /lies in another file/],
    ['another image size', () => encoded(), { normalization: {}, image: [4, 4, 1] }, 'invalid_data', /--size 2/],
    ['other channels', () => encoded(), { normalization: {}, image: [4, 4, 3] }, 'invalid_data', /take a model for images of 3 channels$/],
    ['no normalisation', () => encoded(), {}, 'invalid_option', /how its input is normalised/],
    ['an output that is not there', () => encoded(), { normalization: {}, output: 'pool' }, 'invalid_option', /logits/],
    ['an option that is none', () => encoded(), { outputs: 'x' } as object, 'invalid_option', /output/],
  ])('is refused for %s', async (_, model, options, code, message) => {
    await expect(teacherOf(await model(), options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('refuses normalised pixels, another number of them, and use after its end', async () => {
    const teacher = await teacherOf(await encoded())
    await expect(teacher.encode(Float32Array.of(0, 0, -2, 1), 1)).rejects.toMatchObject({ code: 'invalid_data' })
    await expect(teacher.encode(Float32Array.of(0, 0, Number.NaN, 1), 1)).rejects.toMatchObject({ code: 'invalid_data' })
    await expect(teacher.encode(new Float32Array(4), 2)).rejects.toMatchObject({ code: 'invalid_shape' })
    expect(() => checkTeacherImage(teacher, [4, 4, 1])).toThrow(/--size 2/)
    await teacher.dispose()
    await teacher.dispose()
    await expect(teacher.encode(new Float32Array(4), 1)).rejects.toMatchObject({ code: 'disposed' })
  })
})

const data = process.env.ALUDEL_DATA
describe.skipIf(!data)('models that were trained with labels (needs ALUDEL_DATA)', () => {
  const imagenet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }
  it.each([
    ['cifar10/cifar10-resnet20.onnx', [32, 32, 3], 64, imagenet],
    ['imagenet/mobilenet_v1_0.25_128_quant_deq.onnx', [128, 128, 3], 256, { scale: 1 / 127.5, mean: [1] }],
  ])('%s gives pooled features', async (name, shape, dim, normalization) => {
    const teacher = await openTeacher(join(data ?? '', 'models', name), { device, normalization, output: 'features' })
    open.push(teacher)
    expect([teacher.input.shape, teacher.dim]).toEqual([shape, dim])
    const size = teacher.input.shape.reduce((a, b) => a * b, 1)
    const features = await teacher.encode(
      Float32Array.from({ length: 2 * size }, (_, i) => ((i * 2654435761) % 1000) / 1000),
      2,
    )
    expect(features.every(Number.isFinite)).toBe(true)
    expect(Math.max(...features)).toBeGreaterThan(0)
  })
})
