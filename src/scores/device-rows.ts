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

export interface CopyRule {
  /** Rows that are copied to the device between two turns of the event loop. */
  readonly perCopy: number
  readonly dtype: 'f32' | 'f64'
  /** Of what `build` makes of [perCopy, width]. */
  readonly shape: Shape
  build(part: Value): Value
}

/**
 * The rows of a matrix on the device, [copies, ...shape], copied piece by piece; behind the last row anything finite may stand.
 * Throws `out_of_memory`, `disposed`.
 */
export async function uploadInCopies(device: Device, { data, shape: [rows, width] }: Matrix, rule: CopyRule): Promise<DeviceArray> {
  const { perCopy, dtype, shape, build } = rule
  const copies = Math.ceil(rows / perCopy)
  const own = data instanceof Float32Array ? 'f32' : 'f64'
  const { array, staged, program } = allOrNothing((keep) => ({
    array: keep(device.array(dtype, [copies, ...shape])),
    staged: keep(device.array(own, [perCopy, width])),
    program: keep(
      bindProgram(device, {
        inputs: { part: { shape: [perCopy, width], dtype: own } },
        outputs: { copied: { slots: { count: copies } } },
        build: (v) => ({ copied: build(v.part) }),
      }),
    ),
  }))
  const turn = new Turn()
  const numbers = perCopy * width
  try {
    for (let copy = 0; copy < copies; copy++) {
      await turn.breathe()
      const part = data.subarray(copy * numbers, (copy + 1) * numbers)
      const whole = part.length === numbers ? part : new (data.constructor as Float64ArrayConstructor)(numbers)
      if (whole !== part) whole.set(part)
      await Promise.all([staged.write(whole), program.run({ part: staged, copied: array }, { n: 1, startStep: copy })])
    }
    return array
  } catch (error) {
    array.dispose()
    throw error
  } finally {
    staged.dispose()
    program.dispose()
  }
}

/** Throws `out_of_memory`, `disposed`. */
export async function uploadRows(device: Device, matrix: Matrix): Promise<DeviceRows> {
  const { shape } = matrix
  const [rows, width] = shape
  const panels = Math.ceil(rows / panelRows)
  const copies = Math.ceil(panels / Math.max(1, Math.floor(numbersPerCopy / (width * panelRows))))
  const perCopy = Math.ceil(panels / copies)
  const array = await uploadInCopies(device, matrix, {
    perCopy: perCopy * panelRows,
    dtype: 'f32',
    shape: [perCopy, width, panelRows],
    build: rowPanels,
  })
  return { device, shape, array, dispose: () => array.dispose() }
}

/** Runs `picks` replays of `run`, some at a time. */
export async function runPicks(
  picks: number,
  run: (range: { readonly n: number; readonly startStep: number }) => Promise<void>,
): Promise<void> {
  for (let startStep = 0; startStep < picks; startStep += picksPerRun) await run({ n: Math.min(picksPerRun, picks - startStep), startStep })
}
