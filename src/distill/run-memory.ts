/** @file Whether a run fits the memory at hand: said before anything is computed, not hours later by the system. */
import { isGpu } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'
import { freeMemory } from '../free-memory.js'

/** Bytes of a run. */
export interface RunBytes {
  /** Arrays, constants and working memory on the device. */
  readonly device: number
  /** Of the state. While a checkpoint is taken it is there once more on the device, and once in this process. */
  readonly state: number
  /** All of the teacher's answers that are kept, in this process. */
  readonly table: number
}

/** Bytes of a device and of this process; a CPU device's are of both. */
export interface MemoryBytes {
  readonly device: number
  readonly process: number
}

/** What must be free at once. */
export function neededBytes(isa: Device['isa'], { device, state, table }: RunBytes): MemoryBytes {
  const onDevice = device + state
  return { device: onDevice, process: state + table + (isGpu(isa) ? 0 : onDevice) }
}

export const freeBytes = (device: Device): MemoryBytes => ({ device: device.freeBytes, process: freeMemory() })

/** Throws `out_of_memory` for a table that this process has no room for; nothing needs to be made before. */
export function checkTable(bytes: number): void {
  const free = freeMemory()
  if (bytes <= free) return
  const todo = 'let the teacher be asked for every batch (teacherTable off, on the command line --set teacherTable=off)'
  throw new AludelError(
    'out_of_memory',
    `distill: the answers of the teacher that are kept need ${bytes} bytes but ${free} are free; ${todo}`,
  )
}

/** Throws `out_of_memory` for a run that needs more than was free before it was made. */
export function checkFits(isa: Device['isa'], bytes: RunBytes, before: MemoryBytes, todo: string): void {
  const needed = neededBytes(isa, bytes)
  const short = (['device', 'process'] as const).find((where) => needed[where] > before[where])
  if (!short) return
  const parts = [
    bytes.state > 0 && `${bytes.state} for each copy of a checkpoint`,
    bytes.table > 0 && `${bytes.table} for answers of the teacher`,
  ]
  const said = parts.some(Boolean) ? ` (${parts.filter(Boolean).join(', ')})` : ''
  throw new AludelError('out_of_memory', `distill: needs ${needed[short]} bytes${said} but ${before[short]} are free; ${todo}`)
}
