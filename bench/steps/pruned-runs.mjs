/** @file Runs with and without dynamic pruning beside each other, in turns: what the benches `dynamic` and `dynamic-dc` share. */
import { createDataset } from '../../dist/data/index.js'
import { resolveSettings } from '../../dist/distill/settings.js'
import { normal } from '../../dist/engine/tensor/philox.js'
import { median, round } from '../lib/timer.mjs'

const image = [32, 32, 3]
const pixels = image.reduce((a, b) => a * b, 1)
const perClass = 512

function noise(classes) {
  const rows = classes * perClass
  return createDataset({
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
}

/**
 * A bench of `kinds`, names with settings of dynamic pruning, the first one without. `open` makes the iterations of a run. One step is
 * `iterations` of each kind; the report has milliseconds of an iteration, their share of those without, and the share of samples used.
 */
export function prunedRuns(device, { settings, classes, iterations, kinds, open }) {
  const dataset = noise(classes)
  const runs = kinds.map(([name, dynamic]) => {
    const work = open(device, dataset, resolveSettings(dataset, { ...settings, ...(dynamic && { dynamic }) }))
    const arrays = Object.entries({ images: { shape: work.stateShape }, velocity: { shape: work.stateShape }, ...work.extraState })
    const state = Object.fromEntries(arrays.map(([key, { dtype = 'f32', shape }]) => [key, device.array(dtype, shape)]))
    const ready = state.images.write(Float32Array.from(normal([3, 4], 0, 1, classes * settings.ipc * pixels)))
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
