/**
 * @file 50 rows by CRAIG from gradients in factors of 2,000 samples, 10 classes and 2,048 features, on a device and, in the first round, without one.
 * Value: the last row chosen.
 */
import { craig } from '../../dist/scores/craig.js'
import { median, round } from '../lib/timer.mjs'
import { someNumbers } from './direct.mjs'

const [rows, classes, width, picks] = [2000, 10, 2048, 50]

export function prepare(device) {
  const gradients = {
    errors: { data: Float64Array.from(someNumbers([rows, classes], 1)), shape: [rows, classes] },
    features: { data: someNumbers([rows, width], 1), shape: [rows, width] },
  }
  const seconds = { device: [], plain: [] }
  const timed = async (name, options) => {
    const start = performance.now()
    const { indices } = await craig(gradients, picks, options)
    seconds[name].push((performance.now() - start) / 1000)
    return indices[picks - 1]
  }
  return {
    plans: [],
    async step() {
      if (seconds.plain.length === 0) await timed('plain', {})
      return timed('device', { device })
    },
    report: () => ({ device_s: round(median(seconds.device)), without_device_s: round(median(seconds.plain)) }),
  }
}
