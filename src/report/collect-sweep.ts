/** @file Everything a report of a sweep shows, read from its directory. */
import { join } from 'node:path'
import { exists } from '../data/file-bytes.js'
import { AludelError } from '../errors.js'
import { readRunRecord } from '../experiment/run-dir.js'
import { readSweep } from '../experiment/sweep-record.js'
import type { SweepReport } from './sweep-page.js'

/** Throws `not_found`, `invalid_data` for a damaged sweep.json, `io`. Runs that are gone are named without a link. */
export async function collectSweep(dir: string): Promise<SweepReport> {
  const record = await readSweep(dir)
  const reports = new Set<string>()
  let classes: readonly string[] = []
  for (const { run } of record.cells) {
    if (await exists(join(dir, run, 'report.html'))) reports.add(run)
    if (classes.length === 0) classes = await classesOf(join(dir, run))
  }
  return { record, classes, reports }
}

async function classesOf(run: string): Promise<readonly string[]> {
  try {
    return (await readRunRecord(run)).data.classes ?? []
  } catch (error) {
    if (error instanceof AludelError) return []
    throw error
  }
}
