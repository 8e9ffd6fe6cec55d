/** @file Two-view augmentation: draws that fit the image, and pixels that follow them as torchvision and PIL would move them. */
import { describe, expect, it } from 'vitest'
import { interpret, refTensor, spec, trace } from '../../../src/engine/index.js'
import { keyOf } from '../../../src/engine/tensor/key.js'
import { targetShare } from '../../../src/pretrain/objectives/byol.js'
import { learningRate, recipes } from '../../../src/pretrain/recipes.js'
import { drawView, viewColumns, viewSize } from '../../../src/pretrain/view-draws.js'
import { augmentedView } from '../../../src/pretrain/views.js'

type Draw = Partial<Record<(typeof viewColumns)[number], number>>
const [height, width] = [6, 8]
const nothing: Draw = { height, width, brightness: 1, contrast: 1, saturation: 1, order0: 0, order1: 1, order2: 2, order3: 3 }

/** One image [H, W, C] in float64, moved as `draw` says. */
function moved(image: ArrayLike<number>, channels: number, draw: Draw): Float64Array {
  const shape = [1, height, width, channels]
  const traced = trace((x, rows) => [augmentedView(x, rows)], [spec(shape), spec([1, viewSize])])
  const row = viewColumns.map((name) => ({ ...nothing, ...draw })[name] ?? 0)
  const [result] = interpret(traced, [refTensor(shape, Float64Array.from(image)), refTensor([1, viewSize], Float64Array.from(row))])
  return result.data
}

const pixels = (channels: number) => Float64Array.from({ length: height * width * channels }, (_, i) => ((i * 37) % 101) / 100)
const at = (data: ArrayLike<number>, y: number, x: number, c = 0, channels = 3) => data[(y * width + x) * channels + c]
const close = (a: ArrayLike<number>, b: ArrayLike<number>) => {
  expect(a.length).toBe(b.length)
  for (let i = 0; i < a.length; i++) expect(a[i]).toBeCloseTo(b[i], 10)
}
const red = (draw: Draw, rgb: readonly [number, number, number]) =>
  Array.from(
    moved(
      Float64Array.from({ length: height * width * 3 }, (_, i) => rgb[i % 3]),
      3,
      draw,
    ).slice(0, 3),
  )

describe('a view', () => {
  it.each([1, 3, 4])('of %i channels is the image where nothing was drawn', (channels) => {
    close(moved(pixels(channels), channels, {}), pixels(channels))
  })

  it('mirrors', () => {
    const image = pixels(3)
    const result = moved(image, 3, { flip: 1 })
    for (let x = 0; x < width; x++) expect(at(result, 2, x, 1)).toBeCloseTo(at(image, 2, width - 1 - x, 1), 12)
  })

  it('resizes a crop bilinearly with its edges repeated', () => {
    const image = pixels(3)
    // rows 2 and 3 of the image over six rows: sources -1/3 (repeated), 0, 1/3, 2/3, 1, 4/3 (repeated)
    const result = moved(image, 3, { top: 2, height: 2 })
    const weights = [0, 0, 1 / 3, 2 / 3, 1, 1]
    for (const [y, w] of weights.entries()) expect(at(result, y, 5)).toBeCloseTo((1 - w) * at(image, 2, 5) + w * at(image, 3, 5), 12)
  })

  it('changes brightness, contrast and saturation as PIL does, in the drawn order', () => {
    close(red({ jitter: 1, brightness: 1.5 }, [0.2, 0.4, 0.8]), [0.3, 0.6, 1])
    const gray = 0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8
    close(
      red({ jitter: 1, saturation: 0.5 }, [0.2, 0.4, 0.8]),
      [0.2, 0.4, 0.8].map((v) => (v + gray) / 2),
    )
    // of one colour the contrast moves towards its own gray
    close(
      red({ jitter: 1, contrast: 0.5 }, [0.2, 0.4, 0.8]),
      [0.2, 0.4, 0.8].map((v) => (v + gray) / 2),
    )
    const first = red({ jitter: 1, brightness: 1.5, saturation: 0, order0: 0, order2: 2 }, [0.2, 0.4, 0.8])
    const last = red({ jitter: 1, brightness: 1.5, saturation: 0, order0: 2, order2: 0 }, [0.2, 0.4, 0.8])
    expect(first[0]).toBeCloseTo(0.299 * 0.3 + 0.587 * 0.6 + 0.114, 12)
    expect(last[0]).toBeCloseTo(1.5 * gray, 12)
  })

  it('turns hue around the circle', () => {
    close(red({ jitter: 1, hue: 1 / 3 }, [1, 0, 0]), [0, 1, 0])
    close(red({ jitter: 1, hue: -1 / 3 }, [1, 0, 0]), [0, 0, 1])
    close(red({ jitter: 1, hue: 0.5 }, [0.2, 0.6, 0.6]), [0.6, 0.2, 0.2])
    close(red({ jitter: 1, hue: 0.25 }, [0.5, 0.5, 0.5]), [0.5, 0.5, 0.5])
    // what is not to be jittered is not moved by what was drawn for it
    close(red({ jitter: 0, hue: 0.5, brightness: 0.1 }, [0.2, 0.6, 0.6]), [0.2, 0.6, 0.6])
  })

  it('loses its colours, is solarised and blurred', () => {
    close(red({ grayscale: 1 }, [0.2, 0.4, 0.8]), Array(3).fill(0.299 * 0.2 + 0.587 * 0.4 + 0.114 * 0.8))
    close(red({ solarise: 1 }, [0.2, 0.5, 0.8]), [0.2, 0.5, 0.2])
    close(red({ sigma: 1.5 }, [0.2, 0.5, 0.8]), [0.2, 0.5, 0.8])
    const dot = new Float64Array(height * width)
    dot[3 * width + 4] = 1
    const blurred = moved(dot, 1, { sigma: 0.8 })
    expect(at(blurred, 3, 5, 0, 1) / at(blurred, 3, 4, 0, 1)).toBeCloseTo(Math.exp(-0.5 / 0.64), 2)
    expect(at(blurred, 2, 4, 0, 1)).toBeGreaterThan(0.01)
  })
})

