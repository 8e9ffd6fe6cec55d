/** @file Reports of runs, of scores and of sweeps. */
import { join } from 'node:path'
import { writeAtomic } from '../files/atomic-file.js'
import { collectReport, type ReportSources } from './collect.js'
import { collectScores, type ScoreReportOptions } from './collect-scores.js'
import { collectSweep } from './collect-sweep.js'
import { comparisonPage } from './comparison.js'
import { reportPage } from './page.js'
import { scorePage } from './score-page.js'
import { sweepPage } from './sweep-page.js'

export const reportFile = 'report.html'

/** Writes the page of the run in `dir` to `to` (default: report.html in it) and returns the path. Throws `not_found`, `invalid_data`, `io`. */
export async function writeReport(dir: string, to?: string, sources?: ReportSources): Promise<string> {
  const page = reportPage(await collectReport(dir, sources))
  const path = to ?? join(dir, reportFile)
  await writeAtomic(path, page)
  return path
}

/** Writes one page that compares the runs in `dirs` and returns its path. */
export async function writeComparison(dirs: readonly string[], path: string): Promise<string> {
  const runs = []
  for (const dir of dirs) runs.push({ dir, ...(await collectReport(dir)) })
  await writeAtomic(path, comparisonPage(runs))
  return path
}

/**
 * Writes the page of the score directory `dir` to `to` (default: report.html in it) and returns the path. With `data` it has histograms by
 * class and the easiest and hardest images; with `subset`, what that file keeps.
 * Throws `not_found`, `invalid_data`, `incompatible` for other data or a subset of other data, `io`.
 */
export async function writeScoreReport(
  dir: string,
  { to, ...options }: ScoreReportOptions & { readonly to?: string } = {},
): Promise<string> {
  const page = scorePage(await collectScores(dir, options))
  const path = to ?? join(dir, reportFile)
  await writeAtomic(path, page)
  return path
}

/** Writes the page of the sweep in `dir` to `to` (default: report.html in it) and returns the path. Throws `not_found`, `invalid_data`, `io`. */
export async function writeSweepReport(dir: string, to?: string): Promise<string> {
  const page = sweepPage(await collectSweep(dir))
  const path = to ?? join(dir, reportFile)
  await writeAtomic(path, page)
  return path
}
