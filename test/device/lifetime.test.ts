/** @file Who owns what, and every way an end can come: dispose, close, garbage collection, worker termination, process exit. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { Worker } from 'node:worker_threads'
import { describe, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { squareProgram } from './program-bytes.js'

const addonPath = process.env.ALUDEL_BINARY ?? fileURLToPath(new URL('../../build/Release/aludel.node', import.meta.url))
const disposed = expect.objectContaining({ code: 'disposed' })

/** JavaScript source that opens a device on the bare addon and has `run(n)` ready. */
const preamble = (size = 384) => `
  const addon = require(${JSON.stringify(addonPath)})
  const device = addon.createDevice({ threads: 2 })
  const program = device.load(Uint8Array.from(${JSON.stringify([...squareProgram(size).bytes])}))
  const [x, y] = [device.buffer(${size * size * 4}), device.buffer(${size * size * 4})]
  const run = (n) => program.run({ args: [x, y], n, startStep: 0 })
`

/** Runs source in its own process; resolves with exit code, signal and output. */
function inChild(
  source: string,
  flags: string[] = [],
  env: Record<string, string> = {},
): Promise<{ code: number | null; signal: string | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, '-e', source], { env: { ...process.env, ...env }, timeout: 60_000 })
    let output = ''
    child.stdout.on('data', (chunk) => (output += chunk))
    child.stderr.on('data', (chunk) => (output += chunk))
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, output }))
  })
}

async function openSquare() {
  const device = await Device.open({ threads: 2 })
  const program = squareProgram(64)
  const shape = program.arguments[0].shape
  return { device, executable: device.load(program), args: [device.array('f32', shape), device.array('f32', shape)] }
}

