/** @file Reports of runs. */
import { join } from 'node:path'
import { writeAtomic } from '../files/atomic-file.js'
import { collectReport } from './collect.js'
import { comparisonPage } from './comparison.js'
import { reportPage } from './page.js'

export const reportFile = 'report.html'

/** Writes the page of the run in `dir` to `to` (default: report.html in it) and returns the path. Throws `not_found`, `invalid_data`, `io`. */
export async function writeReport(dir: string, to?: string): Promise<string> {
  const page = reportPage(await collectReport(dir))
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
