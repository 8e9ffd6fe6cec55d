/** @file Reports of runs. */
import { join } from 'node:path'
import { writeAtomic } from '../experiment/atomic-file.js'
import { collectReport } from './collect.js'
import { reportPage } from './page.js'

export const reportFile = 'report.html'

/** Writes `report.html` into the run directory and returns its path. Throws `not_found`, `invalid_data`, `io`. */
export async function writeReport(dir: string): Promise<string> {
  const page = reportPage(await collectReport(dir))
  const path = join(dir, reportFile)
  await writeAtomic(path, page)
  return path
}
