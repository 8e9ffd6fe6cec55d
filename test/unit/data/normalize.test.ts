it('normalises more pixels than a JavaScript list may hold', () => {
  const images = new Uint8Array(115_000_002)
  images[images.length - 1] = 255
  const pixels = normalizeImages(images, { mean: [0, 0, 0.5], std: [1, 1, 0.25] })
  expect([pixels.length, pixels[0], pixels.at(-2), pixels.at(-1)]).toEqual([images.length, 0, 0, 2])
})
