/** @file Squared norms of the weight gradients of a convolution, group by group, without the gradients: what single samples are scored by. */
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { sizeOf } from '../tensor/shape.js'
import { checkValues, emit } from './build.js'
import { checkRank, intAttr } from './check.js'
import { type ConvOptions, convOps, geometryAttrs } from './conv.js'
import { defineOp, type RefTensor } from './define.js'
import { tableSlice } from './slicing.js'

/** How a squared norm is computed. */
export const normAlgorithms = { direct: 0, gram: 1 } as const
export type NormAlgorithm = keyof typeof normAlgorithms

/**
 * ||dw||^2 and ||db||^2 of each group, `[G]` each, of what `conv2dWeightGrad` gives for x `[G,N,H,W,C]` and dy `[G,N,OH,OW,K]`. 'direct': the
 * gradient of one group at a time. 'gram', for N = 1: by inner products of positions, sum over s, t of <x_s, x_t> <dy_s, dy_t>, where x_s is
 * the patch under position s; cheaper for few positions and many channels. The default is the one that takes fewer operations.
 */
export function conv2dWeightGradSquaredNorm(
  x: Value,
  dy: Value,
  kernelH: number,
  kernelW: number,
  options: ConvOptions & { readonly norm?: NormAlgorithm } = {},
): { dw: Value; db: Value } {
  checkValues(op, [x, dy])
  for (const [name, value] of Object.entries({ x, dy })) checkRank(op, name, value, 5, '[G,N,H,W,C]')
  const { norm, ...geometry } = options
  const attrs = { ...geometryAttrs(geometry), kernelH, kernelW }
  const algorithm = normAlgorithms[norm ?? cheaperNorm(x, dy, attrs)]
  const [dw, db] = emit('conv2d_weight_grad_squared_norm', [x, dy], { ...attrs, algorithm })
  return { dw, db }
}

const op = 'conv2d_weight_grad_squared_norm'
const mostTaps = 64
/** Pixels of a map with its margins: their products are at most 8 MiB and stay in a cache. */
const mostPixels = 1448
/** Products of pixels are packed, spread and summed beside the multiplications. */
const gramOverhead = 1.3

const tapsOf = (attrs: Attrs): number => (attrs.kernelH as number) * (attrs.kernelW as number)

function directFlops(x: TensorType, dy: TensorType, attrs: Attrs): number {
  return 2 * sizeOf(dy.shape) * tapsOf(attrs) * x.shape[4] + sizeOf(dy.shape)
}

/** Half of each square of products, then two operations for each pair of positions and tap. */
function gramFlops(x: TensorType, dy: TensorType, attrs: Attrs): number {
  const [groups, , height, width, channels] = x.shape
  const positions = dy.shape[2] * dy.shape[3]
  return groups * ((height * width) ** 2 * channels + positions ** 2 * (dy.shape[4] + tapsOf(attrs)))
}

/** A pure function of shapes. */
export function cheaperNorm(x: TensorType, dy: TensorType, attrs: Attrs): NormAlgorithm {
  const side = (axis: number, name: string) =>
    (dy.shape[axis] - 1) * (attrs[`stride${name}`] as number) + (attrs[`kernel${name}`] as number)
  const fits = x.shape[1] === 1 && tapsOf(attrs) <= mostTaps && side(2, 'H') * side(3, 'W') <= mostPixels
  return fits && gramOverhead * gramFlops(x, dy, attrs) < directFlops(x, dy, attrs) ? 'gram' : 'direct'
}

/** Sum of the squares of each group. */
function squares({ shape, data }: RefTensor): RefTensor {
  const size = data.length / shape[0]
  const sums = Float64Array.from({ length: shape[0] }, (_, g) => data.subarray(g * size, (g + 1) * size).reduce((n, v) => n + v * v, 0))
  return { shape: [shape[0]], data: sums }
}

const gradientAttrs = (attrs: Attrs): Attrs => ({ ...attrs, algorithm: 0 })

const squaredNormOp = defineOp({
  doc: 'Squared norms per group of the gradients of conv2d with respect to its filters and bias; not differentiable.',
  type(inputs, attrs) {
    intAttr(op, attrs, 'algorithm', 0)
    return convOps.conv2d_weight_grad
      .type(inputs, gradientAttrs(attrs))
      .map(({ shape, dtype }): TensorType => ({ shape: [shape[0]], dtype }))
  },
  reference(inputs, attrs) {
    const types = convOps.conv2d_weight_grad.type(
      inputs.map(({ shape }) => ({ shape, dtype: 'f32' })),
      gradientAttrs(attrs),
    )
    return convOps.conv2d_weight_grad.reference(inputs, gradientAttrs(attrs), types).map(squares)
  },
  flops: ([x, dy], _, attrs) => (attrs.algorithm === normAlgorithms.gram ? gramFlops : directFlops)(x, dy, attrs),
  encode: (attrs) => ['strideH', 'strideW', 'padH', 'padW', 'algorithm', 'kernelH', 'kernelW'].map((name) => attrs[name] as number),
  slice: tableSlice([{ in: [0, 0], out: [0, 0] }]),
})

export const convNormOps = { conv2d_weight_grad_squared_norm: squaredNormOp }
