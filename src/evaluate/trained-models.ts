/** @file Networks trained on a set, as ONNX models. */
import { checkCallback, checkOptions } from '../arguments.js'
import { checkExportable, exportOnnx } from '../export/onnx/export-network.js'
import { planTraining, readNetworks, type TrainingOptions, type TrainingSource, trainNetworks } from './train-networks.js'

export interface TrainedModel {
  /** Name of the network. */
  readonly network: string
  /** Number of the repetition, from 0. */
  readonly index: number
  /** ONNX. */
  readonly bytes: Uint8Array
}

/**
 * Trains networks on a set as `evaluate` does, with the same draws, and hands each over as an ONNX model as soon as it is trained. Rejects
 * as `evaluate` does, and with what `onModel` throws; networks without an ONNX form are refused before anything trains.
 */
export async function trainModels(
  source: TrainingSource,
  options: TrainingOptions,
  onModel: (model: TrainedModel) => void | Promise<void>,
): Promise<void> {
  checkOptions('trainModels', options, optionNames)
  checkCallback('trainModels: onModel', onModel)
  const plan = planTraining('trainModels', source, options)
  for (const { network } of plan.networks) checkExportable(network)
  for (const one of plan.networks) {
    await trainNetworks(plan, one, () => ({
      async use(networks, groups, first) {
        for (const [g, tensors] of (await readNetworks(networks, groups)).entries()) {
          await onModel({ network: one.name, index: first + g, bytes: await exportOnnx(one.network, tensors, plan.set) })
        }
      },
      dispose: () => undefined,
    }))
  }
}

const optionNames: Readonly<Record<keyof TrainingOptions, true>> = {
  ...{ networks: true, repeats: true, protocol: true, labels: true, epochs: true, augment: true, seed: true },
  ...{ device: true, signal: true, onProgress: true },
}
