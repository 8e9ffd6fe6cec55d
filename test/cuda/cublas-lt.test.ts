/**
 * @file Products of cuBLASLt, found at run time, against the float64 reference, when it computes and when it must not, and what is wrong with
 * a library. On the emulated GPU it is a stand-in (test/native/cuda_host/libraries) that checks every descriptor; on a real one the first part
 * runs on the real library, where there is one.
 */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { matmul } from '../../src/engine/index.js'
import type { Device } from '../../src/engine/runtime/device.js'
import { between, type OpCase } from '../cases/case.js'
import { allCases, caseTitle } from '../cases/index.js'
import { caseGraphs } from '../device/derivatives.js'
import { runTraced } from '../device/run-traced.js'
import { emulated } from './in-process.js'
import { foundLibrary, LibraryRuns, onItsWay, openWith, runRounded, stands, survey } from './with-libraries.js'

const library = foundLibrary('cuBLASLt')

it.runIf(emulated)('is found where LD_LIBRARY_PATH says', () => {
  expect(library, `run with LD_LIBRARY_PATH=${stands}, as npm run emulated does`).toEqual({
    name: 'cuBLASLt',
    version: '13.1.2',
    missing: '',
  })
})

/** As in precision.test.ts. */
const roundings = 48
const product = (m: number, n: number, k: number): OpCase => ({
  op: 'matmul',
  name: `${m} x ${n} x ${k}`,
  inputs: [between([m, k], -1, 1), between([k, n], -1, 1)],
  build: (a, b) => [matmul(a, b)],
})
const products = [
  ...allCases.filter(({ op, inputs }) => op === 'matmul' && inputs.every(({ dtype }) => dtype === 'f32')),
  // Beyond one tile of the own kernels in every axis.
  product(300, 200, 150),
  product(301, 199, 149),
]

