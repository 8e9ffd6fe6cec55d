/** @file Published settings of the five methods of trajectory matching by data set, IPC and source, complete, each value with its origin. */
import type { TrajectoryOptions } from './options.js'
import { type PublishedData, type PublishedRow, type PublishedSource, type PublishedValues, sourcesOf, valuesOf } from './published-cell.js'
import { ftd, mtt, tesla } from './published-mtt.js'
import { datm, pad } from './published-pad.js'

export type { PublishedData, PublishedSource } from './published-cell.js'

const tables = { mtt, ftd, tesla, datm, pad } as const

export type TrajectoryMethodName = keyof typeof tables

/** Settings of one cell. */
export interface TrajectoryDefaults {
  /** The cell that they are of: not always the one that was asked for. */
  readonly data: PublishedData
  readonly ipc: number
  readonly source: PublishedSource
  readonly iterations: number
  readonly imageLr: number
  readonly imageMomentum: number
  readonly init: 'real' | 'predicted'
  readonly augment: string
  readonly network: string
  readonly zca: boolean
  /** The method's own. */
  readonly options: TrajectoryOptions
  /** How its experts are trained. */
  readonly training: Pick<PublishedValues, 'experts' | 'trainedEpochs' | 'expertLr' | 'expertBatch' | 'gsam' | 'schedule'>
  /** Where each value comes from, by its name above. */
  readonly origin: Readonly<Record<keyof PublishedValues | 'augment' | 'network', string>>
}

/** The settings that `source` states for this very cell; undefined where it states none. */
export function published(
  method: TrajectoryMethodName,
  data: PublishedData,
  ipc: number,
  source: PublishedSource,
): TrajectoryDefaults | undefined {
  const row = tables[method].find((one) => one.data === data && one.ipc === ipc)
  return row && defaultsOf(row, source)
}

/**
 * The settings to begin with where a cell may not be published: those of the largest IPC up to `ipc` (else of the smallest) for the data set
 * named `data`, as readers name it, or for CIFAR-10 where the source has none of it. Undefined where the source has nothing of the method.
 */
export function nearestPublished(
  method: TrajectoryMethodName,
  data: string,
  ipc: number,
  source: PublishedSource,
): TrajectoryDefaults | undefined {
  const stated = tables[method].filter(({ cells }) => cells[source] !== undefined)
  const key = data === 'tiny-imagenet' ? 'tiny' : data
  const own = stated.filter((row) => row.data === key)
  const rows = own.length > 0 ? own : stated.filter((row) => row.data === 'cifar10')
  const row = rows.findLast((one) => one.ipc <= ipc) ?? rows.at(0)
  return row && defaultsOf(row, source)
}

/** All published cells of a method, in the order of its tables. */
export const publishedCells = (method: TrajectoryMethodName): readonly TrajectoryDefaults[] =>
  tables[method].flatMap((row) => (['paper', 'yaml'] as const).flatMap((source) => defaultsOf(row, source) ?? []))

function defaultsOf({ data, ipc, cells }: PublishedRow, source: PublishedSource): TrajectoryDefaults | undefined {
  const cell = cells[source]
  if (!cell) return undefined
  const { iterations, imageLr, imageMomentum, init, zca, experts, trainedEpochs, expertLr, expertBatch, gsam, schedule, ...options } =
    valuesOf(cell)
  return {
    ...{ data, ipc, source, iterations, imageLr, imageMomentum, init, zca, options },
    augment: 'dsa',
    network: 'convnet',
    training: { experts, trainedEpochs, expertLr, expertBatch, gsam, schedule },
    origin: {
      ...sourcesOf(cell),
      augment: 'all methods: differentiable siamese augmentation',
      network: 'ConvNet of depth 3 for 32 x 32, 4 for 64 x 64',
    },
  }
}
