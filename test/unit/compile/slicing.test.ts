import { describe, expect, it } from 'vitest'
import { grad } from '../../../src/engine/autodiff/grad.js'
import { compile } from '../../../src/engine/compile/pipeline.js'
import type { CompileOptions, Program } from '../../../src/engine/compile/program.js'
import type { Value } from '../../../src/engine/graph/node.js'
import * as ops from '../../../src/engine/ops/index.js'
import { spec, type Traced, trace } from '../../../src/engine/trace/trace.js'
import { checkAgainstInterpreter, expectClose, randomInputs } from './compare.js'
import { type DecodedValue, decode } from './decode.js'
import { dmStep, embed, evaluationStep, hvpStep, logits, networkSpecs, trainStep } from './graphs.js'
import { simulate } from './simulate.js'

const opsOf = ({ bytes }: Program): string[] => decode(bytes).instructions.map((i) => i.op)
const count = (program: Program, op: string): number => opsOf(program).filter((x) => x === op).length

describe('slicing', () => {
  it('makes one region without a gradient, and keeps its feature maps local', () => {
    const { plan } = checkAgainstInterpreter(evaluationStep(16), { slicing: { rows: 4 } })
    expect(plan.slices).toEqual([{ name: 'loop0', count: 4, size: 4, lanes: 4 }])
    expect(plan.localBytesPerWorker).toBeGreaterThan(0)
    expect(plan.arenaBytes).toBeLessThan(16 * 8 * 8 * 4 * 4)
  })

  it.each([31, 47, 93])('takes the rest of a batch of %i rows, which no slice divides, in a slice of its own', (rows) => {
    const { plan } = checkAgainstInterpreter(evaluationStep(rows), { slicing: { rows: 16 } })
    expect(plan.slices.reduce((sum, { count: slices, size }) => sum + slices * size, 0)).toBe(rows)
  })

  it('makes two regions around a batch reduction, and computes activations again when they may not be kept', () => {
    const kept = compile(dmStep(16, 32), { slicing: { rows: 4 } })
    const again = compile(dmStep(16, 32), { slicing: { rows: 4 }, memoryBudget: 0 })
    expect([kept.plan.slices.length, again.plan.slices.length]).toEqual([3, 3])
    expect([count(kept, 'conv2d'), count(again, 'conv2d')]).toEqual([4, 6])
    expect(again.plan.arenaBytes).toBeLessThan(kept.plan.arenaBytes)
  })

  it('leaves out the slices beside a window, and gives the rows in it the values of the whole', () => {
    const traced = dmStep(16, 8)
    const inputs = randomInputs(traced)
    const images = (options: CompileOptions) => {
      const program = compile(traced, { slicing: { rows: 4 }, ...options })
      const args: (ArrayLike<number> | undefined)[] = program.arguments.map(() => undefined)
      for (const [i, argument] of program.inputArguments.entries()) args[argument] = inputs[i].data
      return { plan: program.plan, images: simulate(program, args)[program.outputArguments[0]] }
    }
    const [whole, part] = [images({}), images({ windows: { 16: [8, 16], 8: [4, 8] } })]
    expect(part.plan.slices.map(({ count }) => count)).toEqual(whole.plan.slices.map(({ count }) => count / 2))
    expect(part.plan.flops).toBeLessThan(whole.plan.flops * 0.6)
    expect(part.plan.arenaBytes).toBe(whole.plan.arenaBytes)
    const half = whole.images.length / 2
    expect(part.images.slice(half)).toEqual(whole.images.slice(half))
    expect(part.images.slice(0, half).every(Number.isFinite)).toBe(true)
  })

  it('keeps a feature map rather than a mask made of it, where the map is read too', () => {
    const program = checkAgainstInterpreter(
      reluStep(16, (y) => ops.square(ops.relu(y))),
      { slicing: { rows: 4 } },
    )
    expect(count(program, 'cast')).toBe(0)
    expect(keptBetweenLoops(program)).toEqual(['f32'])
  })

  it('keeps the bytes of a mask rather than the feature map it is made of, and casts nothing where all is made again', () => {
    const traced = reluStep(16, (y) => ops.relu(y))
    const program = checkAgainstInterpreter(traced, { slicing: { rows: 4 } })
    expect(keptBetweenLoops(program)).toEqual(['u8'])
    expect(count(program, 'conv2d')).toBe(1)
    const again = checkAgainstInterpreter(traced, { slicing: { rows: 4 }, memoryBudget: 0 })
    expect([count(again, 'cast'), count(again, 'conv2d')]).toEqual([0, 2])
    expect(again.plan.arenaBytes).toBeLessThan(program.plan.arenaBytes)
    expect(count(compile(traced, { slicing: 'off' }), 'cast')).toBe(0)
  })

  it('makes a wide product before the loop that reads its rows', () => {
    const traced = trace(
      (g, w, x) => {
        const rows = ops.reshape(ops.matmul(g, w), [1, 16, 8, 8, 64])
        return ops.conv2d(ops.relu(ops.mul(rows, 2)), x, undefined, { pad: 1 })
      },
      [spec([16, 128]), spec([128, 4096]), spec([1, 3, 3, 64, 64])],
    )
    const { instructions, values } = decode(compile(traced, { slicing: { rows: 4 } }).bytes)
    const product = instructions.find(({ op }) => op === 'matmul')!
    expect(values[product.outputs[0]].shape).toEqual([16, 4096])
    expect(instructions.filter(({ op }) => op === 'loop')).toHaveLength(1)
  })

  it('sums weight gradients per lane: products in float32, plain sums in float64', () => {
    const program = checkAgainstInterpreter(trainStep(32), { slicing: { rows: 1 } })
    expect(program.plan.slices).toEqual([{ name: 'loop0', count: 32, size: 1, lanes: 16 }])
    const { values, instructions } = decode(program.bytes)
    const dtypes = instructions.filter((i) => i.op === 'accumulate').map((i) => values[i.outputs[0]].dtype)
    expect(new Set(dtypes)).toEqual(new Set(['f32', 'f64']))
    expect(count(program, 'lane_sum')).toBe(dtypes.length)
  })

  it('runs a second-order step in one region', () => {
    expect(compile(hvpStep(16), { slicing: { rows: 4 } }).plan.slices).toHaveLength(1)
  })

  it('ends a region at batch statistics', () => {
    const program = compile(trainStep(16, 'batch'), { slicing: { rows: 4 } })
    const body = new Set<number>()
    for (const [i, { op, numbers }] of decode(program.bytes).instructions.entries()) {
      if (op === 'loop') for (let k = 1; k <= numbers[0]; k++) body.add(i + k)
      if (op.startsWith('norm_act_pool')) expect(body.has(i)).toBe(false)
    }
    expect(program.plan.slices.length).toBeGreaterThan(0)
  })

  it('adds a tail loop of one slice', () => {
    const { plan } = checkAgainstInterpreter(evaluationStep(19), { slicing: { rows: 4 } })
    expect(plan.slices.map(({ count: slices, size }) => [slices, size])).toEqual([[4, 4], [1, 3]]) // biome-ignore format: small table
  })

  it('takes the slot of a ring before it cuts it, and fills the slot of an output ring', () => {
    const traced = trace(
      (x, p) => [ops.augment(x, ops.full([8, 8], 0)), ops.sum(embed(x, p), { axes: [0] })],
      [spec([8, 8, 8, 4]), networkSpecs(8, 4, 3)],
    )
    const program = compile(traced, { slicing: { rows: 2 }, slots: { inputs: { 0: { count: 2 } }, outputs: { 0: { count: 2, add: 1 } } } })
    expect(program.plan.slices.length).toBeGreaterThan(0)
    const inputs = randomInputs(traced)
    const ring = [...inputs[0].data.map((v) => -v), ...inputs[0].data]
    const args = [ring, ...inputs.slice(1).map((t) => t.data)]
    const results = simulate(program, args, { startStep: 1 })
    const filled = results[program.outputArguments[0]].slice(0, inputs[0].data.length)
    expectClose(filled, inputs[0].data, 'slot 0 of the output')
  })

  it('leaves heavy weight gradients of small maps to one product over the batch', () => {
    const wide = trace(
      (x, w, g) => {
        const y = ops.relu(ops.conv2d(ops.relu(ops.mul(x, 2)), w, undefined, { pad: 1 }))
        return grad(ops.sum(ops.mul(y, g)), [w])
      },
      [spec([1, 32, 2, 2, 128]), spec([1, 3, 3, 128, 128]), spec([1, 32, 2, 2, 128])],
    )
    const { instructions, values } = decode(compile(wide, { slicing: { rows: 4 } }).bytes)
    const weightGrad = instructions.find((i) => i.op === 'conv2d_weight_grad')!
    expect(values[weightGrad.inputs[0]].shape[1]).toBe(32)
  })

  it('cuts nothing of small extent or without image ops', () => {
    expect(compile(evaluationStep(1)).plan.slices).toEqual([])
    const plain = trace((x, w) => ops.sum(ops.relu(ops.matmul(x, w))), [spec([4096, 512]), spec([512, 64])])
    expect(compile(plain).plan.slices).toEqual([])
  })

  it('cuts groups of per-sample weights along the group axis', () => {
    const perSample = trace(
      (x, w) => {
        const y = ops.relu(ops.conv2d(x, w, undefined, { pad: 1 }))
        return grad(ops.sum(ops.square(y)), [w])
      },
      [spec([6, 1, 4, 4, 2]), spec([6, 3, 3, 2, 4])],
    )
    expect(checkAgainstInterpreter(perSample, { slicing: { rows: 2 } }).plan.slices).toHaveLength(1)
  })
})

