/** @file A look at the normalisation that a user gives for a model: numbers of bytes beside pixels in [0, 1] are a common slip. */
import type { PixelNormalization } from '../onnx/index.js'
import type { Output } from './output.js'

/** Warns of means that no pixel in [0, 1] has, while nothing says that pixels are not scaled to that. */
export function noticeScale(output: Output, { mean, scale }: PixelNormalization): void {
  const large = scale === undefined ? mean?.find((value) => Math.abs(value) > 1) : undefined
  if (large === undefined) return
  output.notice(
    `--mean ${large}: bytes are divided by 255 before the mean is taken off; give --scale 1 where the numbers are those of bytes`,
  )
}
