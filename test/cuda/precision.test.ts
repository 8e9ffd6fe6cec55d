/**
 * @file Products on tensor cores: TF32 and bfloat16 round the operands and nothing else, so they must agree with the float64 reference of
 * operands rounded here as closely as float32 products agree with that of the operands themselves; 3xTF32 rounds nothing that a float32 sum keeps.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { interpret, matmul, type RefTensor } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { between } from '../cases/case.js'
import { allCases, caseTitle, type OpCase } from '../cases/index.js'
import { caseGraphs } from '../device/derivatives.js'
import { boundErrors, largestError } from '../device/error-bound.js'
import { gpuTileCases } from '../device/gpu-tile-cases.js'
import { runTraced } from '../device/run-traced.js'
import { wideConvCases } from '../device/wide-conv-cases.js'
import { isBias, roundedBy } from './rounded-operands.js'

/** As in ops.test.ts, which bounds float32 sums; a tensor core that rounds its sums toward zero loses up to twice as much at each of them. */
const roundings = 48

/** Cases of products whose operands come in vectors: the others are multiplied exactly at any precision. */
const names = /^matmul: (large )?tiles|^conv2d.*: (large )?tiles|^conv2d.*: (parts|phases)|^conv2d.*: 32 to 32/
const exact = /odd|65x19x67|5x261x3|x1, direct/
const cases = [...allCases, ...wideConvCases, ...gpuTileCases].filter((c) => names.test(caseTitle(c)) && !exact.test(caseTitle(c)))

it('covers every op that multiplies', () => {
  const ops = new Set(cases.map(({ op }) => op))
  expect([...ops].sort()).toEqual(['conv2d', 'conv2d_input_grad', 'conv2d_weight_grad', 'conv2d_weight_grad_squared_norm', 'matmul'])
})

describe.each(['tf32x3', 'tf32', 'bf16'] as const)('%s', (precision) => {
  let device: Device
  beforeAll(async () => {
    device = await Device.open({ device: 'cuda', precision })
  })
  afterAll(() => device.close())

  it.each(cases.map((c) => [caseTitle(c), c] as const))('%s', async (_, c) => {
    const [{ traced, inputs }] = caseGraphs(c)
    const round = ({ shape, data }: RefTensor): RefTensor => ({ shape, data: data.map(roundedBy[precision]) })
    const rounded = inputs.map((input, i) => (c.op === 'conv2d' && isBias(c.op, i) ? input : round(input)))
    const { reference, unit } = boundErrors(traced, rounded)
    const unrounded = interpret(traced, inputs)
    const { results } = await runTraced(device, traced, inputs)
    for (const [i, result] of results.entries()) {
      const wanted = c.op !== 'conv2d' && isBias(c.op, i) ? unrounded[i] : reference[i]
      expect(largestError(result, wanted), `output ${i}`).toBeLessThanOrEqual(unit[i] * roundings)
      // the precision is really taken: float32 results would be nearer to the reference of the operands as they are
      if (precision !== 'tf32x3' && !isBias(c.op, i))
        expect(largestError(result, unrounded[i])).toBeGreaterThan(largestError(result, wanted))
    }
  })
})

describe.each(['tf32', 'bf16'] as const)('at %s', (precision) => {
  const [left, right] = [between([64, 96], -1, 1), between([96, 32], -1, 1)]
  /** Largest error of the product, of its gradients and of their gradients, in units of float32 roundings. */
  async function errorsOf(exact: boolean): Promise<number[]> {
    const c: OpCase = {
      op: 'matmul',
      name: 'a product',
      inputs: [left, right],
      build: (a, b) => [matmul(a, b, exact ? { precision: 'f32' } : {})],
      wrt: [0, 1],
    }
    const device = await Device.open({ device: 'cuda', precision })
    const errors: number[] = []
    for (const { traced, inputs } of caseGraphs(c)) {
      const { reference, unit } = boundErrors(traced, inputs)
      const { results } = await runTraced(device, traced, inputs)
      errors.push(Math.max(...results.map((result, i) => largestError(result, reference[i]) / unit[i])))
    }
    await device.close()
    return errors
  }

  it('does not round the operands of an exact product, nor those of its derivatives', async () => {
    const [exact, rounded] = [await errorsOf(true), await errorsOf(false)]
    expect(exact.length).toBeGreaterThan(1)
    for (const error of exact) expect(error).toBeLessThanOrEqual(roundings)
    for (const error of rounded) expect(error).toBeGreaterThan(20 * roundings)
  })
})

it('multiplies on tensor cores at tf32x3', async () => {
  const c = cases.find(({ op }) => op === 'matmul') as OpCase
  const [{ traced, inputs }] = caseGraphs(c)
  const bits = async (precision: 'f32' | 'tf32x3') => {
    const device = await Device.open({ device: 'cuda', precision })
    const { results } = await runTraced(device, traced, inputs)
    await device.close()
    return results[0]
  }
  expect(await bits('tf32x3')).not.toEqual(await bits('f32'))
})
