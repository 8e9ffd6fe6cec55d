/**
 * @file Dynamic pruning of gradient matching beside the same iterations without it, in turns: DC at IPC 1 and the shapes of `dc`, but three
 * classes, so that a step is short: a class costs the same however many there are. One step is five iterations (one look) of each.
 */
import { createDataset } from '../../dist/data/index.js'
import { GradientIterations } from '../../dist/distill/gradient-matching-loop.js'
import { resolveSettings } from '../../dist/distill/settings.js'
import { normal } from '../../dist/engine/tensor/philox.js'
import { median, round } from '../lib/timer.mjs'

const [classes, perClass, ipc, realBatch] = [3, 512, 1, 256]
const image = [32, 32, 3]
const pixels = image.reduce((a, b) => a * b, 1)
const iterations = 5

const kinds = [
  ['without', undefined],
  ...[8, 32].map((probes) => [`looking, ${probes} probes`, { probes, betaLow: 0, betaHigh: 0 }]),
  ['8 probes, tails of 0.1', { probes: 8, betaLow: 0.1, betaHigh: 0.1 }],
]

export function prepare(device) {
  const rows = classes * perClass
  const dataset = createDataset({
    name: 'noise',
    split: 'train',
    classes: Array.from({ length: classes }, (_, c) => `class ${c}`),
    images: Uint8Array.from(normal([1, 2], 0, 1, rows * pixels), (v) => Math.max(0, Math.min(255, 128 + 40 * v))),
    shape: [rows, ...image],
    labels: Int32Array.from({ length: rows }, (_, i) => i % classes),
    mean: [0.5, 0.5, 0.5],
    std: [0.25, 0.25, 0.25],
    flip: true,
  })
  const runs = kinds.map(([name, dynamic]) => {
    const settings = resolveSettings(dataset, { method: 'dc', ipc, realBatch, ...(dynamic && { dynamic }) })
    const work = new GradientIterations(device, dataset, settings)
    const arrays = Object.entries({ images: { shape: work.stateShape }, velocity: { shape: work.stateShape }, ...work.extraState })
    const state = Object.fromEntries(arrays.map(([key, { dtype = 'f32', shape }]) => [key, device.array(dtype, shape)]))
    const ready = state.images.write(Float32Array.from(normal([3, 4], 0, 1, classes * ipc * pixels)))
    return { name, work, state, first: 0, ready, ms: [], used: undefined }
  })
  return {
    plans: runs.flatMap(({ work }) => Object.values(work.plans)),
    async step() {
      let value
      for (const run of runs) {
        await run.ready
        const onPruning = ({ drawn, used }) => {
          run.used = used / drawn
        }
        const start = performance.now()
        const losses = await run.work.run(run.state, { first: run.first, n: iterations, onPruning })
        run.ms.push((performance.now() - start) / iterations)
        run.first += iterations
        value ??= losses.at(-1)
      }
      return value
    },
    report() {
      const of = ({ ms }) => median(ms.slice(1))
      const plain = of(runs[0])
      const shown = (run) => ({ ms: round(of(run)), of_plain: round(of(run) / plain), ...(run.used && { used: round(run.used) }) })
      return Object.fromEntries(runs.map((run) => [run.name, shown(run)]))
    },
  }
}
