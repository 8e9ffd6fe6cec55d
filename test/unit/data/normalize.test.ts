/** @file Normalisation at sizes where JavaScript's own conveniences end the process. */
import { expect, it } from 'vitest'
import { normalizeImages } from '../../../src/data/normalize.js'

it('normalises more pixels than a JavaScript list may hold', () => {
  const images = new Uint8Array(115_000_002)
  images[images.length - 1] = 255
  const pixels = normalizeImages(images, { mean: [0, 0, 0.5], std: [1, 1, 0.25] })
  expect(pixels.length).toBe(images.length)
  expect(pixels[0]).toBeCloseTo(0, 6)
  expect(pixels[pixels.length - 1]).toBeCloseTo(2, 5)
})
