/**
 * @file Convolutions of cuDNN, found at run time, against the float64 reference, and which it does not compute. On the emulated GPU it is a
 * stand-in (test/native/cuda_host/libraries) that checks every descriptor; on a real one the real library, where there is one.
 */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { conv2d, conv2dInputGrad, conv2dWeightGrad, type Opcode } from '../../src/engine/index.js'
import type { Device } from '../../src/engine/runtime/device.js'
import { between, type OpCase } from '../cases/case.js'
import { allCases, caseTitle } from '../cases/index.js'
import { caseGraphs } from '../device/derivatives.js'
import { encodeBytes } from '../device/program-bytes.js'
import { runTraced } from '../device/run-traced.js'
import { emulated } from './in-process.js'
import { foundLibrary, onItsWay, openWith, runRounded, stands } from './with-libraries.js'

const library = foundLibrary('cuDNN')

it.runIf(emulated)('is found where LD_LIBRARY_PATH says', () => {
  expect(library, `run with LD_LIBRARY_PATH=${stands}, as npm run emulated does`).toEqual({ name: 'cuDNN', version: '9.10.2', missing: '' })
})

/** As in precision.test.ts. */
const roundings = 48
const ops: readonly Opcode[] = ['conv2d', 'conv2d_input_grad', 'conv2d_weight_grad']
/** The bias's gradient alone reads nothing of the weights'. */
const convolutions = allCases.filter(({ op, name }) => ops.includes(op) && name !== 'bias gradient alone')

/** The three ops of 3x3 convolutions, pad 1. */
const threeOf = (groups: number, images: number, size: number, channels: number, filters: number): OpCase[] => {
  const [x, y] = [channels, filters].map((last) => [groups, images, size, size, last])
  const name = `[${x}] to ${filters}`
  const w = [groups, 3, 3, channels, filters]
  return [
    {
      op: ops[0],
      name,
      inputs: [x, w, [groups, filters]].map((shape) => between(shape, -1, 1)),
      build: (...v) => [conv2d(v[0], v[1], v[2], { pad: 1 })],
    },
    {
      op: ops[1],
      name,
      inputs: [y, w].map((shape) => between(shape, -1, 1)),
      build: (...v) => [conv2dInputGrad(v[0], v[1], size, size, { pad: 1 })],
    },
    {
      op: ops[2],
      name,
      inputs: [x, y].map((shape) => between(shape, -1, 1)),
      build(...v) {
        const { dw, db } = conv2dWeightGrad(v[0], v[1], 3, 3, { pad: 1 })
        return [dw, db]
      },
    },
  ]
}
/** More groups than are worth calls, and groups that do not lie at multiples of 16 bytes. */
const refused = [...threeOf(17, 1, 2, 4, 4), ...threeOf(2, 1, 3, 3, 4)]

describe.skipIf(!emulated && library?.version === '')('every convolution', () => {
  describe.each(['f32', 'tf32'] as const)('at %s', (precision) => {
    let device: Device
    beforeAll(async () => {
      device = await openWith('all', precision)
    })
    afterAll(() => device.close())

    it.each(convolutions.map((c) => [caseTitle(c), c] as const))('%s', async (_, c) => {
      const { plan, error } = await runRounded(device, precision, c)
      expect(plan.libraries).toMatch(/^cuDNN 9\.\d+\.\d+ \(\d+ multiprocessors; instructions \d+\)$/)
      expect(error).toBeLessThanOrEqual(roundings)
    })

    it.each(refused.map((c) => [caseTitle(c), c] as const))('%s is the own kernels’', async (_, c) => {
      const { plan, error } = await runRounded(device, precision, c)
      expect(plan.libraries).toBeUndefined()
      expect(error).toBeLessThanOrEqual(roundings)
    })
  })

  it('at bf16 and tf32x3, and every convolution with ALUDEL_CUDA_LIBS=off, is the own kernels’', async () => {
    const [{ traced, inputs }] = caseGraphs(onItsWay(convolutions[0]))
    for (const [use, precision] of [
      ['all', 'bf16'],
      ['all', 'tf32x3'],
      ['off', 'f32'],
      ['auto', 'f32'],
    ] as const) {
      const device = await openWith(use, precision)
      const { plan } = await runTraced(device, traced, inputs)
      expect(plan.libraries, `${use}, ${precision}`).toBeUndefined()
      await device.close()
    }
  })
})

describe.skipIf(!emulated && library?.version === '')('operands', () => {
  it.each([
    [0, /^cuDNN/],
    [8, undefined],
  ])('at %i bytes of an array', async (offset, libraries) => {
    const device = await openWith('all', 'f32')
    const [x, w] = [
      [1, 1, 2, 2, 3],
      [1, 1, 1, 3, 3],
    ]
    const program = {
      bytes: encodeBytes({
        argumentCount: 3,
        arenaBytes: 64,
        values: [
          { shape: x, storage: 'argument', argument: 0, offset },
          { shape: w, storage: 'argument', argument: 1 },
          { shape: x, storage: 'arena' },
          { shape: x, storage: 'argument', argument: 2 },
        ],
        instructions: [
          ['conv2d', [0, 1], [2], [1, 1, 0, 0, 0]],
          ['copy', [2], [3]],
        ],
      }),
      arguments: [[14], w, x].map((shape) => ({ dtype: 'f32' as const, shape })),
      plan: {} as { libraries?: string },
    }
    const executable = device.load(program)
    if (libraries) expect(executable.plan.libraries).toMatch(libraries)
    else expect(executable.plan.libraries).toBeUndefined()
    const arrays = program.arguments.map(({ dtype, shape }) => device.array(dtype, shape))
    const values = Float32Array.from({ length: 14 }, (_, i) => i)
    await arrays[0].write(values)
    await arrays[1].write(Float32Array.from({ length: 9 }, (_, i) => (i % 4 === 0 ? 2 : 0)))
    await executable.run(arrays)
    expect(await arrays[2].read()).toEqual(values.subarray(offset / 4, offset / 4 + 12).map((v) => 2 * v))
    await device.close()
  })
})
