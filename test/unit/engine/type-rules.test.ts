/** @file Every type rule refuses what does not fit, with a stable code and the op's name. */
import { describe, expect, test } from 'vitest'
import { type Attrs, type DType, type Opcode, opcodes, registry, type TensorType } from '../../../src/engine/index.js'

const f = (...shape: number[]): TensorType => ({ shape, dtype: 'f32' })
const of = (dtype: DType, ...shape: number[]): TensorType => ({ shape, dtype })
const conv = { strideH: 1, strideW: 1, padH: 1, padW: 1, algorithm: 0 }
const pool = { windowH: 2, windowW: 2, strideH: 2, strideW: 2 }
const norm = { kind: 0, groups: 1, eps: 1e-5, relu: true, pool: 2 }
const image = f(1, 2, 4, 4, 3)

type Row = readonly [op: Opcode, why: string, inputs: readonly TensorType[], attrs: Attrs, code: string]
const rows: readonly Row[] = [
  ['input', 'negative index', [], { index: -1, shape: [2], dtype: 'f32' }, 'invalid_option'],
  ['input', 'unknown dtype', [], { index: 0, shape: [2], dtype: 'f16' }, 'invalid_dtype'],
  ['constant', 'wrong count', [], { data: [1], shape: [2], dtype: 'f32' }, 'invalid_shape'],
  ['iota', 'axis', [], { shape: [2], axis: 1 }, 'invalid_shape'],
  ['exp', 'integer', [of('i32', 2)], {}, 'invalid_dtype'],
  ['exp', 'two inputs', [f(2), f(2)], {}, 'invalid_data'],
  ['add', 'shapes', [f(2), f(3)], {}, 'invalid_shape'],
  ['add', 'mixed dtypes', [f(2), of('f64', 2)], {}, 'invalid_dtype'],
  ['greater', 'integers', [of('i32', 2), of('i32', 2)], {}, 'invalid_dtype'],
  ['select', 'branches', [f(2), f(2), of('f64', 2)], {}, 'invalid_dtype'],
  ['cast', 'unknown dtype', [f(2)], { dtype: 'bf16' }, 'invalid_dtype'],
  ['map', 'unwritten register', [f(2)], { program: [1, opcodes.indexOf('neg'), 1, 3, -1, -1, 1, 1] }, 'invalid_option'],
  ['map', 'not elementwise', [f(2)], { program: [1, opcodes.indexOf('sum'), 1, 0, -1, -1, 1, 1] }, 'invalid_option'],
  ['sum', 'axis', [f(2)], { axes: [1] }, 'invalid_shape'],
  ['sum', 'order', [f(2, 2)], { axes: [1, 0] }, 'invalid_shape'],
  ['max', 'no axes', [f(2)], {}, 'invalid_option'],
  ['argmax', 'scalar', [f()], {}, 'invalid_shape'],
  ['reshape', 'size', [f(2, 3)], { shape: [5] }, 'invalid_shape'],
  ['reshape', 'fraction', [f(2, 3)], { shape: [1.5, 4] }, 'invalid_shape'],
  ['transpose', 'repeated axis', [f(2, 3)], { permutation: [0, 0] }, 'invalid_shape'],
  ['broadcast', 'shrinks', [f(2, 3)], { shape: [3] }, 'invalid_shape'],
  ['slice', 'out of range', [f(4)], { starts: [2], steps: [2], shape: [2] }, 'invalid_shape'],
  ['slice', 'zero step', [f(4)], { starts: [0], steps: [0], shape: [2] }, 'invalid_option'],
  ['pad', 'too small', [f(4)], { before: [1], interior: [0], shape: [4] }, 'invalid_shape'],
  ['concat', 'other axis', [f(2, 3), f(2, 4)], { axis: 0 }, 'invalid_shape'],
  ['concat', 'dtype', [f(2), of('f64', 2)], { axis: 0 }, 'invalid_shape'],
  ['reverse', 'axis', [f(2)], { axes: [1] }, 'invalid_shape'],
  ['copy', 'nothing', [], {}, 'invalid_data'],
  ['matmul', 'inner', [f(2, 3), f(2, 3)], {}, 'invalid_shape'],
  ['matmul', 'batch', [f(2, 2, 3), f(3, 3, 2)], {}, 'invalid_shape'],
  ['matmul', 'vector', [f(3), f(3, 2)], {}, 'invalid_shape'],
  ['conv2d', 'channels', [image, f(1, 3, 3, 2, 4)], conv, 'invalid_shape'],
  ['conv2d', 'groups', [image, f(2, 3, 3, 3, 4)], conv, 'invalid_shape'],
  ['conv2d', 'bias', [image, f(1, 3, 3, 3, 4), f(1, 3)], conv, 'invalid_shape'],
  ['conv2d', 'kernel too large', [image, f(1, 7, 7, 3, 4)], conv, 'invalid_shape'],
  ['conv2d', 'float64', [of('f64', 1, 2, 4, 4, 3), f(1, 3, 3, 3, 4)], conv, 'invalid_dtype'],
  ['conv2d', 'zero stride', [image, f(1, 3, 3, 3, 4)], { ...conv, strideH: 0 }, 'invalid_option'],
  ['conv2d_input_grad', 'size', [f(1, 2, 4, 4, 4), f(1, 3, 3, 3, 4)], { ...conv, height: 5, width: 4 }, 'invalid_shape'],
  ['conv2d_weight_grad', 'size', [image, f(1, 2, 3, 4, 4)], { ...conv, kernelH: 3, kernelW: 3 }, 'invalid_shape'],
  ['conv2d_prepare', 'rank', [f(3, 3, 3, 4)], { role: 0, algorithm: 0 }, 'invalid_shape'],
  ['avg_pool2d', 'image too small', [f(1, 4, 3)], pool, 'invalid_shape'],
  ['avg_pool2d_grad', 'size', [f(2, 2, 3)], { ...pool, height: 8, width: 4 }, 'invalid_shape'],
  ['max_pool2d', 'rank', [f(4, 4)], pool, 'invalid_shape'],
  ['max_pool2d_grad', 'size', [f(4, 4, 3), f(4, 4, 3)], pool, 'invalid_shape'],
  ['max_pool2d_gather', 'size', [f(4, 4, 3), f(2, 2, 3)], pool, 'invalid_shape'],
  ['norm_act_pool', 'gamma', [image, f(1, 2), f(1, 3)], norm, 'invalid_shape'],
  ['norm_act_pool', 'kind', [image, f(1, 3), f(1, 3)], { ...norm, kind: 3 }, 'invalid_option'],
  ['norm_act_pool', 'groups', [image, f(1, 3), f(1, 3)], { ...norm, kind: 1, groups: 2 }, 'invalid_option'],
  ['norm_act_pool', 'row weights of instance norm', [image, f(1, 3), f(1, 3), f(1, 2)], norm, 'invalid_option'],
  ['norm_act_pool', 'eps', [image, f(1, 3), f(1, 3)], { ...norm, eps: Number.NaN }, 'invalid_option'],
  ['norm_act_pool', 'power', [image, f(1, 3), f(1, 3)], { ...norm, power: 5 }, 'invalid_option'],
  ['norm_act_pool', 'power without relu', [image, f(1, 3), f(1, 3)], { ...norm, relu: false, power: 2 }, 'invalid_option'],
  ['norm_act_pool_grad', 'gy', [image, f(1, 3), f(1, 3), f(1, 2, 3), f(1, 2, 3), image], norm, 'invalid_shape'],
  [
    'norm_act_pool_grad_grad',
    'ux',
    [image, f(1, 3), f(1, 3), f(1, 2, 3), f(1, 2, 3), f(1, 2, 2, 2, 3), f(1, 2, 2, 2, 3), f(1, 3), f(1, 3)],
    norm,
    'invalid_shape',
  ],
  ['log_softmax', 'scalar', [f()], {}, 'invalid_shape'],
  ['softmax_ce', 'target', [f(4, 5), of('i32', 5)], {}, 'invalid_shape'],
  ['softmax_ce', 'target dtype', [f(4, 5), of('u8', 4)], {}, 'invalid_dtype'],
  ['softmax_ce_grad', 'g', [f(4, 5), of('i32', 4), f(5)], {}, 'invalid_shape'],
  ['softmax_ce_grad_grad', 'u', [f(4, 5), of('i32', 4), f(4), f(4)], {}, 'invalid_shape'],
  ['gram', 'rank', [f(4)], {}, 'invalid_shape'],
  ['cholesky', 'dtype', [f(3, 3), of('f64')], {}, 'invalid_dtype'],
  ['cholesky', 'matrix', [of('f64', 3, 2), of('f64')], {}, 'invalid_shape'],
  ['cholesky_solve', 'right-hand sides', [of('f64', 3, 3), of('f64', 2, 4)], {}, 'invalid_shape'],
  ['one_hot', 'float', [f(4)], { classes: 3 }, 'invalid_dtype'],
  ['gather', 'index', [f(4), of('i32', 2, 2)], {}, 'invalid_shape'],
  ['scatter_add', 'rows', [f(4), of('i32', 3)], { rows: 2 }, 'invalid_shape'],
  ['image_gather', 'float images', [f(2, 4, 4, 3), of('i32', 3), f(3), f(3)], {}, 'invalid_dtype'],
  ['image_gather', 'scale', [of('u8', 2, 4, 4, 3), of('i32', 3), f(1), f(3)], {}, 'invalid_shape'],
  ['augment', 'theta', [f(2, 4, 4, 3), f(2, 7)], {}, 'invalid_shape'],
  ['augment_linear', 'rank', [f(4, 4, 3), f(4, 8)], {}, 'invalid_shape'],
  ['augment_transpose', 'dtype', [of('f64', 2, 4, 4, 3), f(2, 8)], {}, 'invalid_dtype'],
  ['random_uniform', 'key', [of('u32', 1), of('u32', 1)], { shape: [3], purpose: 1 }, 'invalid_shape'],
  ['random_normal', 'counter', [of('u32', 2), f(1)], { shape: [3], purpose: 1 }, 'invalid_dtype'],
  ['random_permutation', 'purpose', [of('u32', 2), of('u32', 1)], { shape: [3] }, 'invalid_option'],
  ['random_permutation', 'shape', [of('u32', 2), of('u32', 1)], { shape: [3, 2], purpose: 1 }, 'invalid_shape'],
  ['loop', 'slices', [], { bodyInstructions: 1, slices: 0, lanes: 1 }, 'invalid_option'],
  ['accumulate', 'integer', [of('i32', 2)], {}, 'invalid_dtype'],
  ['lane_sum', 'scalar', [f()], {}, 'invalid_shape'],
]

describe('type rules', () => {
  test.each(rows)('%s refuses: %s', (op, _, inputs, attrs, code) => {
    const attempt = () => registry[op].type(inputs, attrs)
    expect(attempt).toThrow(expect.objectContaining({ code }))
    expect(attempt).toThrow(op)
  })
})
