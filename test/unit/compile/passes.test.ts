import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { grad } from '../../../src/engine/autodiff/grad.js'
import { describe as describeProgram, peakBytes } from '../../../src/engine/compile/cost.js'
import { type CompileOptions, compile } from '../../../src/engine/compile/pipeline.js'
import type { Value } from '../../../src/engine/graph/node.js'
import * as ops from '../../../src/engine/ops/index.js'
import { type Shape, sizeOf } from '../../../src/engine/tensor/shape.js'
import { spec, type Traced, trace } from '../../../src/engine/trace/trace.js'
import { checkAgainstInterpreter } from './compare.js'
import { decode } from './decode.js'
import { dmStep, trainStep } from './graphs.js'

const instructionsOf = (traced: Traced, options: CompileOptions = {}) => decode(compile(traced, options).bytes).instructions
const opsOf = (traced: Traced, options?: CompileOptions): string[] => instructionsOf(traced, options).map((i) => i.op)
const of = (f: (x: Value) => Value, shape: Shape = [4, 6]): Traced => trace((x) => f(x), [spec(shape)])

describe('simplify', () => {
  it.each<[string, (x: Value) => Value]>([
    ['adding zero', (x) => ops.add(x, 0)],
    ['multiplying by a broadcast one', (x) => ops.mul(ops.onesLike(x), x)],
    ['two negations', (x) => ops.neg(ops.neg(x))],
    ['two transposes', (x) => ops.transpose(ops.transpose(x, [1, 0]), [1, 0])],
    ['reshapes there and back', (x) => ops.reshape(ops.reshape(x, [24]), [4, 6])],
    ['a sum over an axis of one', (x) => ops.sum(ops.reshape(x, [4, 1, 6]), { axes: [1] })],
    ['a slice of everything', (x) => ops.slice(x, [0, 0])],
    ['the power one', (x) => ops.pow(x, 1)],
  ])('removes %s', (_, f) => expect(opsOf(of(f))).toEqual(['copy']))

  it('keeps what an identity broadcasts', () => {
    const traced = trace((x) => ops.mul(x, ops.full([3, 2], 1)), [spec([2])])
    checkAgainstInterpreter(traced)
    expect(opsOf(traced)).toEqual(['broadcast'])
  })
  it('folds constants', () => expect(opsOf(trace(() => ops.sum(ops.exp(ops.constant([1, 2, 3], [3]))), []))).toEqual(['copy']))
  it('drops what no output needs', () => {
    const traced = trace(
      (x) => {
        ops.exp(x)
        return ops.log(x)
      },
      [spec([4])],
    )
    expect(opsOf(traced)).toEqual(['log'])
  })
})

describe('fuse', () => {
  it('makes one map of a chain', () => expect(opsOf(of((x) => ops.exp(ops.mul(ops.add(x, 1), ops.tanh(x)))))).toEqual(['map']))
  it('takes broadcasts in as inputs', () => {
    const traced = trace((x, row) => ops.exp(ops.add(x, ops.broadcast(ops.reshape(row, [1, 6]), [4, 6]))), [spec([4, 6]), spec([6])])
    checkAgainstInterpreter(traced)
    expect(opsOf(traced)).toEqual(['map'])
  })
  it('gives several outputs from one map', () => {
    const traced = trace(
      (p, v, g) => {
        const next = ops.add(ops.mul(v, 0.9), g)
        return [ops.sub(p, ops.mul(next, 0.1)), next]
      },
      [spec([5]), spec([5]), spec([5])],
    )
    checkAgainstInterpreter(traced, { donate: { 0: 0, 1: 1 } })
    expect(opsOf(traced, { donate: { 0: 0, 1: 1 } })).toEqual(['map'])
  })
  it('never makes groups that wait for each other', () => {
    const traced = of((x) => {
      const a = ops.exp(x)
      const normal = ops.div(a, ops.sum(a, { axes: [1], keep: true }))
      return ops.add(ops.mul(normal, a), ops.sub(ops.sum(normal, { axes: [1], keep: true }), a))
    })
    checkAgainstInterpreter(traced)
  })
  it('splits long chains', () => {
    const traced = of((x) => Array.from({ length: 120 }, (_, i) => i).reduce((v, i) => ops.add(ops.mul(v, 0.9), i / 100), x))
    checkAgainstInterpreter(traced)
    expect(opsOf(traced).length).toBeGreaterThan(2)
  })
})

/** Random expressions over a few shapes that broadcast, reduce, reshape and fuse. */
const unary: ((x: Value) => Value)[] = [
  (x) => ops.tanh(x),
  (x) => ops.neg(x),
  (x) => ops.mul(x, 0.5),
  (x) => ops.reshape(ops.reshape(x, [-1]), x.shape),
  (x) => ops.broadcast(ops.sum(x, { axes: [0], keep: true }), x.shape),
  (x) => ops.transpose(ops.transpose(x, [1, 0]), [1, 0]),
  (x) => ops.reverse(x, [1]),
  (x) => ops.add(x, ops.sum(x, { axes: [1], keep: true })),
  (x) => ops.slice(ops.concat([x, x], 0), [1, 0], [x.shape[0] + 1, x.shape[1]]),
  (x) => ops.relu(ops.reshape(ops.gather(x, ops.cast(ops.full([x.shape[0]], 1), 'i32')), x.shape)),
]
const binary: ((a: Value, b: Value) => Value)[] = [ops.add, ops.sub, ops.mul, ops.maximum, (a, b) => ops.select(ops.greater(a, b), a, b)]

