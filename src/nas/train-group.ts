/** @file Networks of one architecture trained on one source, and measured. */
import type { Dataset } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { AludelError } from '../errors.js'
import { AccuracyMeter } from '../evaluate/accuracy.js'
import { networkUnder } from '../evaluate/centred-network.js'
import { trainAll } from '../evaluate/train-all.js'
import { Trainer } from '../evaluate/trainer.js'
import type { Network } from '../nn/module.js'
import type { Training } from './training.js'

export interface Group {
  readonly network: Network
  readonly training: Training
  readonly first: number
  readonly groups: number
  readonly seed: number
}

/** The programs and arrays of a group; the network of a number starts from the same weights on every source. */
export const prepareGroup = (device: Device, test: Dataset, { network: drawn, training, first, groups, seed }: Group) =>
  allOrNothing((own) => {
    const { protocol, epochs, policy, sets, rowsOf, normalization } = training
    const network = networkUnder(protocol, drawn)
    const trainer = new Trainer(device, {
      ...{ network, sets: sets(first, groups), groups, augment: policy, firstNetwork: first },
      ...{ key: fold(keyOf(seed), 'nas', network.name), schedule: { protocol, epochs }, ...(rowsOf && { rowsOf }) },
    })
    return { trainer: own(trainer), meter: own(new AccuracyMeter(device, network, test, groups, normalization)) }
  })

/** How far a group is: `share` of its work, in [0, 1], which never falls; epochs of the networks at hand. */
export type GroupProgress = (share: number, epoch: number, loss: number | null) => void

/** Accuracies in per cent; null for a network whose loss or logits stopped being numbers, which is an answer too. */
export async function trainGroup(
  device: Device,
  test: Dataset,
  group: Group,
  { signal, report }: { readonly signal: AbortSignal | undefined; readonly report: GroupProgress },
): Promise<(number | null)[]> {
  const { trainer, meter } = prepareGroup(device, test, group)
  const { first, groups } = group
  const trained = group.training.protocol.trained(group.training.epochs)
  let reached = 0
  const onEpoch = (epoch: number, loss: number | null) => {
    reached = epoch / trained
    report(reached, epoch, loss)
  }
  try {
    await trainer.initialize(device)
    await trainAll(trainer, group.training.epochs, signal, onEpoch, (epoch) => onEpoch(epoch, null))
    return (await meter.measure(trainer.measured, signal)).map(({ accuracy }) => accuracy)
  } catch (error) {
    if (!(error instanceof AludelError) || error.code !== 'not_finite') throw error
    if (groups === 1) return [null]
  } finally {
    trainer.dispose()
    meter.dispose()
  }
  // one of them did not train: each by itself, over what is left of the group's share
  const left = (1 - reached) / groups
  const alone: (number | null)[] = []
  for (let g = 0; g < groups; g++) {
    const within: GroupProgress = (share, epoch, loss) => report(reached + (g + share) * left, epoch, loss)
    alone.push(...(await trainGroup(device, test, { ...group, first: first + g, groups: 1 }, { signal, report: within })))
  }
  return alone
}
