/** @file Ring slots walked forward and backward, the step scalar, and donated buffers: in place, crosswise and through a copy. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bindProgram } from '../../src/engine/bound-program.js'
import {
  add,
  cast,
  concat,
  interpret,
  matmul,
  mul,
  type RefTensor,
  reshape,
  reverse,
  scalar,
  slice,
  spec,
  sub,
  sum,
  trace,
  transpose,
  type Value,
} from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { runTraced } from './run-traced.js'

let device: Device

beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})

afterAll(() => device.close())

const ramp = (length: number): Float32Array => Float32Array.from({ length }, (_, i) => 1 + i)

describe('ring slots', () => {
  const horizon = 5
  const width = 19 // a slot of 76 bytes: slots are not aligned to cache lines

  /** w[t+1] = w[t] / 2 + x[t], kept in a ring of horizon + 1. */
  async function forward(n: number, startStep = 0) {
    const program = bindProgram(device, {
      inputs: {
        weights: { shape: [width], slots: { count: horizon + 1 } },
        x: { shape: [width], slots: { count: horizon } },
      },
      outputs: { next: { donate: 'weights', slots: { count: horizon + 1, add: 1 } }, step: { slots: { count: horizon } } },
      step: 'at',
      build: ({ weights, x, at }) => ({ next: add(mul(weights, scalar(0.5)), x), step: cast(at, 'f32') }),
    })
    const arrays = {
      weights: device.array('f32', [horizon + 1, width]),
      x: device.array('f32', [horizon, width], ramp(horizon * width)),
      step: device.array('f32', [horizon, 1]),
    }
    await program.run(arrays, { n, startStep })
    program.dispose()
    return arrays
  }

  /** The same in float64; every number is a multiple of 2^-5 and exact in float32. */
  function expectedRing(n: number): number[] {
    const ring = new Array<number>((horizon + 1) * width).fill(0)
    for (let t = 0; t < n; t++) {
      for (let i = 0; i < width; i++) {
        const next = ring[(t % (horizon + 1)) * width + i] / 2 + 1 + (t % horizon) * width + i
        ring[((t + 1) % (horizon + 1)) * width + i] = next
      }
    }
    return ring
  }

  it('keeps a trajectory: each step reads its slot and writes the next', async () => {
    const { weights, step } = await forward(horizon)
    expect([...(await weights.read())]).toEqual(expectedRing(horizon))
    expect([...(await step.read())]).toEqual([0, 1, 2, 3, 4])
  })

  it('wraps around when there are more steps than slots', async () => {
    const { weights, step } = await forward(9)
    expect([...(await weights.read())]).toEqual(expectedRing(9))
    expect([...(await step.read())]).toEqual([5, 6, 7, 8, 4])
  })

  it('walks the ring backward with a negative multiplier', async () => {
    const { weights } = await forward(horizon)
    const program = bindProgram(device, {
      inputs: { adjoint: { shape: [width] }, weights: { shape: [width], slots: { count: horizon + 1, mul: -1, add: horizon - 1 } } },
      outputs: {
        adjoint: { donate: 'adjoint' },
        seen: { slots: { count: horizon, mul: -1, add: horizon - 1 } },
      },
      build: ({ adjoint, weights }) => ({ adjoint: add(mul(adjoint, scalar(0.5)), weights), seen: mul(weights, scalar(1)) }),
    })
    const adjoint = device.array('f32', [width], new Float32Array(width).fill(32))
    const seen = device.array('f32', [horizon, width])
    await program.run({ adjoint, weights, seen }, { n: horizon })
    const ring = expectedRing(horizon)
    let wanted = new Array<number>(width).fill(32)
    for (let t = horizon - 1; t >= 0; t--) wanted = wanted.map((v, i) => Math.fround(v / 2 + ring[t * width + i]))
    expect([...(await adjoint.read())]).toEqual(wanted)
    expect([...(await seen.read())]).toEqual(ring.slice(0, horizon * width))
    program.dispose()
  })

  it('addresses slots of late steps exactly, up to the last step index', async () => {
    const late = 2 ** 32 - 3
    const { step } = await forward(2, late)
    const values = [...(await step.read())]
    expect(values[late % horizon]).toBe(Math.fround(late))
    expect(values[(late + 1) % horizon]).toBe(Math.fround(late + 1))
  })
})

describe('donated buffers', () => {
  const shape = [40, 40]
  /** Small whole numbers: sums and products stay exact in float32, in any order. */
  const digits = (factor: number): RefTensor => ({ shape, data: Float64Array.from({ length: 1600 }, (_, i) => ((i * factor) % 23) - 7) })
  const [a, b] = [digits(5), digits(11)]

  const programs: readonly (readonly [string, (x: Value, y: Value) => readonly Value[], Readonly<Record<number, number>>])[] = [
    ['an elementwise update in place', (x, y) => [add(mul(x, scalar(2)), y)], { 0: 0 }],
    ['an update of an input that is read afterwards', (x, y) => [add(x, y), sum(mul(x, y), { axes: [0] })], { 0: 0 }],
    ['a product over its own factor', (x, y) => [matmul(x, y)], { 0: 0 }],
    ['a transpose over its source', (x) => [transpose(x, [1, 0])], { 0: 0 }],
    ['a reversal over its source', (x) => [reverse(x, [0, 1])], { 0: 0 }],
    ['two inputs exchanged', (x, y) => [y, x], { 0: 0, 1: 1 }],
    ['two updates that read each other', (x, y) => [add(x, y), sub(x, y)], { 0: 0, 1: 1 }],
    ['two updates, crosswise', (x, y) => [add(x, y), sub(x, y)], { 0: 1, 1: 0 }],
    ['an input handed back unchanged', (x, y) => [x, add(x, y)], { 0: 0 }],
    ['the same result twice', (x, y) => [add(x, y), add(x, y)], { 0: 0 }],
    ['the same result over both inputs', (x, y) => [add(x, y), add(x, y)], { 0: 0, 1: 1 }],
    ['another shape of the result', (x, y) => [reshape(reshape(add(x, y), [1600]), shape), reshape(x, [1600])], { 0: 0 }],
    ['parts of the input moved', (x) => [concat([slice(x, [20, 0], [40, 40]), slice(x, [0, 0], [20, 40])], 0)], { 0: 0 }],
  ]

  it.each(programs)('%s', async (_, build, donate) => {
    const traced = trace((x, y) => build(x, y), [spec(shape), spec(shape)])
    const wanted = interpret(traced, [a, b])
    const { results } = await runTraced(device, traced, [a, b], { donate })
    for (const [i, { data }] of wanted.entries()) expect([...results[i]]).toEqual([...data])
  })
})
