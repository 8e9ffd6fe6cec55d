/** @file PNG and contact sheets, checked by an independent reading of the file. */
import { describe, expect, it } from 'vitest'
import { encodePng } from '../../../src/data/png.js'
import { imageGrid, rowsByClass } from '../../../src/experiment/image-grid.js'
import { expectError, ramp } from '../data/fixtures.js'
import { decodePng } from './decode-png.js'

describe('encodePng', () => {
  it.each([
    [1, 1, 1],
    [5, 3, 1],
    [7, 4, 3],
    [300, 2, 3],
  ] as const)('%ix%i, %i channels', (width, height, channels) => {
    const pixels = ramp(width * height * channels)
    expect(decodePng(encodePng({ width, height, channels, pixels }))).toEqual({ width, height, channels, pixels })
  })

  it('refuses a wrong number of pixels', () =>
    expectError(() => encodePng({ width: 2, height: 2, channels: 3, pixels: ramp(4) }), 'invalid_shape', /expected 12 bytes/))
})

describe('imageGrid', () => {
  const images = Uint8Array.of(10, 20, 30, 40, 50, 60)

  it('puts one class on a line, with white gaps', () => {
    const rows = rowsByClass(Int32Array.of(0, 0, 1), 2)
    const { width, height, pixels } = imageGrid({ images, shape: [3, 1, 2, 1], rows }, 1)
    expect([width, height]).toEqual([5, 3])
    expect([...pixels]).toEqual([10, 20, 255, 30, 40, 255, 255, 255, 255, 255, 50, 60, 255, 255, 255])
  })

  it('enlarges by whole pixels', () => {
    const { width, height, pixels } = imageGrid({ images, shape: [2, 1, 1, 3], rows: [[1], [0]] }, 2)
    expect([width, height]).toEqual([2, 5])
    const [first, second, white] = [
      [40, 50, 60],
      [10, 20, 30],
      [255, 255, 255],
    ]
    expect([...pixels]).toEqual([first, first, first, first, white, white, second, second, second, second].flat())
  })

  it('keeps huge sheets within bounds', () => {
    const shape = [500, 64, 64, 1] as const
    const rows = [Array.from({ length: 500 }, (_, i) => i)]
    const { width } = imageGrid({ images: new Uint8Array(500 * 64 * 64), shape, rows }, 1)
    expect(width).toBeLessThanOrEqual(4096)
  })

  it('shows the first channel of two as gray, and the first three of more as colours', () => {
    expect(imageGrid({ images, shape: [3, 1, 1, 2], rows: [[0, 2]] }, 1)).toMatchObject({
      channels: 1,
      pixels: Uint8Array.of(10, 255, 50),
    })
    expect(imageGrid({ images, shape: [1, 1, 1, 5], rows: [[0]] }, 2)).toMatchObject({
      channels: 3,
      width: 2,
      height: 2,
      pixels: Uint8Array.of(10, 20, 30, 10, 20, 30, 10, 20, 30, 10, 20, 30),
    })
  })
})
