/** @file NaN, infinities, signed zeros, the largest and the smallest numbers through the elementwise, reduction and softmax kernels. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import * as ops from '../../src/engine/index.js'
import { interpret, refTensor, spec, trace, type Value } from '../../src/engine/index.js'
import type { Device } from '../../src/engine/runtime/device.js'
import { runTraced } from './run-traced.js'
import { openTestedDevices } from './tested-devices.js'

let devices: Device[] = []
beforeAll(async () => {
  devices = await openTestedDevices()
})
afterAll(async () => {
  for (const device of devices) await device.close()
})

const largestFloat = (2 - 2 ** -23) * 2 ** 127
const specials = [
  Number.NaN,
  ...[Number.POSITIVE_INFINITY, largestFloat, 1e30, 88.9, 1.5, 1, 0.5, 1e-30, 2 ** -126, 0].flatMap((v) => [v, -v]),
]

/** Equal as float32: NaN with NaN, infinities and zeros by sign where both say so, numbers to a few units in the last place. */
function expectLikeFloat(received: number, wanted: number, what: string): void {
  const rounded = Math.fround(wanted)
  if (Number.isNaN(rounded) || !Number.isFinite(rounded)) {
    // A result within a rounding of the largest number may round either way.
    const isBorder = Math.abs(wanted) < 1.00001 * largestFloat && Math.abs(received) > 0.99999 * largestFloat
    expect(isBorder || Object.is(received, rounded), `${what}: ${received}, expected ${rounded}`).toBe(true)
    return
  }
  // Below the normal numbers a kernel may flush to zero.
  expect(Math.abs(received - rounded), `${what}: ${received}, expected ${rounded}`).toBeLessThanOrEqual(
    Math.abs(rounded) * 4e-6 + 2 ** -125,
  )
}

async function compare(inputs: readonly (readonly number[])[], build: (...values: Value[]) => Value): Promise<void> {
  const shapes = inputs.map((data) => spec([data.length]))
  const traced = trace((...values) => build(...(values as Value[])), shapes)
  const tensors = inputs.map((data) => refTensor([data.length], data.map(Math.fround)))
  const [wanted] = interpret(traced, tensors)
  for (const device of devices) {
    const { results } = await runTraced(device, traced, tensors)
    for (const [i, value] of wanted.data.entries()) {
      const operands = wanted.data.length === inputs[0].length ? inputs.map((data) => data[i]).join(', ') : 'all'
      expectLikeFloat(results[0][i], value, `${device.isa}, of ${operands}`)
    }
  }
}

const unary = {
  neg: ops.neg,
  abs: ops.abs,
  sign: ops.sign,
  exp: ops.exp,
  log: ops.log,
  sqrt: ops.sqrt,
  rsqrt: ops.rsqrt,
  reciprocal: ops.reciprocal,
  square: ops.square,
  tanh: ops.tanh,
  sigmoid: ops.sigmoid,
  relu: ops.relu,
  floor: ops.floor,
  is_finite: ops.isFiniteMask,
}

const binary = {
  add: ops.add,
  sub: ops.sub,
  mul: ops.mul,
  div: ops.div,
  maximum: ops.maximum,
  minimum: ops.minimum,
  greater: ops.greater,
  greater_equal: ops.greaterEqual,
  equal: ops.equal,
  pow: ops.pow,
  select: (a: Value, b: Value) => ops.select(a, a, b),
}

describe('elementwise', () => {
  it.each(Object.entries(unary))('%s', (_, op) => compare([specials], (x) => op(x)))

  it.each(Object.entries(binary))('%s', (_, op) => {
    const pairs = specials.flatMap((a) => specials.map((b) => [a, b]))
    return compare([pairs.map(([a]) => a), pairs.map(([, b]) => b)], op)
  })

  it('a fused chain gives what its ops give one by one', () =>
    compare([specials], (x) => ops.maximum(ops.relu(ops.mul(x, ops.scalar(0.5))), ops.neg(ops.abs(x)))))
})

describe('reductions', () => {
  const rest = Array.from({ length: 300 }, (_, i) => (i % 17) / 8)
  it.each([Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY])('of data that holds %d', async (special) => {
    for (const at of [0, 3, 150, 299]) {
      const data = rest.with(at, special)
      await compare([data], (x) => ops.sum(x))
      await compare([data], (x) => ops.max(x))
      await compare([data], (x) => ops.cast(ops.argmax(ops.reshape(x, [3, 100])), 'f32'))
      await compare([data], (x) => ops.logSoftmax(ops.reshape(x, [3, 100])))
      await compare([data], (x) => ops.max(ops.reshape(x, [20, 15]), { axes: [0] }))
      await compare([data], (x) => ops.sum(ops.reshape(x, [20, 15]), { axes: [0] }))
    }
  })

  it('of sums beyond float32 on the way to a result within it', () => compare([[1e30, 3e38, 3e38, -3e38, -3e38, 1]], (x) => ops.sum(x)))
})
