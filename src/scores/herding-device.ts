/** @file Herding on a device: one pass over the rows for each pick, many picks for each crossing; the same sums, so the same rows. */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { type HerdRule, herdStep } from '../engine/index.js'
import { asPanels, type DeviceRows, rowsInput, runPicks } from './device-rows.js'

/** `count` rows in the order chosen; at least 1, and not above the rows unless they repeat. `mean` is that of all rows. */
export async function herdOnDevice(
  rows: DeviceRows,
  mean: Float64Array,
  count: number,
  rule: HerdRule,
  repeats: boolean,
): Promise<Int32Array> {
  const {
    device,
    shape: [samples, width],
  } = rows
  const point = { shape: [width], dtype: 'f64' } as const
  const slots = { count }
  const arrays = allOrNothing((own) => ({
    mean: own(device.array('f64', [width], mean)),
    target: own(device.array('f64', [width], rule === 'welling' ? mean : undefined)),
    taken: own(device.array('i32', [samples])),
    chosen: own(device.array('i32', [count])),
    program: own(
      bindProgram(device, {
        inputs: { rows: rowsInput(rows), mean: point, target: point, taken: { shape: [samples], dtype: 'i32' } },
        outputs: { target: { donate: 'target' }, taken: { donate: 'taken' }, chosen: { slots } },
        build: (v) => ({ ...herdStep(asPanels(v.rows), v.mean, v.target, v.taken, rule, repeats) }),
      }),
    ),
  }))
  const { program, ...bound } = arrays
  try {
    await runPicks(count, (range) => program.run({ rows: rows.array, ...bound }, range))
    return (await bound.chosen.read()) as Int32Array
  } finally {
    for (const resource of Object.values(arrays)) resource.dispose()
  }
}
