/** @file Cases of the convolution family. */
import { type ConvOptions, conv2d, conv2dInputGrad, conv2dWeightGrad, conv2dWeightGradSquaredNorm } from '../../src/engine/index.js'
import { between, type OpCase } from './case.js'

interface Geometry extends ConvOptions {
  readonly name: string
  readonly x: readonly [number, number, number, number, number]
  readonly kernel: readonly [number, number]
  readonly filters: number
  readonly y: readonly [number, number]
}

const geometries: readonly Geometry[] = [
  { name: '3x3, pad 1', x: [1, 2, 5, 4, 3], kernel: [3, 3], filters: 4, pad: 1, y: [5, 4] },
  { name: '3x3, stride 2, pad 1, odd size', x: [1, 2, 7, 6, 3], kernel: [3, 3], filters: 2, stride: 2, pad: 1, y: [4, 3] },
  { name: '3x3, two groups', x: [2, 2, 4, 4, 2], kernel: [3, 3], filters: 3, pad: 1, y: [4, 4] },
  { name: '1x1', x: [1, 3, 3, 3, 5], kernel: [1, 1], filters: 2, y: [3, 3] },
  { name: '1x1, stride 2', x: [1, 2, 4, 5, 3], kernel: [1, 1], filters: 2, stride: 2, y: [2, 3] },
  { name: '5x5, pad 2', x: [1, 1, 6, 5, 1], kernel: [5, 5], filters: 2, pad: 2, y: [6, 5] },
  { name: 'unequal axes', x: [1, 1, 6, 7, 2], kernel: [3, 2], filters: 2, stride: [2, 1], pad: [0, 1], y: [2, 8] },
  { name: 'rows left over by the stride', x: [1, 1, 6, 6, 2], kernel: [3, 3], filters: 2, stride: 2, y: [2, 2] },
]

/** GPU tiles with a rest in every axis: channels that fill vectors and those that do not, inner axes cut into parts, phases of a stride. */
const tiled: readonly Geometry[] = [
  { name: 'tiles, vectors', x: [2, 3, 9, 7, 12], kernel: [3, 3], filters: 20, pad: 1, y: [9, 7] },
  { name: 'tiles, few channels', x: [1, 3, 9, 8, 3], kernel: [3, 3], filters: 36, pad: 1, y: [9, 8] },
  { name: 'tiles, odd channels and filters', x: [1, 2, 9, 8, 9], kernel: [3, 3], filters: 11, pad: 1, y: [9, 8] },
  { name: 'tiles, many filters', x: [2, 1, 9, 9, 8], kernel: [3, 3], filters: 68, pad: 1, y: [9, 9] },
  { name: 'tiles, 2x2 of four channels', x: [1, 2, 9, 8, 4], kernel: [2, 2], filters: 36, y: [8, 7] },
  { name: 'parts, small maps', x: [1, 1, 4, 4, 32], kernel: [3, 3], filters: 8, pad: 1, y: [4, 4] },
  { name: 'parts, large maps', x: [1, 1, 18, 17, 4], kernel: [3, 3], filters: 4, pad: 1, y: [18, 17] },
  { name: 'phases, stride 2', x: [2, 2, 9, 7, 12], kernel: [3, 3], filters: 20, stride: 2, pad: 1, y: [5, 4] },
  { name: 'phases, unequal strides', x: [1, 2, 11, 9, 16], kernel: [5, 3], filters: 12, stride: [3, 2], pad: [2, 1], y: [4, 5] },
  { name: 'phases without taps', x: [1, 2, 9, 9, 12], kernel: [2, 2], filters: 4, stride: 4, y: [2, 2] },
  { name: 'phases of odd filters', x: [1, 2, 7, 6, 10], kernel: [3, 3], filters: 5, stride: 2, pad: 1, y: [4, 3] },
  { name: 'few channels, patches', x: [1, 2, 12, 12, 3], kernel: [4, 4], filters: 8, stride: 4, y: [3, 3] },
]

const strides = ({ stride = 1, pad = 0 }: Geometry) => ({ stride, pad })
const weights = ({ x, kernel, filters }: Geometry): number[] => [x[0], ...kernel, x[4], filters]
const output = ({ x, y, filters }: Geometry): number[] => [x[0], x[1], ...y, filters]

