/** @file What a search is asked for, and what is known of its options before anything trains. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import type { AnyDataset } from '../data/any-dataset.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import type { LabelKind, ProtocolName } from '../experiment/types.js'
import type { NasPlan } from './plan.js'
import type { NasCell, NasStore } from './record.js'
import { type Architecture, architecturesOf, checkSpace, type NasSpace, sampleOf } from './space.js'

/** What may stand beside the distilled set: real images, as many and drawn anew for each repetition, or all of them for as many steps. */
export const nasBaselines = ['random', 'early-stop'] as const
export type NasBaseline = (typeof nasBaselines)[number]
export const nasSources = ['distilled', ...nasBaselines, 'full'] as const
export type NasSource = (typeof nasSources)[number]

export interface NasProgress {
  readonly source: NasSource
  readonly architecture: string
  /** Trainings done in this call, of those it has to do. */
  readonly trainings: number
  readonly total: number
  /** Of all floating-point operations of this call, in [0, 1]; never falls, though networks whose group diverged are trained again alone. */
  readonly share: number
  /** Of the network at hand; in part where epochs are long. */
  readonly epoch: number
  readonly epochs: number
  /** Mean loss of the last step; null where it is not known yet. */
  readonly loss: number | null
}

export interface NasOptions {
  readonly device: Device
  /** The real images that the set was made from, and the test images that every network is measured on. */
  readonly data: AnyDataset
  readonly test: AnyDataset
  /** Default: the 720 ConvNets of `convNetSpace`. */
  readonly space?: NasSpace
  /** Networks of the space that are trained on all real images and on the baselines too, >= 2; default 20, or all of a smaller space. */
  readonly sample?: number
  /** Default both. */
  readonly baselines?: readonly NasBaseline[]
  /** Trainings of each network on the distilled set and on the baselines, default 3; their mean ranks it. */
  readonly repeats?: number
  /** Trainings of each sampled network on all real images, default 1. */
  readonly fullRepeats?: number
  /** As for `evaluate`; of all trainings. */
  readonly protocol?: ProtocolName
  readonly labels?: LabelKind
  readonly augment?: string
  /** Epochs over the distilled set and the random images; default that of the protocol. */
  readonly epochs?: number
  /** Epochs over all real images, default 20. */
  readonly fullEpochs?: number
  /** Share of the sample, the best of it on all real images, that the correlations at the top are of; in (0, 1], default 0.2. */
  readonly top?: number
  readonly seed?: number
  /** Where trainings are found and put, from `openNasStore(dir)`; default: nowhere. */
  readonly store?: NasStore
  readonly signal?: AbortSignal
  /** Hears what the call will do before it begins; asking costs half a second. */
  readonly onPlan?: (plan: NasPlan) => void
  readonly onProgress?: (progress: NasProgress) => void
  readonly onCells?: (cells: readonly NasCell[]) => void
}

const known: Readonly<Record<keyof NasOptions, true>> = {
  ...{ device: true, data: true, test: true, space: true, sample: true, baselines: true, repeats: true, fullRepeats: true },
  ...{ protocol: true, labels: true, augment: true, epochs: true, fullEpochs: true, top: true, seed: true, store: true },
  ...{ signal: true, onPlan: true, onProgress: true, onCells: true },
}

/** Options that are checked without a look at the images. */
export interface NasSettings {
  readonly space: Required<NasSpace>
  readonly architectures: readonly Architecture[]
  /** Places of the sample among them, ascending. */
  readonly sample: Int32Array
  readonly baselines: readonly NasBaseline[]
  readonly repeats: number
  readonly fullRepeats: number
  readonly fullEpochs: number
  /** Absent: that of the protocol. */
  readonly augment: string | undefined
  readonly top: number
  readonly seed: number
}

const defaultSample = 20

export function checkNasOptions(options: Omit<NasOptions, 'store'>): NasSettings {
  checkOptions('nas', options, known)
  const { device, signal, onPlan, onProgress, onCells, baselines = nasBaselines, augment } = options
  const { repeats = 3, fullRepeats = 1, fullEpochs = 20, top = 0.2, seed = 0 } = options
  checkDevice('nas', device)
  checkSignal('nas', signal)
  for (const [name, callback] of Object.entries({ onPlan, onProgress, onCells })) checkCallback(`nas: ${name}`, callback)
  checkSeed('nas: seed', seed)
  for (const [name, value] of Object.entries({ repeats, fullRepeats, fullEpochs })) wholeNumber(`nas: ${name}`, value)
  if (typeof top !== 'number' || !(top > 0 && top <= 1)) throw expected('invalid_option', 'nas: top', 'a share in (0, 1]', top)
  if (!Array.isArray(baselines)) throw expected('invalid_option', 'nas: baselines', 'a list of baselines', baselines)
  for (const [i, one] of baselines.entries())
    if (!nasBaselines.includes(one) || baselines.indexOf(one) < i)
      throw expected('invalid_option', 'nas: baselines', `some of ${nasBaselines.join(', ')}, each once`, one)
  const space = checkSpace(options.space ?? {})
  const architectures = architecturesOf(space)
  const size = architectures.length
  if (size < 2) throw expected('invalid_option', 'nas: space', 'at least two networks', size, 'there is nothing to rank')
  const sample = wholeNumber('nas: sample', options.sample ?? Math.min(defaultSample, size), 2)
  if (sample > size) throw expected('invalid_option', 'nas: sample', `at most the ${size} networks of the space`, sample)
  const ordered = nasBaselines.filter((name) => baselines.includes(name))
  return {
    ...{ space, architectures, sample: sampleOf(size, sample, seed), baselines: ordered },
    ...{ repeats, fullRepeats, fullEpochs, augment, top, seed },
  }
}
