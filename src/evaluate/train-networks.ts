/** @file Networks trained on a set by the protocol, some at a time: what an evaluation measures and an export writes. */
import { checkCallback, checkDevice, checkSeed, checkSignal, isRecord, wholeNumber } from '../arguments.js'
import { type AugmentPolicy, parseAugment } from '../augment/dsa.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import { checkSyntheticSet } from '../experiment/synthetic-set.js'
import type { EvaluationProgress, EvaluationSettings, LabelKind, SyntheticSetFields, TrainingRecord } from '../experiment/types.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { MapShape, Network } from '../nn/module.js'
import { resolveNetwork, withPools } from '../nn/networks/registry.js'
import { networkUnder } from './centred-network.js'
import { type Protocol, protocolFor } from './protocol.js'
import { networksTogether } from './schedule.js'
import { checkSoftLabels, labelled, towardsRows } from './soft-labels.js'
import { trainAll } from './train-all.js'
import { type NetworkArrays, Trainer } from './trainer.js'

/** The same images for every network, or images of its own for network i (0, 1, …), such as a random baseline redrawn for each. */
export type TrainingSource = TrainingImages | ((network: number) => TrainingImages)

/** Images of a set, with probabilities [M, classes] in place of its labels and logits where networks are to be trained towards a teacher's answers. */
export interface TrainingImages extends SyntheticSetFields {
  readonly softLabels?: Float32Array
  /** As `TrainingSet.squared`. */
  readonly squared?: boolean
}

export interface TrainingOptions extends Omit<EvaluationSettings, 'inference'> {
  readonly device: Device
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: EvaluationProgress) => void
}

export interface NamedNetwork {
  readonly name: string
  readonly network: Network
}

/** Training options, checked and resolved. */
export interface TrainingPlan {
  readonly source: TrainingSource
  /** The set, or that of network 0, with the soft labels that it is trained towards. */
  readonly set: TrainingImages
  /** Of the labels that the set came with. */
  readonly kind: LabelKind
  readonly networks: readonly NamedNetwork[]
  readonly repeats: number
  readonly protocol: Protocol
  readonly epochs: number
  readonly policy: AugmentPolicy
  readonly seed: number
  readonly options: TrainingOptions
}

/** Checks everything before anything trains: a mistyped last name must not cost the hours before it. `what` names the caller. */
export function planTraining(what: string, source: TrainingSource, options: TrainingOptions): TrainingPlan {
  const { networks, repeats = 5, labels, seed = 0, signal, device, onProgress } = options
  checkDevice(what, device)
  checkSignal(what, signal)
  wholeNumber('repeats', repeats)
  checkCallback(`${what}: onProgress`, onProgress)
  checkSeed('seed', seed)
  if (!Array.isArray(networks) || networks.length === 0) throw expected('invalid_option', 'networks', 'at least one network', networks)
  if (labels !== undefined && labels !== 'soft' && labels !== 'hard') throw expected('invalid_option', 'labels', "'soft' or 'hard'", labels)
  const first = typeof source === 'function' ? source(0) : source
  checkTrainingImages(first)
  const own = labelled(first, labels)
  const kind = own.softLabels ? 'soft' : 'hard'
  const protocol = protocolFor(own, kind, options.protocol)
  const { epochs = protocol.epochs, augment = protocol.augment ?? 'dsa' } = options
  wholeNumber('epochs', epochs)
  const set = towardsRows(own, protocol)
  const image = set.shape.slice(1) as unknown as MapShape
  const chosen = withPools(networks).map((choice) => {
    const network = resolveNetwork(choice, image, set.classes.length)
    return { name: typeof choice === 'string' ? choice : choice.name, network: networkUnder(protocol, network) }
  })
  return { source, set, kind, networks: chosen, repeats, protocol, epochs, policy: parseAugment(augment, set.flip), seed, options }
}

