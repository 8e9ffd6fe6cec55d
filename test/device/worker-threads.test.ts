/** @file The whole library in worker threads: the bytes of the main thread, ends in mid-step, and ten thousand devices one after another. */
import { spawn } from 'node:child_process'
import { describe, expect, it } from 'vitest'

const library = new URL('../../dist/index.js', import.meta.url).href

/** Source of a module's body: a small data set, settings of a run, and `images()`, the hash of what a run of them makes. */
const preamble = `
  const { createHash } = await import('node:crypto')
  const { createDataset, distill, openDevice, perSampleLoss } = await import(${JSON.stringify(library)})
  const samples = Array.from({ length: 12 }, (_, i) => ({ label: i % 3, pixels: Uint8Array.from({ length: 144 }, (_, p) => (p * (i + 3)) & 255) }))
  const dataset = await createDataset({ name: 'ramps', classes: ['a', 'b', 'c'], image: [12, 12, 1], samples })
  const settings = { method: 'dm', ipc: 1, iterations: 6, realBatch: 3, network: 'mlp' }
  const images = async () => {
    const device = await openDevice({ threads: 2 })
    try {
      const set = await distill(dataset, { ...settings, device }).result
      return createHash('sha256').update(set.images).digest('hex')
    } finally {
      await device.close()
    }
  }
`

/** Starts a worker and waits for its first message. */
const startWorker = `
  const { Worker } = await import('node:worker_threads')
  const start = async (source) => {
    const worker = new Worker(\`(async () => { const { parentPort } = await import('node:worker_threads'); \${source} })()\`, { eval: true })
    const message = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    return { worker, message }
  }
`

/** Runs the body of a module in a process of its own: what goes wrong here may be an abort of the whole process. */
function inProcess(body: string, flags: string[] = []): Promise<{ code: number | null; signal: string | null; output: string }> {
  return new Promise((resolve, reject) => {
    const child = spawn(process.execPath, [...flags, '--input-type=module', '-e', body])
    let output = ''
    child.stdout.on('data', (chunk) => {
      output += chunk
    })
    child.stderr.on('data', (chunk) => {
      output += chunk
    })
    child.on('error', reject)
    child.on('close', (code, signal) => resolve({ code, signal, output }))
  })
}

describe('a worker thread', () => {
  it('makes the bytes of the main thread, also beside it and beside others', async () => {
    const inWorker = JSON.stringify(`${preamble} parentPort.postMessage(await images())`)
    const { code, signal, output } = await inProcess(`${preamble} ${startWorker}
      const made = await Promise.all([images(), ...[1, 2, 3].map(() => start(${inWorker}).then(({ message }) => message))])
      console.log(made.length, new Set(made).size)`)
    expect([code, signal, output]).toEqual([0, null, '4 1\n'])
  })

  it.each([
    ['terminated in mid-step', '', 'await worker.terminate()'],
    [
      'ended by itself in mid-step',
      'setTimeout(() => process.exit(5), 20)',
      "await new Promise((resolve) => worker.once('exit', resolve))",
    ],
    [
      'ended by an error in mid-step',
      "setTimeout(() => { throw new Error('a fault') }, 20)",
      "await new Promise((resolve) => worker.once('error', resolve))",
    ],
  ])('%s takes nothing with it', async (_, then, end) => {
    const inWorker = JSON.stringify(`${preamble}
      const device = await openDevice({ threads: 2 })
      const run = distill(dataset, { ...settings, iterations: 1e6, device })
      run.result.catch(() => {})
      for await (const event of run) {
        if (event.type !== 'step' || event.step !== 2) continue
        parentPort.postMessage('in step')
        ${then}
      }`)
    const { code, signal, output } = await inProcess(`${preamble} ${startWorker}
      const before = await images()
      for (let i = 0; i < 4; i++) {
        const { worker } = await start(${inWorker})
        worker.on('error', () => {})
        const beside = images()
        ${end}
        if ((await beside) !== before) throw new Error('other bytes beside a worker that ends')
      }
      console.log((await images()) === before)`)
    expect([code, signal, output]).toEqual([0, null, 'true\n'])
  })

  it('may send away an array that it has given, and is told of one sent before', async () => {
    const inWorker = JSON.stringify(`${preamble}
      const device = await openDevice({ threads: 1 })
      const logits = { data: Float32Array.of(1, 0, 0, 1), shape: [2, 2] }
      const running = perSampleLoss(logits, Int32Array.of(0, 0), { device })
      parentPort.postMessage('sent', [logits.data.buffer])
      const { loss } = await running
      const late = await perSampleLoss(logits, Int32Array.of(0, 0), { device }).catch(({ code }) => code)
      parentPort.postMessage([[...loss].map((nats) => nats.toFixed(3)), late])`)
    const { code, signal, output } = await inProcess(`${startWorker}
      const { worker } = await start(${inWorker})
      console.log(JSON.stringify(await new Promise((resolve) => worker.once('message', resolve))))
      await worker.terminate()`)
    expect([code, signal, output]).toEqual([0, null, '[["0.313","1.313"],"detached"]\n'])
  })
})

it('ten thousand devices, one after another, leave neither memory nor threads nor files behind', async () => {
  const { code, signal, output } = await inProcess(
    `const { openDevice } = await import(${JSON.stringify(library)})
     const { readdirSync } = await import('node:fs')
     const held = async () => {
       for (let i = 0; i < 3; i++) { gc(); await new Promise((next) => setTimeout(next, 20)) }
       const count = (name) => (process.platform === 'linux' ? readdirSync('/proc/self/' + name).length : 0)
       return { rss: process.memoryUsage().rss, threads: count('task'), files: count('fd') }
     }
     const openAndClose = async (n) => {
       for (let i = 0; i < n; i++) {
         const device = await openDevice({ threads: 2 })
         const array = device.array('f32', [256], new Float32Array(256).fill(i))
         if (i % 100 === 0 && (await array.read())[255] !== i) throw new Error('a wrong value')
         await device.close()
       }
     }
     // until the allocator has its size: it still grows by some MiB from 5,000 to 15,000 devices, and not at all from 20,000 to 30,000
     await openAndClose(20_000)
     const early = await held()
     await openAndClose(10_000)
     const late = await held()
     console.log(late.threads <= early.threads, late.files <= early.files, Math.round((late.rss - early.rss) / 2 ** 20))`,
    ['--expose-gc'],
  )
  const [, threads, files, grown] = /^(true|false) (true|false) (-?\d+)\n$/.exec(output) ?? []
  expect([code, signal, threads, files], output).toEqual([0, null, 'true', 'true'])
  // a kilobyte per device would be ten
  expect(Number(grown)).toBeLessThan(8)
})
