/** @file The protocols by which networks are trained to be measured, as values: batches, learning rates, what of the weights is tested. */
import { expected } from '../errors.js'
import type { LabelKind, ProtocolName, SyntheticSetFields } from '../experiment/types.js'
import { protocol } from './schedule.js'

/** How networks are updated, whatever for. */
export interface TrainingRule {
  /** Rows of a training step. */
  readonly batch: number
  readonly momentum: number
  readonly weightDecay: number
  /** Learning rate of a network by name before any factor. */
  lr(network: string): number
  /** What the learning rate is multiplied by in an epoch (0, 1, …); absent: `trainAll` lets it drop once. */
  factor?(epoch: number, epochs: number): number
  /** Share of the former average that the moving average of the weights keeps after an epoch; absent: the last weights are tested. */
  decay?(epoch: number): number
}

export interface Protocol extends TrainingRule {
  readonly name: ProtocolName
  /** Default of the option `epochs`. */
  readonly epochs: number
  /** Epochs that are trained for that option. */
  trained(epochs: number): number
}

/** DC, DM (specification section 8): the rate drops to a tenth with a fresh momentum half way, epochs count from 0 to the option. */
const dc: Protocol = { ...protocol, name: 'dc', trained: (epochs) => epochs + 1, lr: () => protocol.lr }

/** First factor of the warm-up, as in the source: not 0. */
const coldest = 1e-7
const averageDecay = 0.995

/**
 * GLaD (arXiv 2305.01649), and what builds on it: a linear warm-up over the first half, a cosine over the second, and the moving average of
 * the weights is tested, taken after every epoch. Its decay grows as epoch/(epoch + 1), a plain mean, until it reaches 0.995.
 */
const glad: Protocol = {
  name: 'glad',
  batch: protocol.batch,
  momentum: protocol.momentum,
  weightDecay: protocol.weightDecay,
  epochs: protocol.epochs,
  trained: (epochs) => epochs,
  lr: (network) => (network.startsWith('vgg11') ? 1e-4 : 1e-3),
  factor(epoch, epochs) {
    const half = Math.floor(epochs / 2)
    if (half === 0) return 1
    // The cosine begins one epoch after the warm-up has ended: the source changes schedules behind the step of the middle epoch.
    if (epoch > half) return (1 + Math.cos((Math.PI * (epoch - half - 1)) / half)) / 2
    return coldest + (1 - coldest) * (epoch / half)
  },
  decay: (epoch) => (epoch < 2 ? 0 : Math.min(averageDecay, epoch / (epoch + 1))),
}

/**
 * MTT, FTD, TESLA, DATM, PAD (specification section 9): as 'dc', one epoch later and a tenth of the rate half way, but at the learned rate of
 * the set. `protocolFor` says which that is.
 */
const trajectory: Protocol = { ...dc, name: 'trajectory' }

/** Batch of DATM and PAD, whose labels are soft; MTT, FTD and TESLA take that of the protocol 'dc'. */
const softBatch = 128

const protocols: Readonly<Record<ProtocolName, Protocol>> = { dc, glad, trajectory }

export const protocolNames = Object.keys(protocols) as readonly ProtocolName[]

/** The protocol of a name, default 'dc'. @throws AludelError 'invalid_option' with the known names */
export function protocolOf(name: ProtocolName = 'dc'): Protocol {
  if (typeof name === 'string' && Object.hasOwn(protocols, name)) return protocols[name]
  throw expected('invalid_option', 'protocol', `one of ${protocolNames.join(', ')}`, name)
}

/** The protocol of a set where none is named. */
export const defaultProtocol = ({ learningRate }: Pick<SyntheticSetFields, 'learningRate'>): ProtocolName =>
  learningRate === undefined ? 'dc' : 'trajectory'

/** The protocol by which networks are trained on a set: its learned rate and its labels matter under 'trajectory' only. Throws as `protocolOf`. */
export function protocolFor(
  set: Pick<SyntheticSetFields, 'learningRate'>,
  labels: LabelKind,
  name: ProtocolName = defaultProtocol(set),
): Protocol {
  const chosen = protocolOf(name)
  if (chosen.name !== 'trajectory') return chosen
  const { learningRate = protocol.lr } = set
  return { ...chosen, lr: () => learningRate, batch: labels === 'soft' ? softBatch : protocol.batch }
}