/** The checks of a set, and of soft labels: rows of probabilities. */
function checkTrainingImages(images: TrainingImages): void {
  if (isRecord(images) && Object.hasOwn(images, 'softLabels')) {
    const { softLabels, ...set } = images
    checkSyntheticSet(set as SyntheticSetFields)
    if (softLabels !== undefined) checkSoftLabels(softLabels, set as SyntheticSetFields)
  } else {
    // as it was given: spread, a promise or undefined would look like a set without fields
    checkSyntheticSet(images)
  }
}

/** What is done with networks that have been trained together. */
export interface TrainedUse {
  /** `first` is the number of the first of them. */
  use(networks: NetworkArrays, groups: number, first: number): Promise<void>
  dispose(): void
}

/** Trains all repetitions of one network; `prepare` is called before each group trains, so that what it needs is there. */
export async function trainNetworks(
  plan: TrainingPlan,
  { name, network }: NamedNetwork,
  prepare: (groups: number) => TrainedUse,
): Promise<void> {
  const { source, set, repeats, protocol, epochs, policy, seed } = plan
  const { device, labels, signal, onProgress } = plan.options
  const key = fold(keyOf(seed), 'evaluate', name)
  const trained = protocol.trained(epochs)
  const together = networksTogether(repeats, Math.min(protocol.batch, set.shape[0]))
  const rounds = Math.ceil(repeats / together)
  for (let round = 0; round < rounds; round++) {
    const firstNetwork = round * together
    const groups = Math.min(together, repeats - firstNetwork)
    const sources = typeof source === 'function' ? Array.from({ length: groups }, (_, g) => source(firstNetwork + g)) : [source]
    const sets = sources.map((images) => {
      checkTrainingImages(images)
      const own = towardsRows(labelled(images, labels), protocol)
      checkAlike(own, set)
      return own
    })
    const { trainer, prepared } = allOrNothing((own) => ({
      trainer: own(new Trainer(device, { network, sets, groups, augment: policy, key, firstNetwork, schedule: { protocol, epochs } })),
      prepared: own(prepare(groups)),
    }))
    const report = (epoch: number, loss: number) =>
      onProgress?.({ network: name, epoch: round * trained + epoch, epochs: rounds * trained, loss })
    try {
      await trainer.initialize(device)
      await trainAll(trainer, epochs, signal, report)
      await prepared.use(trainer.measured, groups, firstNetwork)
    } finally {
      trainer.dispose()
      prepared.dispose()
    }
  }
}

/** Networks trained together share one program, and one accuracy speaks of one task. */
function checkAlike(own: TrainingImages, first: TrainingImages): void {
  const task = ({ shape, mean, std, classes, whitening, softLabels, squared, learningRate }: TrainingImages) =>
    JSON.stringify({
      shape,
      mean,
      std,
      classes,
      learningRate,
      ...(whitening && { zca: whitening.sha256 }),
      ...(softLabels && { labels: squared ? 'targets' : 'soft' }),
    })
  if (task(own) !== task(first)) throw expected('invalid_data', 'the images of each network', task(first), task(own))
}

/** How the networks of one name are trained. */
export const trainingRecord = ({ protocol, set, kind }: TrainingPlan, { network }: NamedNetwork): TrainingRecord => ({
  protocol: protocol.name,
  labels: kind,
  learningRate: protocol.lr(network.name),
  batch: Math.min(protocol.batch, set.shape[0]),
  ...(protocol.labelScale !== undefined && { labelScale: protocol.labelScale, weightDecay: protocol.weightDecay }),
})

/** The tensors of each of the networks, read from the device. */
export async function readNetworks({ parameters, state }: NetworkArrays, groups: number): Promise<NetworkTensors[]> {
  const read = async (arrays: NetworkArrays['parameters']) =>
    Promise.all(
      Object.entries(arrays).map(async ([name, array]) => ({
        name,
        data: (await array.read()) as Float32Array,
        size: sizeOf(array.shape) / groups,
      })),
    )
  const [own, statistics] = [await read(parameters), await read(state)]
  const of = (list: typeof own, g: number) =>
    Object.fromEntries(list.map(({ name, data, size }) => [name, data.subarray(g * size, (g + 1) * size)]))
  return Array.from({ length: groups }, (_, g) => ({ parameters: of(own, g), state: of(statistics, g) }))
}