/** A gradient in images through a convolution and `active`, which begins with a sum over all of them. */
function reluStep(batch: number, active: (y: Value) => Value): Traced {
  return trace(
    (x, w) => {
      const y = active(ops.conv2d(ops.reshape(x, [1, batch, 8, 8, 4]), w, undefined, { pad: 1 }))
      return grad(ops.squaredNorm(ops.sum(y, { axes: [1] })), [x])
    },
    [spec([batch, 8, 8, 4]), spec([1, 3, 3, 4, 32])],
  )
}

/** Dtypes of what one loop writes by rows to the arena and another reads. */
function keptBetweenLoops({ bytes }: Program): string[] {
  const { instructions, values } = decode(bytes)
  const arena = 0
  const written = new Set(instructions.flatMap(({ op, outputs }) => (op === 'loop' ? [] : outputs)).map((v) => place(values[v])))
  const read = instructions.flatMap(({ inputs }) => inputs).filter((v) => values[v].sliceStride > 0 && values[v].storage === arena)
  return [...new Set(read.filter((v) => written.has(place(values[v]))).map((v) => values[v].dtype))].sort()
}

const place = ({ storage, offset, sliceStride, dtype }: DecodedValue): string => `${storage} ${offset} ${sliceStride} ${dtype}`

/** ConvNet-3 of the field, width 128, on 32x32 images. */
function convNetStep(batch: number, steps = 1): Traced {
  const blocks = [3, 128, 128].map((c) => ({ w: spec([1, 3, 3, c, 128]), b: spec([1, 128]), gamma: spec([1, 128]), beta: spec([1, 128]) }))
  return trace(
    (x, labels, network, head) => {
      let parameters = [...network.flatMap(({ w, b, gamma, beta }) => [w, b, gamma, beta]), head]
      for (let step = 0; step < steps; step++) {
        let y = ops.reshape(x, [1, ...x.shape])
        for (let i = 0; i < 3; i++) {
          const [w, b, gamma, beta] = parameters.slice(4 * i)
          y = ops.normActPool(ops.conv2d(y, w, b, { pad: 1 }), gamma, beta, { kind: 'instance', relu: true, pool: 2 }).y
        }
        const loss = ops.mean(ops.softmaxCe(ops.matmul(ops.reshape(y, [batch, -1]), parameters[12]), labels).loss)
        parameters = ops.sgd(parameters, grad(loss, parameters), 0.01)
      }
      return parameters
    },
    [spec([batch, 32, 32, 3]), spec([batch], 'i32'), blocks, spec([2048, 10])],
  )
}

