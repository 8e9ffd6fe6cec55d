/** @file Real images of KRR-ST: crops of a padded image, shuffled passes without a gap, and the counters of the pool. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { initialSteps, PoolSchedule, pickAt } from '../../../src/distill/regression/pool-schedule.js'
import { cropImages, initialOrder, RealBatches, variantCount } from '../../../src/distill/regression/real-batches.js'
import { tablePays } from '../../../src/distill/regression/teacher-targets.js'
import { keyOf } from '../../../src/engine/tensor/key.js'

/** The crop by its definition: pad with 0, cut out, mirror. */
function slowCrop(
  image: Uint8Array,
  [h, w, c]: readonly [number, number, number],
  variant: number,
  padding: number,
  flip: boolean,
): number[] {
  const reach = 2 * padding + 1
  const offset = flip ? Math.floor(variant / 2) : variant
  const [top, left] = [Math.floor(offset / reach), offset % reach]
  const mirrored = flip && variant % 2 === 1
  const out: number[] = []
  for (let y = 0; y < h; y++)
    for (let x = 0; x < w; x++) {
      const [sy, sx] = [y + top - padding, (mirrored ? w - 1 - x : x) + left - padding]
      for (let k = 0; k < c; k++) out.push(sy >= 0 && sy < h && sx >= 0 && sx < w ? image[(sy * w + sx) * c + k] : 0)
    }
  return out
}

describe('crops', () => {
  it('are those of an image padded with black, mirrored after the cut', async () => {
    const sizes = fc.record({
      h: fc.integer({ min: 1, max: 5 }),
      w: fc.integer({ min: 1, max: 5 }),
      padding: fc.integer({ min: 0, max: 6 }),
      flip: fc.boolean(),
    })
    await fc.assert(
      fc.asyncProperty(sizes, async ({ h, w, padding, flip }) => {
        const shape = [h, w, 2] as const
        const image = Uint8Array.from({ length: h * w * 2 }, (_, i) => 1 + i)
        const count = variantCount({ padding, flip })
        const variants = Int32Array.from({ length: count }, (_, i) => i)
        const repeated = new Uint8Array(count * image.length)
        for (let i = 0; i < count; i++) repeated.set(image, i * image.length)
        const out = await cropImages(repeated, shape, variants, { padding, flip })
        for (const variant of variants) {
          const one = [...out.subarray(variant * image.length, (variant + 1) * image.length)]
          expect(one).toEqual(slowCrop(image, shape, variant, padding, flip))
        }
      }),
      { numRuns: 30 },
    )
  })

  it('are 162 for a padding of 4', () => {
    expect(variantCount({ padding: 4, flip: true })).toBe(162)
    expect(variantCount({ padding: 0, flip: false })).toBe(1)
  })
})

describe('batches', () => {
  const dataset = { shape: [10, 1, 1, 1] as const, images: Uint8Array.from({ length: 10 }, (_, i) => i) }
  const batches = () => new RealBatches(dataset, { size: 4, rule: { padding: 1, flip: true }, key: keyOf(3) })

  it('pass over every image before one comes again, each pass in another order', async () => {
    const own = batches()
    const rows: number[] = []
    for (let step = 0; step < 10; step++) rows.push(...(await own.at(step)).rows)
    const passes = [0, 1, 2, 3].map((pass) => rows.slice(pass * 10, (pass + 1) * 10))
    for (const pass of passes) expect([...pass].sort((a, b) => a - b)).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect(passes[0]).not.toEqual(passes[1])
  })

  it('depend on the number of the step alone', async () => {
    const own = batches()
    const late = await own.at(7)
    await own.at(0)
    expect(await batches().at(7)).toEqual(late)
  })

  it('draw every variant of an image', async () => {
    const own = batches()
    const seen = new Set<number>()
    for (let step = 0; step < 200; step++) for (const variant of (await own.at(step)).variants) seen.add(variant)
    expect([...seen].sort((a, b) => a - b)).toEqual(Array.from({ length: 18 }, (_, i) => i))
  })
})

describe('the start', () => {
  it('takes different images by a seeded order', async () => {
    const rows = await initialOrder(keyOf(1), 50)
    expect(new Set(rows).size).toBe(50)
    expect(await initialOrder(keyOf(1), 50)).toEqual(rows)
    expect(await initialOrder(keyOf(2), 50)).not.toEqual(rows)
  })

  it('trains networks for 1 to Z - 1 steps, or spreads their counters', () => {
    const rule = { models: 400, maxSteps: 5, counter: 'reset' } as const
    const steps = initialSteps(keyOf(1), { ...rule, start: 'trained' })
    expect([...new Set(steps)].sort()).toEqual([1, 2, 3, 4])
    expect(initialSteps(keyOf(1), { ...rule, models: 4, maxSteps: 100, start: 'staggered' })).toEqual([0, 25, 50, 75])
  })
})

describe('the pool', () => {
  it('keeps ages between 0 and Z where counters are reset, and trains a network no more where they are not', () => {
    const rule = { models: 5, maxSteps: 8 } as const
    const trained = (counter: 'reset' | 'release') => {
      const schedule = new PoolSchedule({ ...rule, counter }, new Int32Array(5), new Int32Array(5))
      let late = 0
      for (let step = 0; step < 4000; step++) {
        const visit = schedule.visit(pickAt(keyOf(9), step, rule.models))
        if (step >= 2000 && visit === 'train') late++
        expect(Math.max(...schedule.ages)).toBeLessThanOrEqual(rule.maxSteps)
      }
      return late
    }
    expect(trained('release')).toBe(0)
    expect(trained('reset') / 2000).toBeCloseTo(8 / 9, 1)
  })
})

describe('a table of answers', () => {
  it.each([
    ['CIFAR-100 at 512 numbers: too large', { images: 50_000, variants: 162, dim: 512, asked: 160_000 * 1024 }, false],
    ['5000 images, a long run', { images: 5000, variants: 162, dim: 512, asked: 160_000 * 1024 }, true],
    ['5000 images, a short run', { images: 5000, variants: 162, dim: 512, asked: 1000 * 1024 }, false],
  ])('%s', (_, sizes, pays) => {
    expect(tablePays(sizes)).toBe(pays)
  })
})
