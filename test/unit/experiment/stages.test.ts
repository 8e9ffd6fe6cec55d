/** @file Images on the way: which are kept of a checkpoint, which stages of many, and what damage does. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { addStage, readStages, stagesFile } from '../../../src/experiment/stages.js'
import type { Checkpoint } from '../../../src/experiment/types.js'
import { expectError, freshDir } from '../data/fixtures.js'

/** Three classes of two images, 1x2 pixels of one channel: pixel p of image m is 10 m + p, plus a hundredth of the step. */
function checkpointAt(step: number, change: Partial<Checkpoint> = {}): Checkpoint {
  const data = Float32Array.from({ length: 12 }, (_, i) => 10 * Math.floor(i / 2) + (i % 2) + step / 100)
  return {
    ...{
      config: { ipc: 2 },
      data: { classes: ['a', 'b', 'c'], mean: [0], std: [1], flip: false },
      plans: {},
      counters: { step },
      seconds: 0,
    },
    tensors: { images: { dtype: 'f32', shape: [3, 2, 1, 2, 1], data } },
    ...change,
  }
}

const fresh = () => join(freshDir(), stagesFile)
const stepsIn = async (path: string) => (await readStages(path))?.stages.map(({ step }) => step)

it('keeps the first image of each class', async () => {
  const path = fresh()
  expect(await readStages(path)).toBeUndefined()
  await addStage(path, checkpointAt(100))
  const images = Float32Array.of(1, 2, 21, 22, 41, 42)
  expect(await readStages(path)).toEqual({ image: [1, 2, 1], rows: [0, 2, 4], stages: [{ step: 100, images }] })
})

it('keeps eight stages, evenly spaced, the first and the newest among them', async () => {
  const path = fresh()
  for (let step = 1; step <= 64; step++) await addStage(path, checkpointAt(step))
  const steps = (await stepsIn(path)) as number[]
  expect(steps).toHaveLength(8)
  expect([steps[0], steps[7]]).toEqual([1, 64])
  const gaps = steps.slice(1).map((step, i) => step - steps[i])
  expect(Math.max(...gaps)).toBeLessThanOrEqual(20)
})

it('drops what a run that went back will make again', async () => {
  const path = fresh()
  for (const step of [10, 20, 30, 20]) await addStage(path, checkpointAt(step))
  expect(await stepsIn(path)).toEqual([10, 20])
})

it('keeps nothing of latents, of the start, or of a state without images', async () => {
  const path = fresh()
  await addStage(path, checkpointAt(5, { config: { ipc: 2, parametrise: 'mine' } }))
  await addStage(path, checkpointAt(0))
  await addStage(path, checkpointAt(5, { tensors: {} }))
  await addStage(path, checkpointAt(5, { config: { ipc: 5 } }))
  expect(await readStages(path)).toBeUndefined()
})

it('says what is damaged, and begins anew when a run goes on', async () => {
  const path = fresh()
  writeFileSync(path, 'no such file')
  await expectError(() => readStages(path), 'invalid_data', /stages\.safetensors/)
  await addStage(path, checkpointAt(7))
  expect(await stepsIn(path)).toEqual([7])
})
