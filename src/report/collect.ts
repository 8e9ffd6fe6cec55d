/** @file Everything a report shows, read from a run directory. */
import { AludelError } from '../errors.js'
import { type RealImages, readRealImages } from '../experiment/real-images.js'
import { type LoggedEvent, type RunRecord, readEvents, readRunRecord } from '../experiment/run-dir.js'
import { loadSyntheticSet } from '../experiment/synthetic-set.js'
import type { DoneEvent, StepEvent, SyntheticSet } from '../experiment/types.js'

export interface ReportData {
  readonly record: RunRecord
  readonly steps: readonly StepEvent[]
  readonly done: DoneEvent | undefined
  /** Absent while a run has not saved its images yet. */
  readonly set: SyntheticSet | undefined
  /** Absent when the run was not compared with real images. */
  readonly real: RealImages | undefined
}

const isStep = (event: LoggedEvent): event is StepEvent => event.type === 'step' && Number.isFinite(event.loss)
const isDone = (event: LoggedEvent): event is DoneEvent => event.type === 'done'

/** Throws `not_found` without a run.json, `invalid_data` when a file of the run is damaged. */
export async function collectReport(dir: string): Promise<ReportData> {
  const record = await readRunRecord(dir)
  const events = await readEvents(dir)
  const set = await loadSyntheticSet(dir).catch((error) => {
    if (error instanceof AludelError && error.code === 'not_found') return undefined
    throw error
  })
  const images = set?.labels.length ?? 0
  const real = set && (await readRealImages(dir, { images, pixels: set.images.length / images, classes: set.classes.length }))
  return { record, steps: events.filter(isStep), done: events.findLast(isDone), set, real }
}