/** Groups of one image each, as samples are; a linear layer is a map of one pixel, or of one row. */
const samples: readonly Geometry[] = [
  ...geometries.map((g) => ({ ...g, x: [3, 1, g.x[2], g.x[3], g.x[4]] as const })),
  { name: 'one pixel', x: [5, 1, 1, 1, 7], kernel: [1, 1], filters: 3, y: [1, 1] },
  { name: 'rows', x: [2, 1, 9, 1, 5], kernel: [1, 1], filters: 4, y: [9, 1] },
  { name: 'a kernel as large as the map', x: [3, 1, 4, 4, 3], kernel: [4, 4], filters: 2, y: [1, 1] },
  { name: 'a window mostly in the margin', x: [2, 1, 2, 3, 2], kernel: [3, 3], filters: 2, stride: 3, pad: 3, y: [2, 3] },
]

const squaredNorm = (g: Geometry, norm: 'direct' | 'gram'): OpCase => ({
  op: 'conv2d_weight_grad_squared_norm',
  name: `${g.name}, ${g.x[0]}x${g.x[1]}, ${norm}`,
  inputs: [between(g.x, -1, 1), between(output(g), -1, 1)],
  build(x, dy) {
    const { dw, db } = conv2dWeightGradSquaredNorm(x, dy, ...g.kernel, { ...strides(g), norm })
    return [dw, db]
  },
})

/** The three ops of a geometry, differentiated where that is affordable. */
const convolutions = (g: Geometry, differentiated: boolean): OpCase[] => [
  {
    op: 'conv2d',
    name: g.name,
    inputs: [between(g.x, -1, 1), between(weights(g), -1, 1), between([g.x[0], g.filters], -1, 1)],
    build: (x, w, bias) => [conv2d(x, w, bias, strides(g))],
    wrt: differentiated ? [0, 1, 2] : [],
  },
  {
    op: 'conv2d_input_grad',
    name: g.name,
    inputs: [between(output(g), -1, 1), between(weights(g), -1, 1)],
    build: (dy, w) => [conv2dInputGrad(dy, w, g.x[2], g.x[3], strides(g))],
    wrt: differentiated ? [0, 1] : [],
  },
  {
    op: 'conv2d_weight_grad',
    name: g.name,
    inputs: [between(g.x, -1, 1), between(output(g), -1, 1)],
    build(x, dy) {
      const { dw, db } = conv2dWeightGrad(x, dy, ...g.kernel, strides(g))
      return [dw, db]
    },
    wrt: differentiated ? [0, 1] : [],
  },
]

export const convCases: readonly OpCase[] = [
  ...geometries.map((g) => squaredNorm(g, 'direct')),
  ...samples.flatMap((g) => [squaredNorm(g, 'direct'), squaredNorm(g, 'gram')]),
  ...tiled.map((g) => squaredNorm(g, 'direct')),
  ...geometries.flatMap((g) => convolutions(g, true)),
  ...tiled.flatMap((g) => convolutions(g, false)),
  {
    op: 'conv2d_weight_grad',
    name: 'bias gradient alone',
    inputs: [between([1, 2, 4, 4, 2], -1, 1), between([1, 2, 4, 4, 3], -1, 1)],
    build: (x, dy) => [conv2dWeightGrad(x, dy, 3, 3, { pad: 1 }).db],
    wrt: [0, 1],
  },
  {
    op: 'conv2d',
    name: 'without bias',
    inputs: [between([1, 2, 4, 4, 3], -1, 1), between([1, 3, 3, 3, 2], -1, 1)],
    build: (x, w) => [conv2d(x, w, undefined, { pad: 1 })],
    wrt: [0, 1],
  },
  {
    op: 'conv2d',
    name: 'weights shared by two groups',
    inputs: [between([2, 2, 4, 4, 3], -1, 1), between([1, 3, 3, 3, 2], -1, 1), between([1, 2], -1, 1)],
    build: (x, w, bias) => [conv2d(x, w, bias, { pad: 1 })],
    wrt: [0, 1, 2],
  },
  {
    op: 'conv2d',
    name: 'no group axis',
    inputs: [between([2, 4, 4, 3], -1, 1), between([3, 3, 3, 2], -1, 1), between([2], -1, 1)],
    build: (x, w, bias) => [conv2d(x, w, bias, { pad: 1 })],
    wrt: [0, 1, 2],
  },
]
