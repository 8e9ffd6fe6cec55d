/**
 * @file Cases for the GPU's largest tiles of products, 128 x 128, which are only taken where many of them fill the device: every order of
 * operands, a rest in each axis, inner axes of several steps and of several pieces.
 */
import { conv2d, conv2dInputGrad, conv2dWeightGrad, conv2dWeightGradSquaredNorm, matmul } from '../../src/engine/index.js'
import { between, type OpCase } from '../cases/index.js'

const flags = [false, true]

const product = (batch: number, m: number, n: number, k: number, transposeA: boolean, transposeB: boolean): OpCase => ({
  op: 'matmul',
  name: `large tiles, ${batch} of ${m}x${k}x${n}, transposeA ${transposeA}, transposeB ${transposeB}`,
  inputs: [between(transposeA ? [batch, k, m] : [batch, m, k], -1, 1), between(transposeB ? [batch, n, k] : [batch, k, n], -1, 1)],
  build: (a, b) => [matmul(a, b, { transposeA, transposeB })],
})

/** Products of two tiles a group: 132 positions by 68 filters, or 156 pixels by 68 channels. */
const [groups, wide, kernel, pad] = [96, 68, [3, 2], [1, 0]] as const

const forward = (channels: number): OpCase => ({
  op: 'conv2d',
  name: `large tiles, ${channels} channels`,
  inputs: [
    between([groups, 1, 12, 12, channels], -1, 1),
    between([groups, ...kernel, channels, wide], -1, 1),
    between([groups, wide], -1, 1),
  ],
  build: (x, w, bias) => [conv2d(x, w, bias, { pad })],
})

const inputGradient: OpCase = {
  op: 'conv2d_input_grad',
  name: 'large tiles',
  inputs: [between([groups, 1, 12, 12, 4], -1, 1), between([groups, ...kernel, wide, 4], -1, 1)],
  build: (dy, w) => [conv2dInputGrad(dy, w, 12, 13, { pad })],
}

/** One tile a group, 72 taps and channels by 68 filters, from two images: their squares are then taken of tiles, not by inner products. */
const gradientInputs = [between([192, 2, 3, 3, 8], -1, 1), between([192, 2, 3, 3, wide], -1, 1)]

const weightGradient: OpCase = {
  op: 'conv2d_weight_grad',
  name: 'large tiles',
  inputs: gradientInputs,
  build: (x, dy) => Object.values(conv2dWeightGrad(x, dy, 3, 3, { pad: 1 })),
}

const squaredNorm: OpCase = {
  op: 'conv2d_weight_grad_squared_norm',
  name: 'large tiles',
  inputs: gradientInputs,
  build: (x, dy) => Object.values(conv2dWeightGradSquaredNorm(x, dy, 3, 3, { pad: 1 })),
}

export const gpuTileCases: readonly OpCase[] = [
  ...flags.flatMap((a) => flags.map((b) => product(96, 132, 68, 12, a, b))),
  product(192, 68, 72, 52, false, false),
  product(256, 4, 4, 1044, false, false), // one tile of 64 x 64 each, three pieces of the inner axis
  forward(4),
  forward(3),
  inputGradient,
  weightGradient,
  squaredNorm,
]