describe('dispose', () => {
  it('twice is silent, use after is an error', async () => {
    const { device, executable, args } = await openSquare()
    for (const thing of [executable, ...args]) {
      thing.dispose()
      thing.dispose()
      expect(thing.disposed).toBe(true)
    }
    await expect(args[0].read()).rejects.toEqual(disposed)
    await expect(args[0].write(new Float32Array(64 * 64))).rejects.toEqual(disposed)
    await expect(executable.run(args)).rejects.toEqual(disposed)
    expect(device.memory()).toEqual({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
    await device.close()
  })

  it('does not pull memory from under a run', async () => {
    const { device, executable, args } = await openSquare()
    const run = executable.repeat(50, args)
    const read = args[1].read()
    for (const thing of [executable, ...args]) thing.dispose()
    await run
    expect(await read).toHaveLength(64 * 64)
    await device.close()
  })

  it('a disposed array cannot be bound', async () => {
    const { device, executable, args } = await openSquare()
    args[1].dispose()
    await expect(executable.run(args)).rejects.toEqual(disposed)
    await device.close()
  })
})

describe('close', () => {
  it('waits for work, closes children, refuses new work, and is idempotent', async () => {
    const { device, executable, args } = await openSquare()
    let finished = false
    const run = executable.repeat(50, args).then(() => {
      finished = true
    })
    const closing = device.close()
    expect(device.close()).toBe(closing)
    expect(device.closed).toBe(true)
    await closing
    expect(finished).toBe(true)
    await run
    expect(args[0].disposed && executable.disposed).toBe(true)
    expect(() => device.array('f32', [1])).toThrow(disposed)
    expect(() => device.load(squareProgram(4))).toThrow(disposed)
    await expect(args[0].read()).rejects.toEqual(disposed)
  })

  it('happens at the end of `await using`', async () => {
    const device = await Device.open({ threads: 1 })
    expect(typeof Symbol.asyncDispose).toBe('symbol')
    await device[Symbol.asyncDispose]()
    expect(device.closed).toBe(true)
  })

  it('counts memory while open', async () => {
    const { device } = await openSquare()
    const { arrayBytes, workspaceBytes } = device.memory()
    expect(arrayBytes).toBe(2 * 64 * 64 * 4)
    expect(workspaceBytes).toBeGreaterThanOrEqual(64 * 64 * 4)
    await device.close()
  })
})

describe('ends of an environment', () => {
  it('a worker terminated mid-run ends cleanly, again and again', async () => {
    const source = `${preamble()}
      run(1e6).catch(() => {})
      require('node:worker_threads').parentPort.postMessage('running')`
    for (let i = 0; i < 4; i++) {
      const worker = new Worker(source, { eval: true })
      await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
      expect(await worker.terminate()).toBe(1)
    }
  }, 60_000)

  // In a process of their own: what goes wrong here is an abort of the whole process.
  it.each([
    ['reads', 'while (true) await x.read(0, 64)'],
    ['writes nobody waits for', 'while (true) x.write(0, new Float32Array(16)).catch(() => {})'],
    ['makes buffers', 'while (true) device.buffer(64).dispose()'],
    ['opens and closes devices', 'while (true) await addon.createDevice({ threads: 1 }).close()'],
    ['loads and disposes programs', 'while (true) device.load(bytes).dispose()'],
    ['holds its device and never lets go', 'const held = device.hold(); await held.entered; await held.left'],
    [
      'holds its device again and again',
      'while (true) { const held = device.hold(); run(1).catch(() => {}); await held.entered; held.release(); await held.left }',
    ],
  ])(
    'a worker that %s may be terminated at any moment',
    async (_, loop) => {
      const worker = `${preamble(8)}
      const bytes = Uint8Array.from(${JSON.stringify([...squareProgram(8).bytes])})
      require('node:worker_threads').parentPort.postMessage('ready')
      ;(async () => { ${loop} })()`
      const { code, signal, output } = await inChild(`(async () => {
      const { Worker } = require('node:worker_threads')
      for (let i = 0; i < 6; i++) {
        const worker = new Worker(${JSON.stringify(worker)}, { eval: true })
        await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
        await new Promise((resolve) => setTimeout(resolve, 20 + 13 * i))
        await worker.terminate()
      }
      console.log('ended')
    })()`)
      expect([code, signal, output]).toEqual([0, null, 'ended\n'])
    },
    60_000,
  )

  it('process.exit mid-run keeps its exit code', async () => {
    const { code, signal } = await inChild(`${preamble()} run(1e6).catch(() => {}); setTimeout(() => process.exit(7), 50)`)
    expect([code, signal]).toEqual([7, null])
  }, 60_000)

  it('an idle device does not keep the process alive; a running one does', async () => {
    const { code, output } = await inChild(`${preamble(64)} run(20).then((n) => console.log('completed', n))`)
    expect([code, output]).toEqual([0, 'completed 20\n'])
  }, 60_000)

  it('garbage collection in any order is harmless', async () => {
    const { code, output } = await inChild(
      `const make = () => { ${preamble(32)}; run(3); x.write(0, new Float32Array(4)); y.read(0, 64); return run(3) }
       ;(async () => {
         for (let i = 0; i < 30; i++) { await make(); gc(); await new Promise(setImmediate); gc() }
         console.log('collected')
       })()`,
      ['--expose-gc'],
    )
    expect([code, output]).toEqual([0, 'collected\n'])
  }, 60_000)
})

describe('the bare native surface', () => {
  it('survives wrong receivers, arguments and constructors', async () => {
    const attempts = `
      const attempts = [
        () => program.run.call(x, {}), () => x.read.call(program, 0, 1), () => new x.constructor(), () => new program.constructor({}),
        () => x.read(-1, 4), () => x.read(0, 2 ** 40), () => x.read(NaN, 1), () => x.write(0, [1]), () => x.write(4, new Uint8Array(${16 * 16 * 4})),
        () => x.copyFrom(program), () => x.copyFrom(), () => program.run(), () => program.run({}), () => program.run({ args: [1, 2] }),
        () => program.run({ args: [x, y], n: -1 }), () => program.run({ args: [x, y], startStep: 2 ** 32 }), () => program.run({ args: [x, y], token: {} }),
        () => device.buffer(-1), () => device.buffer('1'), () => device.buffer(2 ** 45), () => device.load(), () => device.load(new Uint8Array(5)),
        () => addon.createDevice(), () => addon.createDevice({ threads: 1e9 }), () => addon.createDevice({ isa: 3 }), () => addon.CancelToken(),
      ]
      let refused = 0
      for (const attempt of attempts) { try { attempt() } catch { refused++ } }
      program.run({ args: [x] }).catch((error) => console.log(refused === attempts.length, error.code, error.completed))`
    const { code, output } = await inChild(`${preamble(16)} ${attempts}`)
    expect([code, output]).toEqual([0, 'true invalid_argument 0\n'])
  }, 60_000)
})
