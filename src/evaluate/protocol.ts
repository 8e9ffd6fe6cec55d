/** @file The protocols by which networks are trained to be measured, as values: batches, learning rates, what of the weights is tested. */
import { expected } from '../errors.js'
import type { LabelKind, ProtocolName, SyntheticSetFields } from '../experiment/types.js'
import { cosineSchedule } from '../optim/schedules.js'
import { protocol } from './schedule.js'

/** How networks are updated, whatever for. */
export interface TrainingRule {
  /** Rows of a training step. */
  readonly batch: number
  /** How parameters move: SGD (default), or Adam with weight decay apart from the gradient, which has no use for `momentum`. */
  readonly optimiser?: 'sgd' | 'adamw'
  readonly momentum: number
  readonly weightDecay: number
  /** Learning rate of a network by name before any factor. */
  lr(network: string): number
  /** What the learning rate is multiplied by in an epoch (0, 1, …); absent: `trainAll` lets it drop once. */
  factor?(epoch: number, epochs: number): number
  /** The same of a step (0, 1, …) of all, in place of `factor`. */
  stepFactor?(step: number, steps: number): number
  /** Share of the former average that the moving average of the weights keeps after an epoch; absent: the last weights are tested. */
  decay?(epoch: number): number
}

export interface Protocol extends TrainingRule {
  readonly name: ProtocolName
  /** Default of the option `epochs`. */
  readonly epochs: number
  /** Defaults of the augmentation, 'dsa', and of the network that `aludel evaluate` takes, 'convnet'. */
  readonly augment?: string
  readonly network?: string
  /** Hard labels are centred one-hot rows, which networks learn by half the squared distance as they do learned targets. */
  readonly squared?: boolean
  /**
   * Networks answer with f(x) - f0(x), f0 as they were drawn, and learn labels times this number by the mean squared error over its square;
   * `weightDecay` times the squared distance from the start is added to that. Absent: f(x), labels as they are.
   */
  readonly labelScale?: number
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

/** Most steps of a linear warm-up, which is never longer than half the training. */
const mostWarmUp = 500
const warmCosine = (endFactor: number) => (step: number, steps: number) =>
  cosineSchedule(1, steps, { endFactor, warmUp: Math.min(mostWarmUp, Math.floor(steps / 2)) })(step)

const squaredErrors: Omit<Protocol, 'name' | 'epochs'> = {
  ...{ batch: 500, momentum: 0, weightDecay: 0, squared: true, lr: () => 3e-4 },
  optimiser: 'adamw',
  trained: (epochs) => epochs,
}

/**
 * FRePo (2206.00719): Adam at 3e-4 with a warm-up of 500 steps and a cosine down to a hundredth, on networks without batch norm. How many
 * steps follows from the number of images (`protocolFor`).
 */
const frepo: Protocol = {
  ...{ ...squaredErrors, name: 'frepo', epochs: 1000, augment: 'frepo', network: 'conv-frepo-nn' },
  stepFactor: warmCosine(0.01),
}

/** Images and the steps that networks are trained on them for; other numbers take those of the next smaller one (ours). */
const frepoSteps = [
  [0, 1000],
  [100, 2000],
  [200, 20_000],
  [400, 5000],
  [1000, 10_000],
  [2000, 40_000],
] as const

/** KIP and FRePo among the baselines of KRR-ST (2310.06511): AdamW at 3e-4 with the same warm-up and a cosine to 0, DSA. */
const kip: Protocol = { ...squaredErrors, name: 'kip', epochs: 10_000, stepFactor: warmCosine(0) }
const kipSteps = { few: 10_000, many: 40_000, manyClasses: 200 } as const

const fromIpc = (ipc: number, lr: number, labelScale: number, weightDecay = 0) => ({ ipc, lr: () => lr, labelScale, weightDecay })

/** Learning rate, label scale and decay of RFAD's code from so many images of a class on, by data set; what lies between takes the smaller number's (ours). */
const rfadSettings: Readonly<Record<string, readonly ReturnType<typeof fromIpc>[]>> = {
  mnist: [fromIpc(1, 1e-3, 8, 1e-3), fromIpc(10, 1e-2, 8, 1e-3), fromIpc(50, 1e-2, 8)],
  'fashion-mnist': [fromIpc(1, 1e-3, 8), fromIpc(10, 1e-2, 8, 1e-3), fromIpc(50, 1e-3, 2)],
  svhn: [fromIpc(1, 1e-3, 16), fromIpc(10, 1e-2, 8), fromIpc(50, 1e-2, 2)],
  cifar10: [fromIpc(1, 1e-3, 8), fromIpc(10, 1e-3, 2), fromIpc(50, 1e-2, 2)],
  cifar100: [fromIpc(1, 0.1, 8), fromIpc(10, 0.1, 2)],
}

/** RFAD (2210.12067): SGD on all images at once, at a constant rate that follows from data set and images of a class (`protocolFor`). */
const rfad: Protocol = {
  ...{ ...squaredErrors, name: 'rfad', optimiser: 'sgd', momentum: 0.9, batch: 513, epochs: 20_000, augment: 'none', network: 'conv-rfad' },
  ...{ labelScale: 8, stepFactor: () => 1, lr: () => 1e-3 },
}

function rfadFor({ source, classes = [], shape: [images] = [1] }: ProtocolSubject): Partial<Protocol> {
  // of other data sets those of CIFAR with as many classes (ours)
  const like = classes.length < 100 ? 'cifar10' : 'cifar100'
  const rows = rfadSettings[source && Object.hasOwn(rfadSettings, source.name) ? source.name : like]
  const ipcOf = images / Math.max(1, classes.length)
  const { ipc: _, ...settings } = rows.findLast(({ ipc }) => ipcOf >= ipc) ?? rows[0]
  return settings
}

/** Batch of DATM and PAD, whose labels are soft; MTT, FTD and TESLA take that of the protocol 'dc'. */
const softBatch = 128

const protocols: Readonly<Record<ProtocolName, Protocol>> = { dc, glad, trajectory, frepo, kip, rfad }

export const protocolNames = Object.keys(protocols) as readonly ProtocolName[]

/** The protocol of a name, default 'dc'. @throws AludelError 'invalid_option' with the known names */
export function protocolOf(name: ProtocolName = 'dc'): Protocol {
  if (typeof name === 'string' && Object.hasOwn(protocols, name)) return protocols[name]
  throw expected('invalid_option', 'protocol', `one of ${protocolNames.join(', ')}`, name)
}

/** What of a set a protocol goes by; without a shape it is as small as can be. */
export type ProtocolSubject = Partial<Pick<SyntheticSetFields, 'learningRate' | 'classes'>> & {
  readonly source?: { readonly name: string }
  /** [images, H, W, C] */
  readonly shape?: readonly number[]
  readonly config?: { readonly method?: unknown }
}

/** The protocol of a set where none is named: that of the method that made it, where it has one. */
export function defaultProtocol({ learningRate, config }: ProtocolSubject): ProtocolName {
  if (learningRate !== undefined) return 'trajectory'
  const { method } = config ?? {}
  return method === 'frepo' || method === 'kip' || method === 'rfad' ? method : 'dc'
}

/**
 * The protocol by which networks are trained on a set: its learned rate and its labels matter under 'trajectory' only, the number of its
 * images and classes under 'frepo', 'kip' and 'rfad', whose epochs follow from their steps. Throws as `protocolOf`.
 */
export function protocolFor(set: ProtocolSubject, labels: LabelKind, name: ProtocolName = defaultProtocol(set)): Protocol {
  const chosen = protocolOf(name)
  if (chosen.squared) {
    const epochs = Math.ceil(stepsOf(chosen.name, set) / Math.ceil((set.shape?.[0] ?? 1) / chosen.batch))
    return { ...chosen, ...(chosen.name === 'rfad' && rfadFor(set)), epochs }
  }
  if (chosen.name !== 'trajectory') return chosen
  const { learningRate = protocol.lr } = set
  return { ...chosen, lr: () => learningRate, batch: labels === 'soft' ? softBatch : protocol.batch }
}

function stepsOf(name: ProtocolName, { shape: [images] = [1], classes = [] }: ProtocolSubject): number {
  if (name === 'rfad') return rfad.epochs
  if (name === 'kip') return classes.length < kipSteps.manyClasses ? kipSteps.few : kipSteps.many
  return frepoSteps.findLast(([least]) => images >= least)?.[1] ?? 0
}
