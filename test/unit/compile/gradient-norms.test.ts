/** @file Norms of gradients of single samples: shared weights, no stored gradients, and the same numbers as the traced graph. */
import { describe, expect, it } from 'vitest'
import { type CompileOptions, compile } from '../../../src/engine/compile/pipeline.js'
import type { Value } from '../../../src/engine/graph/node.js'
import { cheaperNorm } from '../../../src/engine/ops/conv-norm.js'
import * as ops from '../../../src/engine/ops/index.js'
import { spec, type Traced, trace } from '../../../src/engine/trace/trace.js'
import { convNet } from '../../../src/nn/networks/conv-net.js'
import { gradientNorms } from '../../../src/scores/grand.js'
import { checkAgainstInterpreter } from './compare.js'
import { decode } from './decode.js'

const norm = 'conv2d_weight_grad_squared_norm'
const opsOf = (traced: Traced, options: CompileOptions = {}) => decode(compile(traced, options).bytes).instructions.map(({ op }) => op)
const perGroup = (v: Value) => ops.sum(ops.square(v), { axes: v.shape.map((_, axis) => axis).slice(1) })

function networkNorms(samples: number, input: readonly [number, number, number]): Traced {
  const network = convNet({ input, classes: 3, depth: 2, width: 8, norm: 'instance' })
  return trace(
    (x, y, ...values) => {
      const parameters = Object.fromEntries(network.parameters.map(({ name }, i) => [name, values[i]]))
      const { norm: all, squares } = gradientNorms(network, parameters, x, y)
      return [all, ...Object.values(squares)]
    },
    [spec([samples, ...input]), spec([samples], 'i32'), ...network.parameters.map(({ shape }) => spec([1, ...shape]))],
  )
}

describe('a network', () => {
  it.each([{}, { slicing: 'off' }, { slicing: { rows: 2 } }] as const)('keeps its numbers (%o)', (options) => {
    checkAgainstInterpreter(networkNorms(7, [8, 8, 3]), options)
  })

  it('has no weight gradient and repeats no weights', () => {
    const made = opsOf(networkNorms(7, [8, 8, 3]), { slicing: 'off' })
    expect(made.filter((op) => op === norm)).toHaveLength(3)
    expect(made.filter((op) => op === 'conv2d_weight_grad')).toEqual([])
    expect(made.filter((op) => op === 'conv2d_prepare')).toHaveLength(3)
  })

  it('needs no more memory for more samples than a loop of them and their results', () => {
    const [few, many] = [64, 256].map((n) => compile(networkNorms(n, [16, 16, 3]), { slicing: { rows: 8 } }).plan)
    expect(many.localBytesPerWorker).toBe(few.localBytesPerWorker)
    // logits of what a loop hands on, not maps or gradients
    expect(many.arenaBytes - few.arenaBytes).toBeLessThan(192 * 16 * 16 * 8 * 4)
  })
})

describe('norms of a convolution', () => {
  const shapes = [spec([3, 1, 5, 4, 2]), spec([3, 1, 5, 4, 3])]
  const gradients = (f: (dw: Value, db: Value) => readonly Value[], inputs = shapes): Traced =>
    trace((x, dy) => {
      const { dw, db } = ops.conv2dWeightGrad(x, dy, 3, 3, { pad: 1 })
      return [...f(dw, db)]
    }, inputs)

  it('of filters and bias are one instruction', () => {
    const traced = gradients((dw, db) => [perGroup(dw), perGroup(db)])
    checkAgainstInterpreter(traced)
    expect(opsOf(traced).filter((op) => op.startsWith('conv2d'))).toEqual([norm])
  })

  it('of the filters alone are, too', () => expect(opsOf(gradients((dw) => [perGroup(dw)]))).toContain(norm))

  it.each<[string, Traced]>([
    ['are given out', gradients((dw) => [perGroup(dw), dw])],
    ['have another reader', gradients((dw) => [perGroup(dw), ops.sum(dw)])],
    ['have a bias that is given out', gradients((dw, db) => [perGroup(dw), db])],
    ['have squares that are given out', gradients((dw) => [perGroup(dw), ops.square(dw)])],
    ['are summed over other axes', gradients((dw) => [ops.sum(ops.square(dw), { axes: [0, 1, 2, 3] })])],
    ['are those of one group', gradients((dw) => [perGroup(dw)], [spec([1, 1, 5, 4, 2]), spec([1, 1, 5, 4, 3])])],
    ['are those of several images', gradients((dw) => [perGroup(dw)], [spec([2, 2, 5, 4, 2]), spec([2, 2, 5, 4, 3])])],
  ])('stay gradients when they %s', (_, traced) => {
    checkAgainstInterpreter(traced)
    expect(opsOf(traced)).toContain('conv2d_weight_grad')
    expect(opsOf(traced)).not.toContain(norm)
  })

  it('go by inner products where positions are few and channels many', () => {
    const chosen = (size: number, channels: number) =>
      cheaperNorm(
        { shape: [9, 1, size, size, channels], dtype: 'f32' },
        { shape: [9, 1, size, size, 128], dtype: 'f32' },
        { strideH: 1, strideW: 1, padH: 1, padW: 1, kernelH: 3, kernelW: 3 },
      )
    expect([chosen(32, 3), chosen(16, 128), chosen(8, 128), chosen(32, 64)]).toEqual(['direct', 'gram', 'gram', 'direct'])
  })
})

it('gives norms of linear layers, of rows as of one row', () => {
  for (const rows of [1, 5]) {
    const traced = trace((a, g) => [perGroup(ops.matmul(a, g, { transposeA: true }))], [spec([4, rows, 6]), spec([4, rows, 3])])
    checkAgainstInterpreter(traced)
    expect(opsOf(traced)).toContain(norm)
  }
})

describe('weights repeated over groups', () => {
  it('are one set', () => {
    const traced = trace(
      (x, w, b, m) => {
        const y = ops.conv2d(x, ops.broadcast(w, [3, 3, 3, 2, 4]), ops.broadcast(b, [3, 4]), { pad: 1 })
        return [y, ops.matmul(ops.reshape(y, [3, 2, 64]), ops.broadcast(m, [3, 64, 5]))]
      },
      [spec([3, 2, 4, 4, 2]), spec([1, 3, 3, 2, 4]), spec([1, 4]), spec([1, 64, 5])],
    )
    checkAgainstInterpreter(traced)
    expect(opsOf(traced)).not.toContain('broadcast')
  })

  it('stay as they are beside a bias of each group', () => {
    const traced = trace(
      (x, w, b) => [ops.conv2d(x, ops.broadcast(w, [3, 3, 3, 2, 4]), b, { pad: 1 })],
      [spec([3, 2, 4, 4, 2]), spec([1, 3, 3, 2, 4]), spec([3, 4])],
    )
    checkAgainstInterpreter(traced)
    expect(opsOf(traced)).toContain('broadcast')
  })
})
