/** @file Everything a report of scores shows, read from its directory, from the data, and from a subset of it. */
import type { Dataset } from '../data/dataset.js'
import { AludelError } from '../errors.js'
import { readScores, readSubset, type ScoreFile } from '../prune/index.js'
import { checkSameData, isSameData } from '../prune/provenance.js'
import { kindPath, listKinds, readRecord } from '../scoring/score-directory.js'
import { extremesOf, shownExtremes } from './extremes.js'
import { thumbnails } from './pictures.js'
import type { Extremes, ScoredSamples, ScoreReport } from './score-report.js'

export interface ScoreReportOptions {
  /** The data that was scored: brings what is by class, and the images. */
  readonly data?: Dataset
  /** File of a subset of that data, shown in the histograms. */
  readonly subset?: string
}

/** Throws `not_found`, `invalid_data` for damaged files, `incompatible` for other data or a subset of other data, `io`. */
export async function collectScores(dir: string, { data, subset }: ScoreReportOptions = {}): Promise<ScoreReport> {
  const record = await readRecord(dir)
  const kinds: ScoreFile[] = []
  for (const kind of await listKinds(dir)) kinds.push(await readScores(kindPath(dir, kind)))
  for (const { score, data: scored } of kinds)
    if (scored.sha256 !== record.data.sha256)
      throw new AludelError('invalid_data', `${kindPath(dir, score.name)}: holds scores of other data than scores.json names`)
  if (data) checkSameData('report', record.data, data)
  const kept = subset === undefined ? undefined : { file: subset, subset: await readSubset(subset) }
  if (kept && !isSameData(kept.subset.data, record.data))
    throw new AludelError(
      'incompatible',
      `${subset}: expected a subset of the data that was scored (${record.data.name}) but it is one of ${kept.subset.data.name}`,
    )
  const samples = data && samplesOf(data)
  const extremes = samples && data ? kinds.map((file) => extremesOf(file, samples, shownExtremes(data.classes.length))) : []
  return {
    ...{ record, kinds, extremes },
    ...(samples && { samples }),
    ...(data && extremes.length > 0 && { pictures: picturesOf(data, extremes) }),
    ...(kept && { subset: kept }),
  }
}

const samplesOf = (data: Dataset): ScoredSamples => ({ rows: data.classes.map((_, c) => data.classIndices(c)) })

/** The pixels of all rows that are shown, each once. */
function picturesOf(data: Dataset, extremes: readonly Extremes[]): NonNullable<ScoreReport['pictures']> {
  const rows = [...new Set(extremes.flatMap(({ classes }) => classes.flatMap(({ easiest, hardest }) => [...easiest, ...hardest])))]
  const shown = data.subset(rows)
  return { ...thumbnails(shown.images, shown.shape), place: new Map(rows.map((row, i) => [row, i])) }
}
