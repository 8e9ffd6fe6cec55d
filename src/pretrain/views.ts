/**
 * @file Two-view augmentation on the device, made of graph ops: random resized crop with flip, colour jitter, grayscale, blur, solarisation,
 * in the order of solo-learn, on numbers in [0, 1] (nothing is rounded to bytes). Every image follows its row of `view-draws`.
 */
import {
  abs,
  add,
  cast,
  concat,
  div,
  equal,
  exp,
  floor,
  full,
  greater,
  greaterEqual,
  iota,
  matmul,
  maximum,
  mean,
  minimum,
  mul,
  relu,
  reshape,
  select,
  slice,
  square,
  sub,
  sum,
  transpose,
  type Value,
} from '../engine/index.js'
import { viewColumns } from './view-draws.js'

/** PIL's weights of red, green and blue. */
const luma = [0.299, 0.587, 0.114] as const
/** Solarised above. */
const threshold = 0.5
/** Widths of a Gaussian below this share no weight with a neighbour. */
const leastSigma = 1e-3

type Column = (typeof viewColumns)[number]
/** A column of the rows, [N, 1, 1]. */
type Columns = (name: Column) => Value

/** x [N, H, W, C] in [0, 1], rows f32 [N, viewSize] -> [N, H, W, C] in [0, 1]. No gradient is asked for. */
export function augmentedView(x: Value, rows: Value): Value {
  const [n, height, width, channels] = x.shape
  const column: Columns = (name) => {
    const at = viewColumns.indexOf(name)
    return reshape(slice(rows, [0, at], [n, at + 1]), [n, 1, 1])
  }
  const vertical = cropMatrix(height, { from: column('top'), size: column('height'), flip: full([n, 1, 1], 0) })
  const horizontal = cropMatrix(width, { from: column('left'), size: column('width'), flip: column('flip') })
  const cropped = resampled(x, vertical, horizontal)
  const planes = Array.from({ length: channels }, (_, c) =>
    reshape(slice(cropped, [0, 0, 0, c], [n, height, width, c + 1]), [n, height, width]),
  )
  const coloured = grayscaled(jittered(planes, column), column)
  const joined = concat(
    coloured.map((plane) => reshape(plane, [n, height, width, 1])),
    3,
  )
  const blurred = resampled(joined, blurMatrix(height, column('sigma')), blurMatrix(width, column('sigma')))
  const solar = reshape(greater(column('solarise'), 0), [n, 1, 1, 1])
  return select(mul(solar, greaterEqual(blurred, threshold)), sub(1, blurred), blurred)
}

/** rows x columnsᵀ of each image: vertical [N, H', H], horizontal [N, W', W], x [N, H, W, C] -> [N, H', W', C]. */
function resampled(x: Value, vertical: Value, horizontal: Value): Value {
  const [n, height, width, channels] = x.shape
  const [, tall] = vertical.shape
  const [, wide] = horizontal.shape
  const y = reshape(matmul(vertical, reshape(x, [n, height, width * channels]), { precision: 'f32' }), [n, tall, width, channels])
  const turned = reshape(transpose(y, [0, 2, 1, 3]), [n, width, tall * channels])
  return transpose(reshape(matmul(horizontal, turned, { precision: 'f32' }), [n, wide, tall, channels]), [0, 2, 1, 3])
}

/** 0, 1, … along `axis` of [1, size, size], f32. */
const places = (size: number, axis: 1 | 2): Value => cast(iota([1, size, size], axis), 'f32')

/** Bilinear weights [N, size, size] of the resize of [from, from + length) to `size` pixels, edges repeated, mirrored where `flip` is 1. */
function cropMatrix(size: number, { from, size: length, flip }: { from: Value; size: Value; flip: Value }): Value {
  const i = places(size, 1)
  const mirrored = add(i, mul(flip, sub(size - 1, mul(i, 2))))
  const inside = sub(div(mul(add(mirrored, 0.5), length), size), 0.5)
  const source = add(from, minimum(maximum(inside, 0), sub(length, 1)))
  return relu(sub(1, abs(sub(source, places(size, 2)))))
}

/** Gaussian weights [N, size, size] of the width sigma [N, 1, 1], each row of sum 1; the identity where sigma is 0. */
function blurMatrix(size: number, sigma: Value): Value {
  const distance = square(sub(places(size, 1), places(size, 2)))
  const weights = exp(div(mul(distance, -0.5), square(maximum(sigma, leastSigma))))
  return div(weights, sum(weights, { axes: [2], keep: true }))
}

/** Of red, green and blue; of other images the mean of their channels. Planes [N, H, W]. */
function grayOf(planes: readonly Value[]): Value {
  if (planes.length !== 3) return div(planes.reduce(add), planes.length)
  const [r, g, b] = planes.map((plane, c) => mul(plane, luma[c]))
  return add(add(r, g), b)
}

const clipped = (x: Value): Value => minimum(maximum(x, 0), 1)
/** a factor + b (1 - factor). */
const blended = (a: Value, b: Value, factor: Value): Value => clipped(add(mul(sub(a, b), factor), b))

/** Brightness, contrast, saturation and hue, in the order of each image; images that are not of three channels keep the first two. */
function jittered(planes: readonly Value[], column: Columns): readonly Value[] {
  const active = greater(column('jitter'), 0)
  let now = planes
  for (const slot of ['order0', 'order1', 'order2', 'order3'] as const) {
    const before = now
    const kind = column(slot)
    const is = (operation: number) => mul(active, equal(kind, operation))
    const gray = grayOf(before)
    const level = mean(gray, { axes: [1, 2], keep: true })
    const bright = before.map((plane) => clipped(mul(plane, column('brightness'))))
    const contrasted = before.map((plane) => blended(plane, level, column('contrast')))
    const saturated = before.length === 3 ? before.map((plane) => blended(plane, gray, column('saturation'))) : before
    const turned = before.length === 3 ? hueTurned(before as [Value, Value, Value], column('hue')) : before
    now = before.map((plane, c) =>
      select(is(0), bright[c], select(is(1), contrasted[c], select(is(2), saturated[c], select(is(3), turned[c], plane)))),
    )
  }
  return now
}

/** Hue moved by a share of the circle, by way of HSV; planes [N, H, W], share [N, 1, 1] in [-0.5, 0.5]. */
function hueTurned([r, g, b]: readonly [Value, Value, Value], share: Value): readonly Value[] {
  const value = maximum(maximum(r, g), b)
  const least = minimum(minimum(r, g), b)
  const chroma = sub(value, least)
  const coloured = greater(chroma, 0)
  const divisor = select(coloured, chroma, add(sub(chroma, chroma), 1))
  const sixth = select(
    greaterEqual(r, value),
    div(sub(g, b), divisor),
    select(greaterEqual(g, value), add(div(sub(b, r), divisor), 2), add(div(sub(r, g), divisor), 4)),
  )
  const turned = add(div(sixth, 6), share)
  const hue = mul(sub(turned, floor(turned)), 6)
  // value - chroma max(0, min(k, 4 - k, 1)), k = (n + hue) mod 6 with n = 5, 3, 1 for red, green, blue.
  return [5, 3, 1].map((n) => {
    const sum6 = add(hue, n)
    const k = sub(sum6, mul(floor(div(sum6, 6)), 6))
    return sub(value, mul(chroma, maximum(minimum(minimum(k, sub(4, k)), 1), 0)))
  })
}

function grayscaled(planes: readonly Value[], column: Columns): readonly Value[] {
  const gray = grayOf(planes)
  const active = greater(column('grayscale'), 0)
  return planes.map((plane) => select(active, gray, plane))
}
