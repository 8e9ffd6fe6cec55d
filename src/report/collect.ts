/** @file Everything a report shows, read from a run directory. */
import { join } from 'node:path'
import { AludelError, expected } from '../errors.js'
import { type RealImages, readRealImages } from '../experiment/real-images.js'
import type { RepresentationSet } from '../experiment/representation-set.js'
import {
  type LoggedEvent,
  loadRunRepresentations,
  loadRunSet,
  type RunRecord,
  type RunStatus,
  readEvents,
  readRunRecord,
  runStatus,
} from '../experiment/run-dir.js'
import { readStages, stagesFile } from '../experiment/stages.js'
import { displayPixels } from '../experiment/synthetic-set.js'
import type { DoneEvent, PruningEvent, StepEvent, SyntheticSet } from '../experiment/types.js'
import type { CoverageReply } from './coverage.js'
import { readRunCoverage } from './run-coverage.js'
import { type RunExperts, readRunExperts } from './run-experts.js'
import { type RunNas, readRunNas } from './run-nas.js'
import { type RunSubset, readRunSubset } from './run-subset.js'
import { type RunTransfer, readRunTransfer } from './run-transfer.js'
import type { ShownStages } from './stage-rows.js'

export interface ReportData {
  readonly record: RunRecord
  /** What became of the run; 'interrupted' when its process is gone. */
  readonly status: RunStatus | 'interrupted'
  readonly steps: readonly StepEvent[]
  /** Looks at the effects of real samples, of a run with dynamic pruning. */
  readonly looks: readonly PruningEvent[]
  readonly done: DoneEvent | undefined
  /** Absent while a run has not saved its images yet. */
  readonly set: SyntheticSet | undefined
  /** The same of a run without labels, which has no `set`. */
  readonly representations: RepresentationSet | undefined
  /** Of a run without labels: what transfer has measured, and how its targets cover real images; absent where that is not known. */
  readonly transfer: RunTransfer | undefined
  readonly coverage: CoverageReply | undefined
  /** Of a run with labels: what a search of architectures has found; absent where there was none. */
  readonly nas: RunNas | undefined
  /** The set's images for the eye, bytes NHWC. */
  readonly shown: Uint8Array | undefined
  /** Absent when the run was not compared with real images. */
  readonly real: RealImages | undefined
  /** Some of its images on the way; absent where no checkpoint was taken, and for a run of latents. */
  readonly stages: ShownStages | undefined
  /** What the run's training images are of the data; absent when they are all. */
  readonly subset: RunSubset | undefined
  /** Absent for methods that match none. */
  readonly experts: RunExperts | undefined
}

/** Steps and looks that led to where the run is: those that it went back from are left out. */
function historyOf(events: readonly LoggedEvent[]): Pick<ReportData, 'steps' | 'looks'> {
  const steps: StepEvent[] = []
  const looks: PruningEvent[] = []
  for (const event of events) {
    if (event.type === 'step' && Number.isFinite(event.loss)) steps.push(event)
    if (event.type === 'pruning') looks.push(event)
    if (event.type !== 'rollback') continue
    while ((steps.at(-1)?.step ?? 0) > event.to) steps.pop()
    while ((looks.at(-1)?.step ?? 0) > event.to) looks.pop()
  }
  return { steps, looks }
}

/** Those of images like the set's, as the eye sees them; a file of other ones is left alone. */
async function stagesOf(dir: string, set: SyntheticSet): Promise<ShownStages | undefined> {
  const found = await readStages(join(dir, stagesFile))
  if (found?.image.join() !== set.shape.slice(1).join() || !found.rows.every((row) => row < set.shape[0])) return undefined
  const stages: ShownStages['stages'][number][] = []
  for (const { step, images } of found.stages) stages.push({ step, shown: await displayPixels({ ...set, images }) })
  return { rows: found.rows, stages }
}

const isDone = (event: LoggedEvent): event is DoneEvent => event.type === 'done'

/** Undefined where a run has not saved its images yet; throws what else is wrong with them. */
function absent({ artifact }: RunRecord, error: unknown): undefined {
  // a run that went on was perhaps killed while it replaced the images of an earlier end
  const unfinished = (code: string) => artifact === null && code === 'invalid_data'
  if (error instanceof AludelError && (error.code === 'not_found' || unfinished(error.code))) return undefined
  throw error
}

export interface ReportSources {
  /** Directory of an architecture search on the set of the run; default: the run's own. */
  readonly nas?: string
}

/** Throws `not_found` without a run.json or what `sources` names, `invalid_data` when a file is damaged. */
export async function collectReport(dir: string, sources: ReportSources = {}): Promise<ReportData> {
  const record = await readRunRecord(dir)
  const events = await readEvents(dir)
  const status = await runStatus(dir, record)
  const saved = <S>(load: (dir: string, record: RunRecord) => Promise<S>) => load(dir, record).catch((error) => absent(record, error))
  const representations = record.representations ? await saved(loadRunRepresentations) : undefined
  const set = record.representations ? undefined : await saved(loadRunSet)
  const images = set?.labels.length ?? 0
  const real = set && (await readRealImages(dir, { images, pixels: set.images.length / images, classes: set.classes.length }))
  const subset = await readRunSubset(dir, record)
  const experts = await readRunExperts(record)
  const shown = set && (await displayPixels(set))
  const stages = set && (await stagesOf(dir, set))
  const transfer = representations && (await readRunTransfer(dir, representations))
  if (sources.nas !== undefined && record.representations)
    throw expected('invalid_option', 'report: nas', 'a run with labels', dir, 'leave it out: a set without labels is not searched on')
  const nas = set && (await readRunNas(dir, set, sources.nas))
  const coverage = representations && (await readRunCoverage(dir, representations))
  return {
    ...{ record, status, ...historyOf(events), done: events.findLast(isDone), set, representations },
    ...{ transfer, coverage, nas, shown, real, stages, subset, experts },
  }
}
