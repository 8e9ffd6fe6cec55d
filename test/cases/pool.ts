/** @file Cases of the pooling ops. */
import { avgPool2d, maxPool2d, mul, square } from '../../src/engine/index.js'
import { emitOne } from '../../src/engine/ops/build.js'
import { between, distinct, type OpCase } from './case.js'

const windows = [
  { name: '2x2', x: [2, 4, 6, 3], y: [2, 2, 3, 3], window: 2, stride: 2 },
  { name: '3x3, stride 2, overlapping', x: [1, 7, 7, 2], y: [1, 3, 3, 2], window: 3, stride: 2 },
  { name: '2x2 of an odd image', x: [1, 2, 5, 3, 2], y: [1, 2, 2, 1, 2], window: 2, stride: 2 },
] as const

export const poolCases: readonly OpCase[] = windows.flatMap(({ name, x, y, window, stride }): OpCase[] => {
  const attrs = { windowH: window, windowW: window, strideH: stride, strideW: stride }
  const [height, width] = x.slice(-3)
  return [
    { op: 'avg_pool2d', name, inputs: [between(x, -1, 1)], build: (v) => [square(avgPool2d(v, { window, stride }))], wrt: [0] },
    {
      op: 'avg_pool2d_grad',
      name,
      inputs: [between(y, -1, 1)],
      build: (g) => [square(emitOne('avg_pool2d_grad', [g], { ...attrs, height, width }))],
      wrt: [0],
    },
    { op: 'max_pool2d', name, inputs: [distinct(x)], build: (v) => [square(maxPool2d(v, { window, stride }))], wrt: [0] },
    {
      op: 'max_pool2d_grad',
      name,
      inputs: [distinct(x), between(y, -1, 1)],
      build: (v, g) => [mul(emitOne('max_pool2d_grad', [v, g], attrs), v)],
      wrt: [0, 1],
    },
    {
      op: 'max_pool2d_gather',
      name,
      inputs: [distinct(x), between(x, -1, 1)],
      build: (v, h) => [square(emitOne('max_pool2d_gather', [v, h], attrs))],
      wrt: [0, 1],
    },
  ]
})
