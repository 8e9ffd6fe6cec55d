/** @file Cases of the softmax family: hard targets, soft targets with any row sum, extreme logits. */
import { logSoftmax, oneHot, softmaxCe, softmaxCeOfFeatures } from '../../src/engine/index.js'
import { emit, emitOne } from '../../src/engine/ops/build.js'
import { between, type CaseInput, given, integers, type OpCase } from './case.js'

const z = between([4, 5], -3, 3)
const targets: readonly { name: string; z: CaseInput; target: CaseInput; rows: readonly number[] }[] = [
  { name: 'hard', z, target: integers([4], 5), rows: [4] },
  { name: 'soft', z, target: between([4, 5], 0, 0.7), rows: [4] },
  { name: 'hard, two leading axes', z: between([2, 3, 4], -3, 3), target: integers([2, 3], 4), rows: [2, 3] },
]

export const softmaxCases: readonly OpCase[] = [
  { op: 'log_softmax', name: 'rows', inputs: [between([2, 3, 5], -4, 4)], build: (x) => [logSoftmax(x)], wrt: [0] },
  { op: 'log_softmax', name: 'extreme logits', inputs: [given([2, 3], [1e4, 0, -1e4, 1e4, 1e4, 9999])], build: (x) => [logSoftmax(x)] },
  { op: 'log_softmax', name: 'one class', inputs: [between([3, 1], -1, 1)], build: (x) => [logSoftmax(x)], wrt: [0], tolerance: 0 },
  ...targets.flatMap(({ name, z: logits, target, rows }): OpCase[] => {
    const soft = target.dtype === 'f32'
    return [
      {
        op: 'softmax_ce',
        name,
        inputs: [logits, target],
        build: (a, t) => [softmaxCe(a, t).loss],
        wrt: soft ? [0, 1] : [0],
      },
      { op: 'softmax_ce', name: `${name}, el2n`, inputs: [logits, target], build: (a, t) => [softmaxCe(a, t).el2n] },
      {
        op: 'softmax_ce_grad',
        name,
        inputs: [logits, target, between(rows, -1, 1)],
        build: (a, t, g) => [emitOne('softmax_ce_grad', [a, t, g])],
        wrt: soft ? [0, 1, 2] : [0, 2],
        second: false,
      },
      {
        op: 'softmax_ce_grad_grad',
        name,
        inputs: [logits, target, between(rows, -1, 1), between(logits.shape, -1, 1)],
        build: (a, t, g, u) => emit('softmax_ce_grad_grad', [a, t, g, u]),
      },
    ]
  }),
  {
    op: 'softmax_ce',
    name: 'extreme logits',
    inputs: [given([2, 3], [1e4, 0, -1e4, -1e4, 1e4, 0]), given([2], [0, 0], 'i32')],
    build(a, t) {
      const { loss, el2n } = softmaxCe(a, t)
      return [loss, el2n]
    },
  },
  ...targets.map(
    ({ name, z: logits, target, rows }): OpCase => ({
      op: 'softmax_ce',
      name: `${name}, with features`,
      inputs: [logits, target, between([...rows, 7], -2, 2)],
      build(a, t, h) {
        const { loss, el2n, lastLayer } = softmaxCeOfFeatures(a, t, h)
        return [loss, el2n, lastLayer]
      },
    }),
  ),
  { op: 'one_hot', name: 'wide', inputs: [integers([5, 83], 3)], build: (index) => [oneHot(index, 3)], tolerance: 0 },
  { op: 'one_hot', name: 'plain', inputs: [integers([2, 3], 4)], build: (index) => [oneHot(index, 4)], tolerance: 0 },
]
