/** @file What came of a search: networks by their accuracy on the distilled set, and how well each source orders the sample. */
import { summary } from '../evaluate/summary.js'
import { kendall, spearman, spearmanInterval, topPlaces } from './correlation.js'
import type { NasSource } from './options.js'
import type { NasCell } from './record.js'
import type { Search } from './search.js'
import type { Architecture, NasSpace } from './space.js'

/** Accuracies in per cent; one whose loss stopped being a number counts as 0. */
export interface NasAccuracy {
  readonly mean: number
  /** Of the population. */
  readonly std: number
  readonly n: number
  /** Of the n, those that stopped being numbers. */
  readonly diverged: number
}

export interface RankedArchitecture extends Architecture {
  readonly parameters: number
  /** By source; the distilled set's always, the others' of networks in the sample. */
  readonly accuracies: Readonly<Partial<Record<NasSource, NasAccuracy>>>
}

/** Of the accuracies on a source with those on all real images; null where one of both has no order. */
export interface RankCorrelation {
  /** Networks compared. */
  readonly n: number
  readonly spearman: number | null
  /** Tau-b. */
  readonly kendall: number | null
}

export interface NasSourceResult {
  readonly source: NasSource
  /** Over the sample, with the 95 % interval of Spearman's rho. */
  readonly sample: RankCorrelation & { readonly interval: readonly [number, number] | null }
  /** Over the share of the sample that is best on all real images. */
  readonly top: RankCorrelation
  /** The network of the sample that this source ranks first, and its accuracy on all real images. */
  readonly best: { readonly architecture: string; readonly accuracy: number }
  /** Floating-point operations of the trainings behind it, from the shapes of the networks. */
  readonly flops: number
  /** Trainings behind it, and the seconds that they took; null where a time was lost. */
  readonly trainings: number
  readonly seconds: number | null
  /** Seconds of the whole space by the mean over its networks that were trained. */
  readonly spaceSeconds: number | null
}

export interface NasResult {
  /** Identity of the set, as `setHash` gives it. */
  readonly set: string
  readonly space: Required<NasSpace>
  readonly seed: number
  /** Share of the sample that `top` is of. */
  readonly top: number
  /** Names of the networks that were trained on all real images too. */
  readonly sample: readonly string[]
  /** All networks of the space, the best on the distilled set first. */
  readonly ranking: readonly RankedArchitecture[]
  /** 'distilled', the baselines, 'full'. */
  readonly sources: readonly NasSourceResult[]
}

const accuracyOf = (cells: readonly NasCell[]): NasAccuracy => {
  const { mean, std, n } = summary(cells.map(({ accuracy }) => ({ accuracy: accuracy ?? 0, perClass: [] })))
  return { mean, std, n, diverged: cells.filter(({ accuracy }) => accuracy === null).length }
}

/** `cells` are those of all jobs of the search. */
export function resultOf({ set, settings, candidates, trainings, jobs }: Search, cells: readonly NasCell[]): NasResult {
  const { space, seed, top, sample: places } = settings
  const grouped = new Map<string, NasCell[]>()
  const idOf = (source: NasSource, architecture: string) => `${source} ${architecture}`
  for (const cell of cells) {
    const id = idOf(cell.source, cell.architecture)
    grouped.set(id, [...(grouped.get(id) ?? []), cell])
  }
  const networks = candidates.map(({ architecture, cost }): RankedArchitecture => {
    const accuracies = trainings.flatMap(({ source }) => {
      const own = grouped.get(idOf(source, architecture.name))
      return own ? [[source, accuracyOf(own)] as const] : []
    })
    return { ...architecture, parameters: cost.parameters, accuracies: Object.fromEntries(accuracies) }
  })
  const sample = Array.from(places, (place) => networks[place])
  const means = (source: NasSource) => sample.map(({ accuracies }) => accuracies[source]?.mean ?? 0)
  const full = means('full')
  const topOfSample = topPlaces(full, top)
  const sources = trainings.map((training): NasSourceResult => {
    const { source } = training
    const own = means(source)
    const best = own.indexOf(Math.max(...own))
    const all = correlate(own, full)
    const timed = cells.filter((cell) => cell.source === source)
    const seconds = timed.reduce<number | null>((total, cell) => (total === null || cell.seconds === null ? null : total + cell.seconds), 0)
    const trained = source === 'distilled' ? networks.length : sample.length
    return {
      source,
      sample: { ...all, interval: spearmanInterval(all.spearman, all.n) },
      top: correlate(pick(own, topOfSample), pick(full, topOfSample)),
      best: { architecture: sample[best].name, accuracy: full[best] },
      flops: jobs.reduce((sum, job) => (job.training === training ? sum + job.flops : sum), 0),
      ...{ trainings: timed.length, seconds, spaceSeconds: seconds === null ? null : (seconds / trained) * networks.length },
    }
  })
  const mean = ({ accuracies }: RankedArchitecture) => accuracies.distilled?.mean ?? 0
  const ranking = [...networks].sort((a, b) => mean(b) - mean(a))
  return { set, space, seed, top, sample: sample.map(({ name }) => name), ranking, sources }
}

const pick = (values: readonly number[], places: readonly number[]): number[] => places.map((place) => values[place])

const correlate = (a: readonly number[], b: readonly number[]): RankCorrelation => ({
  ...{ n: a.length, spearman: spearman(a, b), kendall: kendall(a, b) },
})
