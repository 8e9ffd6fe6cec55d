/** @file Whether a training fits the memory at hand: said before it begins, not hours later by the system. */
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'

function reserved(device: Device): number {
  const { arrayBytes, constantBytes, workspaceBytes } = device.memory()
  return arrayBytes + constantBytes + workspaceBytes
}

/** What `make` gives, where the bytes that it reserves on the device were free before. Throws `out_of_memory` otherwise, and frees them. */
export function withinMemory<T extends { dispose(): void }>(device: Device, make: () => T): T {
  const todo = 'lower the batch, or take a smaller network or projector'
  const free = device.freeBytes
  const before = reserved(device)
  let made: T
  try {
    made = make()
  } catch (error) {
    if (!(error instanceof AludelError && error.code === 'out_of_memory')) throw error
    throw new AludelError('out_of_memory', `pretrain: ${error.message}; ${todo}`, { cause: error })
  }
  const needed = reserved(device) - before
  if (needed <= free) return made
  made.dispose()
  throw new AludelError('out_of_memory', `pretrain: needs ${needed} bytes but ${free} are free; ${todo}`)
}
