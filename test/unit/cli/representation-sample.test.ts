/** @file What a run without labels keeps of its teacher for the report: representations of other real images, of the first ones, of the set. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import type { Output } from '../../../src/cli/output.js'
import { addRepresentationSample } from '../../../src/cli/representation-sample.js'
import { createDataset } from '../../../src/data/dataset.js'
import { AludelError } from '../../../src/errors.js'
import { readRepresentationSample, representationsFile } from '../../../src/experiment/representation-sample.js'
import { createRepresentationSet } from '../../../src/experiment/representation-set.js'
import type { Teacher } from '../../../src/teachers/teacher.js'
import { freshDir } from '../data/fixtures.js'

const total = 300
const size = 4 * 4 * 3
const train = createDataset({
  ...{ name: 'noise', split: 'train', classes: ['a'], shape: [total, 4, 4, 3], labels: new Int32Array(total), flip: true },
  images: Uint8Array.from({ length: total * size }, (_, i) => (Math.imul(i + 7, 2654435761) >>> 24) & 255),
  ...{ mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] },
})
/** The first two pixels of an image. */
const teacher = {
  ...{ name: 'pixels', objective: 'none', dim: 2, sha256: '00' },
  input: { shape: [4, 4, 3], mean: [0, 0, 0], std: [1, 1, 1] },
  encode: async (pixels: Float32Array, rows: number) =>
    Float32Array.from({ length: 2 * rows }, (_, i) => pixels[(i >> 1) * size + (i & 1)]),
  dispose: async () => undefined,
} as Teacher

const ids = Int32Array.of(4, 250, 7)
const setOf = (sourceIds: Int32Array, realBatch: number) =>
  createRepresentationSet({
    images: Float32Array.from({ length: sourceIds.length * size }, (_, i) => (i % 256) / 255),
    shape: [sourceIds.length, 4, 4, 3],
    targets: new Float32Array(2 * sourceIds.length),
    ...{ dim: 2, mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2], initSpace: 'raw' },
    teacher: { name: 'pixels', objective: 'none', dim: 2, sha256: '00' },
    targetStatistics: { mean: new Float32Array(2), std: new Float32Array(2) },
    source: { name: 'noise', split: 'train', sha256: train.sha256 },
    config: { method: 'krr-st', n: sourceIds.length, seed: 3, realBatch },
    sourceIds,
  })
const notices: string[] = []
const output = { notice: (text: string) => notices.push(text) } as unknown as Output
const pairs = (values: Float32Array): string[] =>
  Array.from({ length: values.length / 2 }, (_, i) => values.subarray(2 * i, 2 * i + 2).join())
const pairOf = (row: number): string => pairs(Float32Array.from([0, 1], (i) => train.images[row * size + i] / 255))[0]

it('are as many real images as two steps draw, none of those that the set started from, the same each time', async () => {
  const dirs = [freshDir(), freshDir()]
  for (const dir of dirs) await addRepresentationSample(dir, { set: setOf(ids, 70), train, teacher, output })
  const sample = await readRepresentationSample(dirs[0], 2)
  expect(await readRepresentationSample(dirs[1], 2)).toEqual(sample)
  const real = pairs(sample?.real ?? new Float32Array())
  expect(real).toHaveLength(140)
  const rows = new Set(Array.from({ length: total }, (_, row) => pairOf(row)))
  expect(real.every((pair) => rows.has(pair))).toBe(true)
  expect(pairs(sample?.start ?? new Float32Array())).toEqual([...ids].map(pairOf))
  expect(sample?.images).toEqual(Float32Array.of(0, 1 / 255, 48 / 255, 49 / 255, 96 / 255, 97 / 255))
})

it('are real images of all where the set started from nearly every one', async () => {
  const dir = freshDir()
  await addRepresentationSample(dir, {
    set: setOf(
      Int32Array.from({ length: total }, (_, i) => i),
      4,
    ),
    train,
    teacher,
    output,
  })
  const sample = await readRepresentationSample(dir, 2)
  expect([sample?.real.length, sample?.start.length, sample?.images.length]).toEqual([200, 200, 200])
})

it('cost a run nothing but the picture where the teacher fails', async () => {
  const dir = freshDir()
  const encode = async () => Promise.reject(new AludelError('unavailable', 'the teacher left'))
  await addRepresentationSample(dir, { set: setOf(ids, 8), train, teacher: { ...teacher, encode }, output })
  expect(notices).toEqual(["the report has no picture of the teacher's representations: the teacher left"])
  expect(existsSync(join(dir, representationsFile))).toBe(false)
})
