/** @file Programs with convolutions of a stand-in for cuDNN: when it is called, when it must not be, and what is wrong with a library. */
import { symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { emulated } from './in-process.js'
import { LibraryRuns, stands, survey } from './with-libraries.js'

/** state += sum of -conv2d(x, w, bias) and of -of its gradients, with another x at each step; `direct` is a convolution that is an argument. */
const script = `
  const shapes = { x: [1, 2, 8, 8, 4], w: [1, 3, 3, 4, 12], bias: [1, 12] }
  const all = (v) => {
    const y = engine.conv2d(v.x, v.w, v.bias, { pad: 1 })
    const dx = engine.conv2dInputGrad(y, v.w, 8, 8, { pad: 1 }), { dw, db } = engine.conv2dWeightGrad(v.x, y, 3, 3, { pad: 1 })
    return [y, dx, dw, db].map((part) => engine.sum(engine.neg(part))).reduce(engine.add)
  }
  const convolutions = (device) => bindProgram(device, {
    inputs: { state: { shape: [] }, x: { shape: shapes.x, slots: { count: 5 } }, w: { shape: shapes.w }, bias: { shape: shapes.bias } },
    outputs: { state: { donate: 'state' } },
    build: (v) => ({ state: engine.add(v.state, all(v)) }),
  })
  const sizeOf = (shape) => shape.reduce((a, b) => a * b)
  const filled = (device, shape) => device.array('f32', shape, Float32Array.from({ length: sizeOf(shape) }, (_, i) => Math.fround(Math.sin(i))))
  const arraysOf = (device) => ({ state: device.array('f32', []), x: filled(device, [5, ...shapes.x]), w: filled(device, shapes.w), bias: filled(device, shapes.bias) })
  const total = async (device, steps = 5) => {
    const program = convolutions(device), arrays = arraysOf(device)
    await program.run(arrays, { n: steps })
    return { libraries: program.plan.libraries ?? null, total: (await arrays.state.read())[0] }
  }`

describe.skipIf(!emulated)('a program', () => {
  let runs: LibraryRuns
  beforeAll(() => {
    runs = new LibraryRuns('CUDNN_FAKE', script)
  })
  afterAll(() => runs.close())
  const run = (settings: Record<string, string>, body: string) => runs.run(settings, body)
  const measured = 'const device = await open(); log(await total(device)); await device.close()'
  const library = /^cuDNN 9\.10\.2 \(2 multiprocessors; instructions \d+, \d+, \d+\)$/
  const forwardOnly = /^cuDNN 9\.10\.2 \(2 multiprocessors; instructions \d+\)$/
  const calls = ['forward', 'input gradient', 'weight gradient'].map((pass) => `${pass} 3: 2 of 8x8, 3x3, 4 to 12`)
  let own: { libraries: null; total: number }
  beforeAll(async () => {
    own = (await run({ ALUDEL_CUDA_LIBS: 'off' }, measured)).lines[0] as typeof own
  })

  it('calls the library in its first step and when it is captured; replays need no call, and bits are the same at every run', async () => {
    const first = await run({}, measured)
    expect(first.calls.slice(1).sort()).toEqual([...calls, ...calls].sort())
    const [{ libraries, total }] = first.lines as { libraries: string; total: number }[]
    expect(libraries).toMatch(library)
    expect(Math.abs(total / own.total - 1)).toBeLessThan(1e-5)
    expect((await run({}, measured)).lines).toEqual(first.lines)
  })

  it.each([{ ALUDEL_CUDA_LIBS: 'off' }, { ALUDEL_CUDA_LIBS: '' }])('with %o does not even load it', async (settings) => {
    expect(await run(settings, measured)).toEqual({ lines: [own], calls: [] })
  })

  it('takes from the table what its architecture, precision, pass and shape say', async () => {
    const settings = { ALUDEL_CUDA_LIBS: '', CUDA_HOST_CAPABILITY: '86' }
    expect(await run(settings, measured)).toEqual({
      lines: [{ libraries: expect.stringMatching(forwardOnly), total: expect.closeTo(own.total, 0) }],
      calls: ['loaded', calls[0], calls[0]],
    })
    const tf32 = `const device = await open({ precision: 'tf32' }); log(convolutions(device).plan.libraries ?? null); await device.close()`
    expect(await run(settings, tf32)).toEqual({ lines: [null], calls: [] })
  })

  it('names both libraries where it uses both, and plans their workspace', async () => {
    const { lines } = await run(
      {},
      `const device = await open(), other = await open()
      const program = bindProgram(device, {
        inputs: { x: { shape: shapes.x }, w: { shape: shapes.w } }, outputs: { y: {} },
        build: ({ x, w }) => {
          const y = engine.reshape(engine.neg(engine.conv2d(x, w, undefined, { pad: 1 })), [128, 12])
          return { y: engine.neg(engine.matmul(y, y, { transposeB: true })) }
        },
      })
      log(program.plan.libraries)
      await device.close(); await other.close()`,
    )
    expect(lines).toEqual([expect.stringMatching(/^cuBLASLt 13\.1\.2, cuDNN 9\.10\.2 \(2 multiprocessors; instructions \d+, \d+\)$/)])
  })

  it('keeps it away from arguments, which a refused step must not change', async () => {
    const { lines, calls } = await run(
      {},
      `const device = await open()
      const program = bindProgram(device, {
        inputs: { x: { shape: [3, 8, 8, 4] }, w: { shape: shapes.w }, index: { shape: [2], dtype: 'i32' } }, outputs: { direct: {} },
        build: ({ x, w, index }) => ({ direct: engine.conv2d(engine.reshape(engine.gather(x, index), shapes.x), w, undefined, { pad: 1 }) }),
      })
      log(program.plan.libraries ?? null)
      const index = device.array('i32', [2], new Int32Array(2).fill(3)), direct = device.array('f32', [1, 2, 8, 8, 12], new Float32Array(1536).fill(7))
      const arrays = { x: filled(device, [3, 8, 8, 4]), w: filled(device, shapes.w), index, direct }
      for (let i = 0; i < 3; i++) await program.run(arrays).catch((e) => log(e.code))
      log((await direct.read()).every((v) => v === 7))
      await device.close()`,
    )
    expect(lines).toEqual([null, 'invalid_index', 'invalid_index', 'invalid_index', true])
    expect(calls).toEqual([])
  })

  it.each([
    ['no library', { LD_LIBRARY_PATH: '' }, /^libcudnn_graph\.so\.9: cannot open/],
    [
      'a library without a symbol',
      { LD_LIBRARY_PATH: join(stands, 'incomplete') },
      /^libcudnn\.so\.9: it has no cudnnConvolutionBackwardF/,
    ],
    ['an old library', { CUDNN_FAKE: 'old' }, /^libcudnn\.so\.9: version 8\.9\.7 is older than 9\.0/],
    ['no handle', { CUDNN_FAKE: 'no-handle' }, undefined],
    ['a library that supports nothing', { CUDNN_FAKE: 'unsupported' }, undefined],
    ['a library that wants much memory', { CUDNN_FAKE: 'large' }, undefined],
  ])('with %s computes with the own kernels', async (_, settings, missing) => {
    const { lines } = await run(settings as Record<string, string>, `${measured}\n${survey}`)
    expect(lines[0]).toEqual(own)
    const version = missing ? '' : '9.10.2'
    expect(lines[1]).toContainEqual({ name: 'cuDNN', version, missing: missing ? expect.stringMatching(missing) : '' })
  })

  it('does not touch a library without its parts, which would end the process', async () => {
    for (const part of ['', '_graph', '_ops', '_cnn', '_engines_precompiled'])
      symlinkSync(join(stands, 'libcudnn.so.9'), join(runs.folder, `libcudnn${part}.so.9`))
    const { lines } = await run({ LD_LIBRARY_PATH: runs.folder }, `${measured}\n${survey}`)
    expect(lines).toEqual([
      own,
      expect.arrayContaining([expect.objectContaining({ missing: expect.stringMatching(/^libcudnn_heuristic/) })]),
    ])
  })

  it('fails with the library, its version and its status when it refuses, even while captured, and goes on afterwards', async () => {
    const { lines } = await run(
      {},
      `const device = await open()
      const program = convolutions(device), arrays = arraysOf(device)
      const step = (startStep) => program.run(arrays, { startStep }).then(() => log('ran'), (e) => log(failure(e)))
      process.env.CUDNN_FAKE = 'failing'; await step(0)
      delete process.env.CUDNN_FAKE; await step(0)
      process.env.CUDNN_FAKE = 'failing'; await step(1)
      delete process.env.CUDNN_FAKE
      for (let i = 1; i < 5; i++) await step(i)
      log((await arrays.state.read())[0])
      await device.close()`,
    )
    const error = {
      code: 'internal',
      message: expect.stringMatching(/cuDNN 9\.10\.2 refuses a convolution \(status 5000\); ALUDEL_CUDA_LIBS=off/),
    }
    expect(lines.slice(0, -1)).toEqual([error, 'ran', error, 'ran', 'ran', 'ran', 'ran'])
    expect(Math.abs((lines.at(-1) as number) / own.total - 1)).toBeLessThan(1e-5)
  })
})
