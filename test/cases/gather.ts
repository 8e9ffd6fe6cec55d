/** @file Cases of gather, scatter_add and image_gather. */
import { gather, imageGather, mul, scatterAdd, square } from '../../src/engine/index.js'
import { between, given, integers, type OpCase } from './case.js'

export const gatherCases: readonly OpCase[] = [
  {
    op: 'gather',
    name: 'rows, some twice',
    inputs: [between([5, 2, 3], -1, 1), integers([7], 5)],
    build: (x, i) => [square(gather(x, i))],
    wrt: [0],
  },
  { op: 'gather', name: 'scalars', inputs: [between([6], -1, 1), integers([4], 6)], build: (x, i) => [square(gather(x, i))], wrt: [0] },
  { op: 'gather', name: 'u8', inputs: [integers([6, 3], 256, 'u8'), integers([4], 6)], build: (x, i) => [gather(x, i)], tolerance: 0 },
  {
    op: 'scatter_add',
    name: 'rows, some twice',
    inputs: [between([6, 3], -1, 1), given([6], [0, 3, 3, 1, 0, 0], 'i32')],
    build: (g, i) => [square(scatterAdd(g, i, 5))],
    wrt: [0],
  },
  {
    op: 'scatter_add',
    name: 'after a gather',
    inputs: [between([4, 2], -1, 1), integers([6], 4)],
    build: (x, i) => [mul(scatterAdd(square(gather(x, i)), i, 4), x)],
    wrt: [0],
  },
  {
    op: 'gather',
    name: 'rows of 16-byte words',
    inputs: [between([9, 24], -1, 1), integers([211], 9)],
    build: (x, i) => [gather(x, i)],
    tolerance: 0,
  },
  {
    op: 'gather',
    name: 'u8 rows of 6 bytes',
    inputs: [integers([9, 6], 256, 'u8'), integers([211], 9)],
    build: (x, i) => [gather(x, i)],
    tolerance: 0,
  },
  {
    op: 'scatter_add',
    name: 'many sources of few rows',
    inputs: [between([700, 7], -1, 1), integers([700], 3)],
    build: (g, i) => [scatterAdd(g, i, 5)],
  },
  {
    op: 'scatter_add',
    name: 'many rows, some without sources',
    inputs: [between([5000, 2], -1, 1), integers([5000], 700)],
    build: (g, i) => [scatterAdd(g, i, 1000)],
  },
  {
    op: 'scatter_add',
    name: 'one row, float64',
    inputs: [between([2100, 3], -1, 1, 'f64'), integers([2100], 1)],
    build: (g, i) => [scatterAdd(g, i, 1)],
  },
  {
    op: 'image_gather',
    name: 'odd images',
    inputs: [integers([7, 3, 5, 3], 256, 'u8'), integers([40], 7), between([3], 0.01, 0.02), between([3], -2, -1)],
    build: (images, index, scale, shift) => [imageGather(images, index, scale, shift)],
  },
  {
    op: 'image_gather',
    name: 'large images',
    inputs: [integers([2, 34, 36, 3], 256, 'u8'), integers([3], 2), between([3], 0.01, 0.02), between([3], -2, -1)],
    build: (images, index, scale, shift) => [imageGather(images, index, scale, shift)],
  },
  {
    op: 'image_gather',
    name: 'normalised',
    inputs: [integers([3, 2, 4, 3], 256, 'u8'), integers([5], 3), between([3], 0.01, 0.02), between([3], -2, -1)],
    build: (images, index, scale, shift) => [imageGather(images, index, scale, shift)],
  },
]
