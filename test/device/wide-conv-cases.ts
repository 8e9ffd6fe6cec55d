/** @file Convolutions with enough channels and tiles for Winograd, with sizes that fill no tile or register block evenly. */
import { conv2d, conv2dInputGrad, conv2dWeightGrad } from '../../src/engine/index.js'
import { between, type OpCase } from '../cases/index.js'

const pad = { pad: 1 }

const sizes = [
  { name: '32 to 32 channels', x: [1, 4, 8, 8, 32], filters: 32 },
  { name: '33 to 40 channels, odd maps, two groups', x: [2, 3, 9, 7, 33], filters: 40 },
] as const

export const wideConvCases: readonly OpCase[] = sizes.flatMap(({ name, x, filters }): OpCase[] => {
  const [groups, n, height, width, channels] = x
  const weights = [groups, 3, 3, channels, filters]
  const y = [groups, n, height, width, filters]
  return [
    {
      op: 'conv2d',
      name,
      inputs: [between(x, -1, 1), between(weights, -1, 1), between([groups, filters], -1, 1)],
      build: (v, w, bias) => [conv2d(v, w, bias, pad)],
      wrt: [0, 1, 2],
    },
    {
      op: 'conv2d_input_grad',
      name,
      inputs: [between(y, -1, 1), between(weights, -1, 1)],
      build: (dy, w) => [conv2dInputGrad(dy, w, height, width, pad)],
    },
    {
      op: 'conv2d_weight_grad',
      name,
      inputs: [between(x, -1, 1), between(y, -1, 1)],
      build: (v, dy) => Object.values(conv2dWeightGrad(v, dy, 3, 3, pad)),
    },
  ]
})
