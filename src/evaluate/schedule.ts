/** @file The evaluation protocol of the field (DC, DM: specification section 8) as a value: batches and learning rates of every epoch. */
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { permutation } from '../engine/tensor/philox.js'

export const protocol = { lr: 0.01, momentum: 0.9, weightDecay: 5e-4, batch: 256, dropFactor: 0.1, epochs: 1000 } as const

/** Epoch index from which the lower learning rate holds: the drop comes after epoch index floor(E/2) + 1. */
export const dropEpoch = (epochs: number): number => Math.floor(epochs / 2) + 2

/** Rows of the synthetic set in the batches of one epoch of one network: a fresh order, cut into equal capacities; the last may be short. */
export function epochBatches(key: Key, network: number, epoch: number, rows: number, batch: number): Int32Array[] {
  const order = permutation(fold(key, 'order', network), epoch, purpose.shuffle, rows)
  return Array.from({ length: Math.ceil(rows / batch) }, (_, b) => order.subarray(b * batch, (b + 1) * batch))
}
