/** @file k-center greedy on a device: one pass over the rows for each pick, many picks for each crossing; the same sums, so the same rows. */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { kCenterStep } from '../engine/index.js'
import { asPanels, type DeviceRows, rowsInput, runPicks } from './device-rows.js'
import type { KCenter } from './k-center.js'

/** `count` rows in all, at least 1; those of `start`, at least one, come first. */
export async function kCenterOnDevice(rows: DeviceRows, count: number, start: readonly number[]): Promise<KCenter> {
  const {
    device,
    shape: [samples],
  } = rows
  const slots = { count }
  const scalar = { shape: [], dtype: 'i32' } as const
  const given = Int32Array.from({ length: count }, (_, t) => start[t] ?? -1)
  const arrays = allOrNothing((own) => ({
    nearest: own(device.array('f64', [samples], new Float64Array(samples).fill(Number.POSITIVE_INFINITY))),
    next: own(device.array('i32', [])),
    given: own(device.array('i32', [count], given)),
    chosen: own(device.array('i32', [count])),
    radius: own(device.array('f64', [count])),
    program: own(
      bindProgram(device, {
        inputs: { rows: rowsInput(rows), nearest: { shape: [samples], dtype: 'f64' }, next: scalar, given: { ...scalar, slots } },
        outputs: { nearest: { donate: 'nearest' }, next: { donate: 'next' }, chosen: { slots }, radius: { slots } },
        build: (v) => ({ ...kCenterStep(asPanels(v.rows), v.nearest, v.next, v.given) }),
      }),
    ),
  }))
  const { program, ...bound } = arrays
  try {
    await runPicks(count, (range) => program.run({ rows: rows.array, ...bound }, range))
    return { indices: (await bound.chosen.read()) as Int32Array, radii: (await bound.radius.read()) as Float64Array }
  } finally {
    for (const resource of Object.values(arrays)) resource.dispose()
  }
}
