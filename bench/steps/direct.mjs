/**
 * @file Direct kernels beside a plain copy, in turns: one step is each of them once. GB/s count every byte once that a call must read or
 * write: logits, labels and results, or the maps; the copy's are the bytes it reads and those it writes.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { isGpu } from '../../dist/engine/isa.js'
import { median, round } from '../lib/timer.mjs'

export const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1)

/** Numbers without a pattern that a branch could learn; a generator of normals would take longer than the bench. */
export function someNumbers(shape, scale) {
  const data = new Float32Array(sizeOf(shape))
  let state = 1
  for (let i = 0; i < data.length; i++) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0
    data[i] = scale * (state / 2 ** 31 - 1)
  }
  return data
}

/** `rivals` by name: `{ shape, bytes, run }`, run resolving with a number. The first one's number is the value of the step. */
export function prepareRivals(rivals) {
  const seconds = Object.fromEntries(Object.keys(rivals).map((name) => [name, []]))
  return {
    plans: [],
    async step() {
      let value
      for (const [name, { run }] of Object.entries(rivals)) {
        const start = performance.now()
        const result = await run()
        seconds[name].push((performance.now() - start) / 1000)
        value ??= result
      }
      return value
    },
    /** Medians without the first round, as fields of the result: GB/s, and the share of the faster copy of the same shape. */
    report() {
      const rate = (name) => rivals[name].bytes / 1e9 / median(seconds[name].slice(1))
      const fastestCopy = (shape) =>
        Math.max(...Object.keys(rivals).flatMap((name) => (name.startsWith('copy') && rivals[name].shape === shape ? [rate(name)] : [])))
      const fields = Object.entries(rivals).map(([name, { shape }]) => [
        name,
        { gb_s: round(rate(name)), of_copy: round(rate(name) / fastestCopy(shape), 3) },
      ])
      return Object.fromEntries(fields)
    },
  }
}

/** Copies of `array` on the device, by one thread and by all of them: what memory gives without any work. */
export function copies(device, array, name) {
  const target = device.array('f32', array.shape)
  const program = bindProgram(device, { inputs: { x: { shape: array.shape } }, outputs: { y: {} }, build: ({ x }) => ({ y: x }) })
  const bytes = 2 * array.bytes
  return {
    // On a GPU a copy between arrays is only put in line.
    ...(isGpu(device.isa) ? {} : { [`copy ${name}`]: { shape: name, bytes, run: () => target.copyFrom(array) } }),
    [`copy ${name}, all threads`]: { shape: name, bytes, run: () => program.run({ x: array, y: target }) },
  }
}
