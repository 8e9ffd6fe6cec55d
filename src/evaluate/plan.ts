/** @file What the evaluation of one kind of network takes: built on a device like the real thing, and not run. */
import type { AugmentPolicy } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import type { Device } from '../engine/runtime/device.js'
import type { Key } from '../engine/tensor/key.js'
import type { Network } from '../nn/module.js'
import { AccuracyMeter } from './accuracy.js'
import type { Protocol } from './protocol.js'
import { networksTogether } from './schedule.js'
import { Trainer, type TrainingSet } from './trainer.js'

export interface PlannedEvaluation {
  readonly network: Network
  /** Only shape, dtype and statistics matter. */
  readonly set: TrainingSet
  readonly test: Dataset
  readonly repeats: number
  readonly protocol: Protocol
  readonly epochs: number
  readonly augment: AugmentPolicy
  readonly key: Key
}

/** Floating-point operations and training steps of all networks together. */
export function planEvaluation(
  device: Device,
  { network, set, test, repeats, protocol, epochs, augment, key }: PlannedEvaluation,
): { flops: number; steps: number } {
  const groups = networksTogether(repeats, Math.min(protocol.batch, set.shape[0]))
  const rounds = Math.ceil(repeats / groups)
  const trainer = new Trainer(device, { network, sets: [set], groups, augment, key, firstNetwork: 0, schedule: { protocol, epochs } })
  const meter = new AccuracyMeter(device, network, test, groups, set)
  const steps = rounds * protocol.trained(epochs) * trainer.stepsPerEpoch
  return { flops: steps * trainer.plan.flops + rounds * meter.flops, steps }
}