describe('plans of real sizes', () => {
  it('stay in cache: four images a slice, Winograd in every block', () => {
    const { plan } = compile(convNetStep(256))
    expect(plan.slices).toEqual([{ name: 'loop0', count: 64, size: 4, lanes: 16 }])
    expect(plan.localBytesPerWorker).toBeLessThan(8 << 20)
    const chosen = plan.algorithms.filter((a) => a.op === 'conv2d').map((a) => a.algorithm)
    expect(chosen).toEqual(['winograd', 'winograd', 'winograd'])
    expect(compile(convNetStep(256), { winograd: 'off' }).plan.algorithms.every((a) => a.algorithm === 'direct')).toBe(true)
  })

  it('are made in a moment, also for ten unrolled steps', () => {
    const traced = convNetStep(64, 10)
    const start = process.cpuUsage()
    const { plan } = compile(traced)
    expect(process.cpuUsage(start).user / 1e6).toBeLessThan(2.5)
    expect(plan.slices.length).toBe(10)
  })

  it('hoist packed weights out of the loop and share them', () => {
    const program = compile(
      trace((x, p) => ops.sum(logits(x, p), { axes: [0] }), [spec([32, 8, 8, 4]), networkSpecs(8, 16, 3)]),
      {
        slicing: { rows: 8 },
      },
    )
    const names = opsOf(program)
    expect(names.lastIndexOf('conv2d_prepare')).toBeLessThan(names.indexOf('loop'))
    expect(count(program, 'conv2d_prepare')).toBe(2)
    checkAgainstInterpreter(
      trace((x, p) => ops.sum(logits(x, p), { axes: [0] }), [spec([32, 8, 8, 4]), networkSpecs(8, 16, 3)]),
      {
        slicing: { rows: 16 },
      },
    )
  })
})
