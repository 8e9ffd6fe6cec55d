/** @file Answers of a teacher that are kept: an image that two batches meet at once is asked for once, and again where that failed. */
import { expect, it } from 'vitest'
import type { RealBatches } from '../../../src/distill/regression/real-batches.js'
import { TeacherTargets } from '../../../src/distill/regression/teacher-targets.js'
import type { Teacher } from '../../../src/teachers/teacher.js'

const batch = { rows: Int32Array.of(3, 5), variants: Int32Array.of(1, 0) }
const batches = { variantsOf: async (row: number) => Uint8Array.of(row, row + 100) } as unknown as RealBatches

function targets(fails: number) {
  const asked: number[] = []
  const teacher = {
    ...{ name: 'pixels', dim: 1 },
    async encode(pixels: Float32Array) {
      asked.push(Math.round(255 * pixels[0]))
      if (asked.length <= fails) throw new Error('the teacher left')
      return pixels.map((value) => Math.round(255 * value))
    },
  } as unknown as Teacher
  return { asked, kept: new TeacherTargets({ teacher, batches, scale: 1, table: { variants: 2 } }) }
}

it('batches made ready beside each other ask once for each image', async () => {
  const { asked, kept } = targets(0)
  const both = await Promise.all([kept.of(batch, new Uint8Array()), kept.of(batch, new Uint8Array())])
  expect(both).toEqual([Float32Array.of(103, 5), Float32Array.of(103, 5)])
  expect(asked).toEqual([3, 5])
})

it('what failed is asked for again', async () => {
  const { asked, kept } = targets(1)
  await expect(kept.of(batch, new Uint8Array())).rejects.toThrow('left')
  expect(await kept.of(batch, new Uint8Array())).toEqual(Float32Array.of(103, 5))
  expect(asked).toEqual([3, 3, 5])
})