describe('norm cotangents', () => {
  /** Gradient to x of what `loss` makes of the ReLU map of a norm over [1,2,size,size,3]. */
  const gradient = (loss: (map: Value) => Value, { size = 4, relu = true } = {}): Traced =>
    trace(
      (x, gamma, beta) => [grad(loss(ops.normActPool(x, gamma, beta, { kind: 'instance', relu }).y), [x])[0]],
      [spec([1, 2, size, size, 3]), spec([1, 3]), spec([1, 3])],
    )
  const pooled = (map: Value): Value => ops.sum(ops.square(ops.avgPool2d(map, { window: 2 })))
  const summed =
    (power: number, kinds: readonly ('positions' | 'channels')[] = ['positions', 'channels']) =>
    (map: Value): Value =>
      kinds.map((kind) => ops.sum(ops.square(ops.powerSums(map, power)[kind]))).reduce(ops.add)
  const both = (power: number, kinds?: readonly ('positions' | 'channels')[]) => (map: Value) =>
    ops.add(pooled(map), summed(power, kinds)(map))
  const opsIn = (traced: Traced): string[] => decode(checkAgainstInterpreter(traced, {}).bytes).instructions.map(({ op }) => op)
  const made = ['norm_act_pool', 'norm_act_pool_grad']
  const norms = (traced: Traced): string[] => opsIn(traced).filter((op) => /norm|pool|power/.test(op))

  it.each([2, 3, 4])('go with those of sums of power %i into one gradient, and no map is written', (power) =>
    expect(norms(gradient(both(power)))).toEqual(made),
  )
  it.each(['positions', 'channels'] as const)('of %s alone go too', (kind) => expect(norms(gradient(both(4, [kind])))).toEqual(made))
  it('of a pool alone go too, odd sizes as well', () => {
    expect(norms(gradient(pooled))).toEqual(made)
    expect(norms(gradient(pooled, { size: 5 }))).toEqual(made)
  })
  it('of a pool that leaves pixels out stay apart from those of sums', () =>
    expect(norms(gradient(both(4), { size: 5 }))).toContain('avg_pool2d_grad'))
  it.each<[string, Traced]>([
    ['of a map without ReLU', gradient(both(4), { relu: false })],
    ['of another map', gradient((map) => ops.add(pooled(map), summed(4)(ops.exp(map))))],
    ['of two powers', gradient((map) => ops.add(both(4)(map), summed(2)(map)))],
  ])('%s are added as they were', (_, traced) => expect(norms(traced)).toContain('power_sums'))

  it('of a sum that is read twice are both counted', () => {
    const twice = (kind: 'positions' | 'channels') => (map: Value) => {
      const [, n, h, w, c] = map.shape
      const sums = ops.reshape(ops.powerSums(map, 2)[kind], kind === 'positions' ? [1, n, h, w, 1] : [1, n, 1, 1, c])
      const weighed = ops.mul(
        sums,
        ops.constant(
          Array.from({ length: sizeOf(sums.shape) }, (_, i) => i / 7),
          sums.shape,
        ),
      )
      return ops.add(pooled(map), ops.add(ops.sum(ops.square(sums)), ops.sum(weighed)))
    }
    for (const kind of ['positions', 'channels'] as const) checkAgainstInterpreter(gradient(twice(kind)), {})
  })
  it.each<[string, (map: Value) => Value]>([
    ['the sum of the map', (map) => ops.sum(map)],
    ['a mean over images', (map) => ops.sum(ops.square(ops.mean(map, { axes: [1] })))],
    ['a pool of a mean over images', (map) => pooled(ops.mean(map, { axes: [1], keep: true }))],
    ['a mean over positions', (map) => ops.sum(ops.square(ops.mean(map, { axes: [2, 3] })))],
  ])('are right beside %s', (_, other) => {
    checkAgainstInterpreter(
      gradient((map) => ops.add(other(map), summed(4)(map))),
      {},
    )
    checkAgainstInterpreter(
      gradient((map) => ops.add(other(map), both(4)(map))),
      {},
    )
  })
  it('are not mixed up with those of another norm of the same values', () => {
    const traced = trace(
      (x, gamma, beta) => {
        const [own, other] = (['instance', 'batch'] as const).map((kind) => ops.normActPool(x, gamma, beta, { kind, relu: true }).y)
        const like = ops.mul(ops.mul(ops.full([1, 2, 4, 4, 1], 0.3), 2), other)
        return [grad(ops.add(pooled(own), ops.sum(ops.mul(own, like))), [x])[0]]
      },
      [spec([1, 2, 4, 4, 3]), spec([1, 3]), spec([1, 3])],
    )
    checkAgainstInterpreter(traced, {})
  })
})

