/** @file Cases of the random ops. */
import { purpose, randomNormal, randomPermutation, randomUniform } from '../../src/engine/index.js'
import { given, type OpCase } from './case.js'

const inputs = [given([2], [0xdeadbeef, 17], 'u32'), given([1], [3], 'u32')]

export const randomCases: readonly OpCase[] = [
  { op: 'random_uniform', name: 'plain', inputs, build: (key, step) => [randomUniform(key, step, [3, 7], purpose.noise)], tolerance: 0 },
  { op: 'random_normal', name: 'odd count', inputs, build: (key, step) => [randomNormal(key, step, [5, 3], purpose.parameterInit)] },
  {
    op: 'random_permutation',
    name: 'of several blocks',
    inputs,
    build: (key, step) => [randomPermutation(key, step, 4500, purpose.shuffle)],
    tolerance: 0,
  },
  {
    op: 'random_permutation',
    name: 'plain',
    inputs,
    build: (key, step) => [randomPermutation(key, step, 11, purpose.shuffle)],
    tolerance: 0,
  },
]
