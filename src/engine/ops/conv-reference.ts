/** @file float64 references of the convolution family: direct loops, channels innermost. */
import type { RefTensor } from './define.js'
import { zeros } from './reference-tensor.js'

export interface ConvGeometry {
  readonly strideH: number
  readonly strideW: number
  readonly padH: number
  readonly padW: number
}

/** Calls `tap` for every (image, output position, kernel tap) whose input position lies inside the image. */
function forEachTap(
  x: readonly number[],
  y: readonly number[],
  kernelH: number,
  kernelW: number,
  { strideH, strideW, padH, padW }: ConvGeometry,
  tap: (group: number, xOffset: number, yOffset: number, tapIndex: number) => void,
): void {
  const [groups, images, height, width, channels] = x
  const [, , outH, outW, filters] = y
  for (let image = 0; image < groups * images; image++) {
    const group = Math.floor(image / images)
    for (let oh = 0; oh < outH; oh++) {
      for (let ow = 0; ow < outW; ow++) {
        const yOffset = ((image * outH + oh) * outW + ow) * filters
        for (let kh = 0; kh < kernelH; kh++) {
          const h = oh * strideH - padH + kh
          if (h < 0 || h >= height) continue
          for (let kw = 0; kw < kernelW; kw++) {
            const w = ow * strideW - padW + kw
            if (w < 0 || w >= width) continue
            tap(group, ((image * height + h) * width + w) * channels, yOffset, kh * kernelW + kw)
          }
        }
      }
    }
  }
}

/** y = w * x (+ bias), x `[G,N,H,W,C]`, w `[G,KH,KW,C,K]`. */
export function convForward(
  x: RefTensor,
  w: RefTensor,
  bias: RefTensor | undefined,
  yShape: readonly number[],
  geometry: ConvGeometry,
): RefTensor {
  const y = zeros(yShape)
  const [groups, kernelH, kernelW, channels, filters] = w.shape
  if (bias) {
    const perGroup = y.data.length / groups
    for (let i = 0; i < y.data.length; i++) y.data[i] = bias.data[Math.floor(i / perGroup) * filters + (i % filters)]
  }
  const [xs, ws, ys] = [x.data, w.data, y.data]
  forEachTap(x.shape, yShape, kernelH, kernelW, geometry, (group, xAt, yAt, tap) => {
    let wAt = (group * kernelH * kernelW + tap) * channels * filters
    for (let c = 0; c < channels; c++) {
      const value = xs[xAt + c]
      for (let k = 0; k < filters; k++) ys[yAt + k] += value * ws[wAt++]
    }
  })
  return y
}

/** dx, the adjoint of `convForward` in x. */
export function convInputGrad(dy: RefTensor, w: RefTensor, xShape: readonly number[], geometry: ConvGeometry): RefTensor {
  const dx = zeros(xShape)
  const [, kernelH, kernelW, channels, filters] = w.shape
  const [ws, dys, dxs] = [w.data, dy.data, dx.data]
  forEachTap(xShape, dy.shape, kernelH, kernelW, geometry, (group, xAt, yAt, tap) => {
    let wAt = (group * kernelH * kernelW + tap) * channels * filters
    for (let c = 0; c < channels; c++) {
      let total = 0
      for (let k = 0; k < filters; k++) total += dys[yAt + k] * ws[wAt++]
      dxs[xAt + c] += total
    }
  })
  return dx
}

/** dw `[G,KH,KW,C,K]` and db `[G,K]`, the adjoints of `convForward` in w and bias. */
export function convWeightGrad(x: RefTensor, dy: RefTensor, wShape: readonly number[], geometry: ConvGeometry): RefTensor[] {
  const dw = zeros(wShape)
  const [groups, kernelH, kernelW, channels, filters] = wShape
  const db = zeros([groups, filters])
  const [xs, dys, dws] = [x.data, dy.data, dw.data]
  forEachTap(x.shape, dy.shape, kernelH, kernelW, geometry, (group, xAt, yAt, tap) => {
    let wAt = (group * kernelH * kernelW + tap) * channels * filters
    for (let c = 0; c < channels; c++) {
      const value = xs[xAt + c]
      for (let k = 0; k < filters; k++) dws[wAt++] += value * dys[yAt + k]
    }
  })
  const perGroup = dys.length / groups
  for (let i = 0; i < dys.length; i++) db.data[Math.floor(i / perGroup) * filters + (i % filters)] += dys[i]
  return [dw, db]
}
