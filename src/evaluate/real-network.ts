/** @file A network trained on all real images, whose features or answers say something about them. */
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import type { Device } from '../engine/runtime/device.js'
import type { Key } from '../engine/tensor/key.js'
import type { EvaluationProgress } from '../experiment/types.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { trainAll } from './train-all.js'
import { Trainer } from './trainer.js'

export interface RealNetworkOptions {
  /** Registry name. */
  readonly network: string
  readonly device: Device
  readonly epochs: number
  readonly key: Key
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: EvaluationProgress) => void
}

/** What networks train on: whitened pixels where there are some, else bytes. */
const trainingSet = (train: Dataset) => (train.whitened ? { ...train, images: train.whitened.pixels } : train)

/** Trained by the protocol 'dc' without augmentation; the caller disposes it. */
export async function trainOnReal(
  train: Dataset,
  { network: name, device, epochs, key, signal, onProgress }: RealNetworkOptions,
): Promise<Trainer> {
  checkLabelled('a network that is trained on real images', train)
  const network = resolveNetwork(name, train.shape.slice(1) as [number, number, number], train.classes.length)
  const trainer = new Trainer(device, { network, sets: [trainingSet(train)], groups: 1, augment: { operations: [] }, key, firstNetwork: 0 })
  try {
    await trainer.initialize(device)
    await trainAll(trainer, epochs, signal, (epoch, loss) => onProgress?.({ network: name, epoch, epochs: epochs + 1, loss }))
    return trainer
  } catch (error) {
    trainer.dispose()
    throw error
  }
}
