/** @file Rows of numbers on a device, in the panels that the ops which choose rows read: uploaded once, passed over at each pick. */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { panelRows, reshape, rowPanels, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { Shape } from '../engine/tensor/shape.js'
import { Turn } from '../event-loop.js'
import type { Matrix } from './matrix.js'

/** Numbers that are copied to the device between two turns of the event loop. */
const numbersPerCopy = 1 << 20

/** Picks of one crossing into native code: work of others on the device gets its turn between two. */
export const picksPerRun = 64

export interface DeviceRows {
  readonly device: Device
  readonly shape: Matrix['shape']
  /** f32 [copies, B, width, panelRows] */
  readonly array: DeviceArray
  dispose(): void
}

/** What a program that reads the rows has as its input, and `array` as panels [B', width, panelRows] inside it. */
export const rowsInput = ({ array }: DeviceRows): { shape: Shape } => ({ shape: array.shape })
export const asPanels = (v: Value): Value => reshape(v, [v.shape[0] * v.shape[1], ...v.shape.slice(2)])

/** Float32 rows are computed on the device, in the same sums as here; rows of double precision are not. */
export const fitsDevice = ({ data }: Matrix): boolean => data instanceof Float32Array

/** Throws `out_of_memory`, `disposed`. */
export async function uploadRows(device: Device, { data, shape }: Matrix): Promise<DeviceRows> {
  const [rows, width] = shape
  const panels = Math.ceil(rows / panelRows)
  const copies = Math.ceil(panels / Math.max(1, Math.floor(numbersPerCopy / (width * panelRows))))
  const perCopy = Math.ceil(panels / copies)
  const part = [perCopy * panelRows, width]
  const { array, staged, program } = allOrNothing((own) => ({
    array: own(device.array('f32', [copies, perCopy, width, panelRows])),
    staged: own(device.array('f32', part)),
    program: own(
      bindProgram(device, {
        inputs: { rows: { shape: part } },
        outputs: { panels: { slots: { count: copies } } },
        build: (v) => ({ panels: rowPanels(v.rows) }),
      }),
    ),
  }))
  const turn = new Turn()
  const copied = new Float32Array(part[0] * width)
  try {
    for (let copy = 0; copy < copies; copy++) {
      await turn.breathe()
      const own = data.subarray(copy * copied.length, (copy + 1) * copied.length)
      // behind the last row anything may stand
      if (own.length < copied.length) copied.set(own)
      await Promise.all([
        staged.write(own.length < copied.length ? copied : own),
        program.run({ rows: staged, panels: array }, { n: 1, startStep: copy }),
      ])
    }
    return { device, shape, array, dispose: () => array.dispose() }
  } catch (error) {
    array.dispose()
    throw error
  } finally {
    staged.dispose()
    program.dispose()
  }
}

/** Runs `picks` replays of `run`, some at a time. */
export async function runPicks(
  picks: number,
  run: (range: { readonly n: number; readonly startStep: number }) => Promise<void>,
): Promise<void> {
  for (let startStep = 0; startStep < picks; startStep += picksPerRun) await run({ n: Math.min(picksPerRun, picks - startStep), startStep })
}
