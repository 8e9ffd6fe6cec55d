/** @file Reports of runs. */
import { join } from 'node:path'
import { writeAtomic } from '../experiment/atomic-file.js'
import { collectReport } from './collect.js'
import { reportPage } from './page.js'

export const reportFile = 'report.html'

/** Writes `report.html` into the run directory and returns its path. */
export async function writeReport(dir: string): Promise<string> {
  const path = join(dir, reportFile)
  await writeAtomic(path, reportPage(await collectReport(dir)))
  return path
}
