/** @file What a sweep was asked for, as sweep.json keeps it: enough to go on with. */
import type { DistillSettings, ProtocolName } from '../../experiment/types.js'
import type { OwnScoring } from '../own-scores.js'
import type { ZcaChoice } from '../whitening.js'
import type { SweepGrid } from './cells.js'

export interface SweepMeasuring {
  /** Names of networks and of pools. */
  readonly networks: readonly string[]
  /** Networks trained per name on each distilled set. */
  readonly repeats: number
  /** Default: that of the distilled sets. */
  readonly protocol?: ProtocolName
  readonly epochs?: number
  readonly augment?: string
  readonly inference: 'auto' | 'onnx' | 'engine'
}

export interface SweepSettings extends SweepGrid {
  /** Specification of the data, with absolute paths. */
  readonly data: string
  /** Of every run but its seed. */
  readonly distill: Omit<DistillSettings, 'network' | 'seed'> & { readonly network?: string }
  readonly evaluate: SweepMeasuring
  /** Directory or file of scores that were given; null where none were. */
  readonly scores: string | null
  /** Networks that score, where the sweep scores itself; null where it does not. */
  readonly scoring: OwnScoring | null
  readonly zca: ZcaChoice | null
  /** Directory of the experts; absent in records of earlier versions. */
  readonly experts?: string | null
  readonly checkpointEvery: number | null
  /** Instruction set that the sweep was begun with. */
  readonly isa: string | null
  /** Of a GPU: that of products. */
  readonly precision?: string
}