describe.skipIf(!emulated && library?.version === '')('every product', () => {
  describe.each(['f32', 'tf32', 'bf16'] as const)('at %s', (precision) => {
    let device: Device
    beforeAll(async () => {
      device = await openWith('all', precision)
    })
    afterAll(() => device.close())

    it.each(products.map((c) => [caseTitle(c), c] as const))('%s', async (_, c) => {
      const asked = c.name === 'never rounded' ? 'f32' : precision
      const { plan, error } = await runRounded(device, asked, c)
      expect(plan.libraries).toMatch(/^cuBLASLt 1[23]\.\d+\.\d+ \(\d+ multiprocessors; instructions \d+\)$/)
      expect(error).toBeLessThanOrEqual(roundings)
    })
  })

  it('at tf32x3, and every product with ALUDEL_CUDA_LIBS=off, is the own kernels’', async () => {
    const [{ traced, inputs }] = caseGraphs(onItsWay(products[0]))
    for (const [use, precision] of [
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

/** state += sum of -(x w), with another x at each step; `direct` is a product that is an argument. */
const script = `
  const products = (device, n = 12) => bindProgram(device, {
    inputs: { state: { shape: [] }, x: { shape: [100, 24], slots: { count: 5 } }, w: { shape: [24, n] } },
    outputs: { state: { donate: 'state' } },
    build: ({ state, x, w }) => ({ state: engine.add(state, engine.sum(engine.neg(engine.matmul(x, w)))) }),
  })
  const data = (length) => Float32Array.from({ length }, (_, i) => Math.fround(Math.sin(i)))
  const arraysOf = (device, n = 12) => ({ state: device.array('f32', []), x: device.array('f32', [5, 100, 24], data(12000)), w: device.array('f32', [24, n], data(24 * n)) })
  const total = async (device, steps = 5) => {
    const program = products(device), arrays = arraysOf(device)
    await program.run(arrays, { n: steps })
    return { libraries: program.plan.libraries ?? null, total: (await arrays.state.read())[0] }
  }`

describe.skipIf(!emulated)('a program', () => {
  let runs: LibraryRuns
  beforeAll(() => {
    runs = new LibraryRuns('CUBLAS_LT_FAKE', script)
  })
  afterAll(() => runs.close())
  const run = (settings: Record<string, string>, body: string) => runs.run(settings, body)
  const measured = 'const device = await open(); log(await total(device)); await device.close()'
  const library = /^cuBLASLt 13\.1\.2 \(2 multiprocessors; instructions \d+\)$/
  let own: { libraries: null; total: number }
  beforeAll(async () => {
    own = (await run({ ALUDEL_CUDA_LIBS: 'off' }, measured)).lines[0] as typeof own
  })

  it('calls the library in its first step and when it is captured; replays need no call', async () => {
    const { lines, calls } = await run({}, measured)
    const [{ libraries, total }] = lines as { libraries: string; total: number }[]
    expect(libraries).toMatch(library)
    expect(calls).toEqual(['loaded', 'product 68: 1 of 100 x 24 x 12', 'product 68: 1 of 100 x 24 x 12'])
    expect(total).toBeCloseTo(own.total, 3)
  })

  it.each([{ ALUDEL_CUDA_LIBS: 'off' }, { ALUDEL_CUDA_LIBS: '' }])('with %o does not even load it', async (settings) => {
    const { lines, calls } = await run(settings, measured)
    expect(lines).toEqual([own])
    expect(calls).toEqual([])
  })

  it('takes from the table what its architecture, precision and shape say', async () => {
    const { lines } = await run(
      { ALUDEL_CUDA_LIBS: '', CUDA_HOST_CAPABILITY: '86' },
      `const device = await open()
      log([products(device), products(device, 20), products(device, 10)].map(({ plan }) => plan.libraries ?? null))
      await device.close()
      const other = await open({ precision: 'tf32' }); log(products(other).plan.libraries ?? null); await other.close()`,
    )
    expect(lines).toEqual([[expect.stringMatching(library), null, null], null])
  })

  it('keeps it away from arguments, which a refused step must not change', async () => {
    const { lines, calls } = await run(
      {},
      `const device = await open()
      const program = bindProgram(device, {
        inputs: { state: { shape: [] }, x: { shape: [50, 24] }, w: { shape: [24, 12] }, u: { shape: [24, 16] }, index: { shape: [100], dtype: 'i32' } },
        outputs: { state: { donate: 'state' }, direct: {} },
        build: ({ state, x, w, u, index }) => {
          const rows = engine.gather(x, index)
          return { state: engine.add(state, engine.sum(engine.neg(engine.matmul(rows, w)))), direct: engine.matmul(rows, u) }
        },
      })
      log(program.plan.libraries)
      const index = device.array('i32', [100], new Int32Array(100).fill(50))
      const [state, direct] = [device.array('f32', []), device.array('f32', [100, 16], new Float32Array(1600).fill(7))]
      const arrays = { state, direct, index, x: device.array('f32', [50, 24], data(1200)), w: device.array('f32', [24, 12], data(288)), u: device.array('f32', [24, 16], data(384)) }
      for (let i = 0; i < 3; i++) await program.run(arrays).catch((e) => log(e.code))
      log([(await state.read())[0] === 0, (await direct.read()).every((v) => v === 7)])
      await index.write(new Int32Array(100).fill(49))
      await program.run(arrays)
      log([(await state.read())[0] === 0, (await direct.read()).some((v) => v === 7)])
      await device.close()`,
    )
    const refused = ['invalid_index', 'invalid_index', 'invalid_index']
    expect(lines).toEqual([expect.stringMatching(library), ...refused, [true, true], [false, false]])
    expect(calls).toEqual(['loaded', 'product 68: 1 of 100 x 24 x 12', 'product 68: 1 of 100 x 24 x 12'])
  })

  it.each([
    ['no library', { LD_LIBRARY_PATH: '' }, /libcublasLt\.so\.13.*libcublasLt\.so\.12/],
    ['a library without a symbol', { LD_LIBRARY_PATH: join(stands, 'incomplete') }, /libcublasLt\.so\.13: it has no cublasLtMatmul/],
    ['an old library', { CUBLAS_LT_FAKE: 'old' }, /libcublasLt\.so\.13: version 11\.4\.1 is older than 12\.0/],
    ['no handle', { CUBLAS_LT_FAKE: 'no-handle' }, undefined],
    ['no algorithm', { CUBLAS_LT_FAKE: 'no-algorithm' }, undefined],
  ])('with %s computes with the own kernels', async (_, settings, missing) => {
    const { lines } = await run(settings as Record<string, string>, `${measured}\n${survey}`)
    expect(lines[0]).toEqual(own)
    const version = missing ? '' : '13.1.2'
    expect(lines[1]).toContainEqual({ name: 'cuBLASLt', version, missing: missing ? expect.stringMatching(missing) : '' })
  })

  it('takes version 12 where there is no 13', async () => {
    symlinkSync(join(stands, 'libcublasLt.so.13'), join(runs.folder, 'libcublasLt.so.12'))
    const { lines } = await run({ LD_LIBRARY_PATH: runs.folder }, measured)
    expect(lines).toEqual([expect.objectContaining({ libraries: expect.stringMatching(/^cuBLASLt/) })])
  })

  it('fails with the library, its version and its status when it refuses, even while captured, and goes on afterwards', async () => {
    const { lines } = await run(
      {},
      `const device = await open()
      const program = products(device), arrays = arraysOf(device)
      const step = (startStep) => program.run(arrays, { startStep }).then(() => log('ran'), (e) => log(failure(e)))
      process.env.CUBLAS_LT_FAKE = 'failing'; await step(0)
      delete process.env.CUBLAS_LT_FAKE; await step(0)
      process.env.CUBLAS_LT_FAKE = 'failing'; await step(1)
      delete process.env.CUBLAS_LT_FAKE
      for (let i = 1; i < 5; i++) await step(i)
      log((await arrays.state.read())[0])
      await device.close()`,
    )
    const error = {
      code: 'internal',
      message: expect.stringMatching(/cuBLASLt 13\.1\.2 refuses a product \(status 13\); ALUDEL_CUDA_LIBS=off/),
    }
    expect(lines.slice(0, -1)).toEqual([error, 'ran', error, 'ran', 'ran', 'ran', 'ran'])
    expect(lines.at(-1)).toBeCloseTo(own.total, 3)
  })

  it('is not begun with a setting that is none', async () => {
    const { lines } = await run({ ALUDEL_CUDA_LIBS: 'on' }, 'await open().catch((e) => log(failure(e)))')
    expect(lines).toEqual([{ code: 'invalid_option', message: "ALUDEL_CUDA_LIBS: expected 'auto', 'off' or 'all' but received 'on'" }])
  })
})