describe('the draws of a view', () => {
  it('fit the image, differ by image, step and key, and are the same again', () => {
    const draw = (image: number, step: number, seed = 7) => {
      const row = new Float32Array(viewSize)
      drawView(recipes.simclr.views[0], { key: keyOf(seed), purpose: 5, step }, image, [height, width], row, 0)
      return Object.fromEntries(viewColumns.map((name, i) => [name, row[i]])) as Record<(typeof viewColumns)[number], number>
    }
    const seen = new Set<string>()
    for (let i = 0; i < 300; i++) {
      const row = draw(i, i % 7)
      seen.add(JSON.stringify(row))
      expect(row.top).toBeGreaterThanOrEqual(0)
      expect(row.top + row.height).toBeLessThanOrEqual(height)
      expect(row.left + row.width).toBeLessThanOrEqual(width)
      expect([row.order0, row.order1, row.order2, row.order3].sort()).toEqual([0, 1, 2, 3])
      expect(Math.abs(row.hue)).toBeLessThanOrEqual(0.2)
      expect(row.sigma === 0 || (row.sigma >= 0.1 && row.sigma <= 2)).toBe(true)
    }
    expect(seen.size).toBe(300)
    expect(draw(3, 4)).toEqual(draw(3, 4))
    expect(draw(3, 4)).not.toEqual(draw(3, 5))
    expect(draw(3, 4)).not.toEqual(draw(3, 4, 8))
  })
})

describe('the schedules', () => {
  it('warm up in a line and end at 0 along a cosine', () => {
    const rate = { lr: 0.3, warmupLr: 3e-5, warmup: 10 }
    expect(learningRate(0, 110, rate)).toBe(3e-5)
    expect(learningRate(10, 110, rate)).toBeCloseTo(0.3, 12)
    expect(learningRate(60, 110, rate)).toBeCloseTo(0.15, 12)
    expect(learningRate(110, 110, rate)).toBeCloseTo(0, 12)
    expect(learningRate(0, 5, { ...rate, warmup: 0 })).toBe(0.3)
  })

  it('let the target network follow less and less', () => {
    expect(targetShare(0.99, 0, 100)).toBeCloseTo(0.99, 12)
    expect(targetShare(0.99, 50, 100)).toBeCloseTo(0.995, 12)
    expect(targetShare(0.99, 100, 100)).toBe(1)
  })
})
