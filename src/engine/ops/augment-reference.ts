/** @file float64 references of the augment ops: one row of theta per image, see docs/decisions/0001 for the kinds. */
import { expected } from '../../errors.js'
import type { RefTensor } from './define.js'
import { zeros } from './reference-tensor.js'

/** theta[n][0]: which operation an image gets. */
export const augmentKind = { identity: 0, color: 1, crop: 2, cutout: 3, flip: 4, affine: 5 } as const

/** augment: A x + delta; augment_linear: A x; augment_transpose: A^T x. */
export type AugmentMode = 'augment' | 'linear' | 'transpose'

export function augmentReference(x: RefTensor, theta: RefTensor, alignCorners: boolean, mode: AugmentMode): RefTensor {
  const out = zeros(x.shape)
  const [images, height, width, channels] = x.shape
  const size = height * width * channels
  for (let n = 0; n < images; n++) {
    const own: Image = {
      height,
      width,
      channels,
      from: x.data.subarray(n * size, (n + 1) * size),
      to: out.data.subarray(n * size, (n + 1) * size),
    }
    const [kind, ...p] = theta.data.subarray(n * 8, n * 8 + 8)
    if (kind === augmentKind.identity) own.to.set(own.from)
    else if (kind === augmentKind.color) color(own, p, mode)
    else if (kind === augmentKind.crop) copyPixels(own, mode, (h, w) => [h + p[0], w + p[1]])
    else if (kind === augmentKind.cutout) copyPixels(own, mode, (h, w) => (isCut(h, w, p) ? [-1, -1] : [h, w]))
    else if (kind === augmentKind.flip) copyPixels(own, mode, (h, w) => [h, p[0] === 0 ? w : width - 1 - w])
    else if (kind === augmentKind.affine) affine(own, p, alignCorners, mode)
    else throw expected('invalid_data', 'augment', 'a kind from 0 to 5 in theta', kind)
  }
  return out
}

interface Image {
  readonly height: number
  readonly width: number
  readonly channels: number
  readonly from: Float64Array
  readonly to: Float64Array
}

const mean = (values: Float64Array): number => values.reduce((a, b) => a + b, 0) / values.length

/** Brightness, saturation, contrast. The two mixing maps are symmetric, so the transpose applies them in reverse order. */
function color({ from, to, channels }: Image, [brightness, saturation, contrast]: readonly number[], mode: AugmentMode): void {
  to.set(from)
  if (mode === 'augment') for (let i = 0; i < to.length; i++) to[i] += brightness
  const saturate = () => {
    for (let at = 0; at < to.length; at += channels) mixWithMean(to.subarray(at, at + channels), saturation)
  }
  if (mode === 'transpose') mixWithMean(to, contrast)
  saturate()
  if (mode !== 'transpose') mixWithMean(to, contrast)
}

function mixWithMean(values: Float64Array, factor: number): void {
  const m = mean(values)
  for (let i = 0; i < values.length; i++) values[i] = (values[i] - m) * factor + m
}

const isCut = (h: number, w: number, [top, left, rows, columns]: readonly number[]): boolean =>
  h >= top && h < top + rows && w >= left && w < left + columns

/** Each output pixel is one input pixel (or zero outside); the transpose adds it back there. */
function copyPixels(image: Image, mode: AugmentMode, source: (h: number, w: number) => readonly [number, number]): void {
  for (let h = 0; h < image.height; h++) {
    for (let w = 0; w < image.width; w++) {
      const [fromH, fromW] = source(h, w)
      addPixel(image, mode, h, w, fromH, fromW, 1)
    }
  }
}

function addPixel(
  { height, width, channels, from, to }: Image,
  mode: AugmentMode,
  h: number,
  w: number,
  sourceH: number,
  sourceW: number,
  weight: number,
) {
  if (sourceH < 0 || sourceH >= height || sourceW < 0 || sourceW >= width) return
  const out = (h * width + w) * channels
  const source = (sourceH * width + sourceW) * channels
  const [read, write] = mode === 'transpose' ? [out, source] : [source, out]
  for (let c = 0; c < channels; c++) to[write + c] += weight * from[read + c]
}

/** Bilinear sampling at the input point of every output pixel; coordinates run from -1 to 1 over the image. */
function affine(image: Image, p: readonly number[], alignCorners: boolean, mode: AugmentMode): void {
  const { height, width } = image
  for (let h = 0; h < height; h++) {
    const y = toUnit(h, height, alignCorners)
    for (let w = 0; w < width; w++) {
      const x = toUnit(w, width, alignCorners)
      const sourceW = fromUnit(p[0] * x + p[1] * y + p[2], width, alignCorners)
      const sourceH = fromUnit(p[3] * x + p[4] * y + p[5], height, alignCorners)
      const [top, left] = [Math.floor(sourceH), Math.floor(sourceW)]
      const [down, right] = [sourceH - top, sourceW - left]
      addPixel(image, mode, h, w, top, left, (1 - down) * (1 - right))
      addPixel(image, mode, h, w, top, left + 1, (1 - down) * right)
      addPixel(image, mode, h, w, top + 1, left, down * (1 - right))
      addPixel(image, mode, h, w, top + 1, left + 1, down * right)
    }
  }
}

/** Pixel index -> coordinate: aligned corners put -1 and 1 on pixel centres, else on pixel edges. A lone pixel is at 0. */
function toUnit(i: number, size: number, alignCorners: boolean): number {
  if (size === 1) return 0
  return alignCorners ? (2 * i) / (size - 1) - 1 : (2 * i + 1) / size - 1
}

const fromUnit = (x: number, size: number, alignCorners: boolean): number =>
  alignCorners ? ((x + 1) / 2) * (size - 1) : ((x + 1) * size - 1) / 2