describe('norm readers', () => {
  /** Norm with a ReLU and no pool over [1,2,4,4,3]; `read` makes the outputs of its map. */
  const normed = (read: (map: Value) => readonly Value[], { relu = true, size = 4 } = {}): Traced =>
    trace(
      (x, gamma, beta) => read(ops.normActPool(x, gamma, beta, { kind: 'instance', relu }).y),
      [spec([1, 2, size, size, 3]), spec([1, 3]), spec([1, 3])],
    )
  const pool = (map: Value): Value => ops.avgPool2d(map, { window: 2 })
  const sums = (map: Value): Value[] => Object.values(ops.powerSums(map, 4))
  const plain = (traced: Traced): string[] => checkedOps(traced, {})
  const checkedOps = (traced: Traced, options: CompileOptions): string[] =>
    decode(checkAgainstInterpreter(traced, options).bytes).instructions.map((i) => i.op)

  it('makes one op of norm and pool', () => expect(plain(normed((map) => [pool(map)]))).toEqual(['norm_act_pool']))
  it('makes one op of norm, pool and sums, odd sizes too', () => {
    expect(plain(normed((map) => [pool(map), ...sums(map)]))).toEqual(['norm_act_pool'])
    expect(plain(normed((map) => [...sums(map), pool(map)], { size: 5 }))).toEqual(['norm_act_pool'])
  })
  it('does so in slices', () => {
    const convolved = trace(
      (x, w) => {
        const ones = ops.full([1, 3], 1)
        const map = ops.normActPool(ops.conv2d(x, w, ops.full([1, 3], 0), { pad: 1 }), ones, ones, { kind: 'instance', relu: true }).y
        return [pool(map), ...sums(map)]
      },
      [spec([1, 4, 4, 4, 3]), spec([1, 3, 3, 3, 3])],
    )
    const sliced = checkedOps(convolved, { slicing: { rows: 1 } })
    expect(sliced).toEqual(expect.arrayContaining(['loop', 'conv2d', 'norm_act_pool']))
    expect(sliced).not.toContain('power_sums')
  })
  it.each<[string, Traced]>([
    ['is an output', normed((map) => [pool(map), map])],
    ['is read by another op', normed((map) => [pool(map), ops.exp(map)])],
    ['is summed in two powers', normed((map) => [pool(map), ...sums(map), ...Object.values(ops.powerSums(map, 2))])],
    ['is not cut off at 0 but summed', normed((map) => [pool(map), ...sums(map)], { relu: false })],
    ['is not pooled', normed(sums)],
    ['is pooled over other windows', normed((map) => [ops.avgPool2d(map, { window: 2, stride: 1 })])],
  ])('leaves alone a map that %s', (_, traced) => expect(plain(traced).length).toBeGreaterThan(1))
})

describe('the whole compiler', () => {
  it('computes random graphs', () => {
    const step = fc.tuple(fc.nat(), fc.nat(), fc.nat(), fc.boolean())
    fc.assert(
      fc.property(fc.array(step, { minLength: 1, maxLength: 30 }), fc.nat(), (steps, last) => {
        const traced = trace(
          (x, y) => {
            const made: Value[] = [x, y]
            for (const [f, a, b, isUnary] of steps) {
              const left = made[a % made.length]
              made.push(isUnary ? unary[f % unary.length](left) : ops.tanh(binary[f % binary.length](left, made[b % made.length])))
            }
            return [made.at(-1)!, made[last % made.length], made[2]]
          },
          [spec([4, 6]), spec([4, 6])],
        )
        checkAgainstInterpreter(traced)
      }),
      { numRuns: 60 },
    )
  })

  it('gives the same bytes each time', () => {
    expect(compile(dmStep(16, 8), { slicing: { rows: 4 } }).bytes).toEqual(compile(dmStep(16, 8), { slicing: { rows: 4 } }).bytes)
  })

  it('writes arguments last', () => {
    const { values, instructions } = decode(compile(trainStep(16), { slicing: { rows: 4 } }).bytes)
    const writes = instructions.map((i) => i.outputs.some((v) => values[v].storage === 2))
    expect(writes.slice(writes.indexOf(true)).every((w) => w)).toBe(true)
  })

  it('says what a program costs', () => {
    const program = compile(dmStep(16, 8), { slicing: { rows: 4 } })
    expect(describeProgram(program)).toMatch(/loop loop0: 4 slices of 4 rows on 4 lanes/)
    expect(peakBytes(program, 2)).toBe(program.plan.arenaBytes + program.plan.constantBytes + 2 * program.plan.localBytesPerWorker)
    expect(JSON.parse(JSON.stringify(program.plan))).toEqual(program.plan)
    // Twice the products of both convolutions on both batches, at least.
    expect(program.plan.flops).toBeGreaterThan(2 * 24 * (64 * 9 * 16 + 16 * 9 * 16))
  })
})
