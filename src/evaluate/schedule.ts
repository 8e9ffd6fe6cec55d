/** @file The evaluation protocol of the field (DC, DM: specification section 8) as a value: batches and learning rates of every epoch. */
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { inTurns, type Turn } from '../event-loop.js'

export const protocol = { lr: 0.01, momentum: 0.9, weightDecay: 5e-4, batch: 256, dropFactor: 0.1, epochs: 1000 } as const

/** Epoch index from which the lower learning rate holds: the drop comes after epoch index floor(E/2) + 1. */
export const dropEpoch = (epochs: number): number => Math.floor(epochs / 2) + 2

/** Order of a set's rows in one epoch of one network; batches are cut from it, the last one may be short. */
export const epochOrder = (key: Key, network: number, epoch: number, rows: number, turn: Turn): Promise<Int32Array> =>
  inTurns(permuting(fold(key, 'order', network), epoch, purpose.shuffle, rows), turn)

/** Rows that networks trained together may hold in one step: small batches share their launches, large ones are cut into slices instead. */
const rowsTogether = 128

/** How many networks to train at once. What a network draws does not depend on it. */
export const networksTogether = (repeats: number, batch: number): number => Math.max(1, Math.min(repeats, Math.floor(rowsTogether / batch)))
