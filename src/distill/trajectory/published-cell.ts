/** @file What the papers and the released code of trajectory matching state for one data set and IPC: every value with where it comes from. */
import type { PadRule } from '../../schedule/pad-rule.js'
import type { TrajectoryOptions } from './options.js'

/** 'paper': tables and commands that the authors publish; 'yaml': configuration files that they ship. */
export type PublishedSource = 'paper' | 'yaml'
/** 'tiny': Tiny ImageNet; 'imagenet64': ImageNet-1K at 64 x 64. */
export type PublishedData = 'cifar10' | 'cifar100' | 'tiny' | 'imagenet64'

/** How the experts are trained: plain SGD with gsam = null. */
export type PublishedExperts = {
  readonly experts: number
  readonly trainedEpochs: number
  readonly expertLr: number
  readonly expertBatch: number
  readonly gsam: { readonly rho: number; readonly alpha: number; readonly adaptive: boolean } | null
  readonly schedule: PadRule | null
}

export type PublishedSettings = {
  readonly iterations: number
  readonly imageLr: number
  readonly imageMomentum: number
  readonly init: 'real' | 'predicted'
  /** Whether images are whitened. */
  readonly zca: boolean
}

export type PublishedValues = PublishedSettings & TrajectoryOptions & PublishedExperts

/** A value and where it comes from. */
export type Sourced<T> = readonly [value: T, source: string]
export type PublishedCell = SourcedFields<PublishedValues>

/** One column of a table. */
export interface PublishedRow {
  readonly data: PublishedData
  readonly ipc: number
  readonly cells: Readonly<Partial<Record<PublishedSource, PublishedCell>>>
}

type SourcedFields<T> = { readonly [K in keyof T]: Sourced<T[K]> }

const mapFields = (fields: object, map: (field: never) => unknown): unknown =>
  Object.fromEntries(Object.entries(fields).map(([name, field]) => [name, map(field as never)]))

/** All of `values` from one source. */
export const from = <const T extends Partial<PublishedValues>>(source: string, values: T): SourcedFields<T> =>
  mapFields(values, (value) => [value, source]) as SourcedFields<T>

export const valuesOf = (cell: PublishedCell): PublishedValues => mapFields(cell, ([value]: Sourced<unknown>) => value) as PublishedValues

export const sourcesOf = (cell: PublishedCell): Readonly<Record<keyof PublishedValues, string>> =>
  mapFields(cell, ([, source]: Sourced<unknown>) => source) as Readonly<Record<keyof PublishedValues, string>>

/** Experts start from an epoch of [0, bound): T+ as the sources of MTT, TESLA and FTD have it. */
export const fixedRange = (bound: number) => ({ minStartEpoch: 0, startEpoch: bound, maxStartEpoch: bound, expansionEnd: null }) as const

export const unstated = 'not stated by the source; our choice'
