/** @file A run directory: run.json (settings and state of the run), events.jsonl and checkpoints, beside the artifact. One process at a time writes it. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkPath } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError, expected, onFile } from '../errors.js'
import { prepareDirectory, writeAtomic } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { whiteningFile } from '../preprocess/whitening-file.js'
import { checkpointStore } from './checkpoint-store.js'
import { type EventLog, type LoggedEvent, type LogPosition, openEventLog, readEventLog } from './event-log.js'
import { realFile } from './real-images.js'
import { representationsFile } from './representation-sample.js'
import { loadRepresentationSet, type RepresentationSet } from './representation-set.js'
import { scoresDirectory, subsetFile } from './run-data.js'
import { lockedBy, lockRun, type RunLock, runOwner } from './run-lock.js'
import { checkRunRecord, type RunRecord, type RunStatus } from './run-record.js'
import { checkSeal, encodeSealed, type JsonRecord, parseRecord } from './sealed-json.js'
import { addStage, stagesFile } from './stages.js'
import { dataFile, loadSyntheticSet, manifestFile, manifestHash, previewFile } from './synthetic-set.js'
import type { CheckpointStore, SyntheticSet } from './types.js'

export type { LoggedEvent, LogPosition } from './event-log.js'
export { runSpecification, scoresDirectory, subsetFile } from './run-data.js'
export type {
  EvaluationRecord,
  GivenRepresentationSettings,
  GivenSettings,
  Phase,
  PruneRecord,
  RunRecord,
  RunStatus,
  TeacherRecord,
} from './run-record.js'
export { runFormat, runVersion } from './run-record.js'

export const runFile = 'run.json'
export const eventsFile = 'events.jsonl'
export const checkpointsDir = 'checkpoints'

/** What a new run in the directory of an earlier one takes away first. */
const replaced = [
  manifestFile,
  dataFile,
  previewFile,
  whiteningFile,
  realFile,
  stagesFile,
  representationsFile,
  'report.html',
  checkpointsDir,
  subsetFile,
  scoresDirectory,
]

/** Longest run.json. */
const maxRunBytes = 64 << 20

export interface RunDir {
  readonly dir: string
  readonly record: RunRecord
  /** Keeps checkpoints in the directory, each one only when the events up to it are on the disk. */
  readonly checkpoints: CheckpointStore
  /** Changes fields of run.json, atomically. */
  update(fields: Partial<Omit<RunRecord, 'format' | 'version'>>): Promise<void>
  /** Appends an event; durable once `close` has returned. */
  append(event: LoggedEvent): Promise<void>
  /** Drops the events that a run which continues from `position` will bring again. */
  rewind(position: LogPosition): Promise<void>
  /** Says that no more steps will be appended: a checkpoint waits for their events no longer. */
  settle(): void
  /** Gives the directory free for other processes. */
  close(): Promise<void>
}

/**
 * Creates `dir` and its run.json.
 * @throws AludelError `invalid_option` when the directory already holds a run and `overwrite` is not set, or files of the names of a run's
 * that are not one's; `invalid_data` for a record that
 * could not be read back, `locked` when a process works in it, `io` when the system refuses.
 */
export async function createRunDir(dir: string, record: RunRecord, { overwrite = false } = {}): Promise<RunDir> {
  checkPath('run directory', dir)
  checkRunRecord(join(dir, runFile), record)
  await onFile(dir, () => makeDirectory(dir))
  return underLock(dir, async (lock) => {
    const holdsRun = await exists(join(dir, runFile))
    if (holdsRun && !overwrite) {
      throw new AludelError('invalid_option', `${dir}: already holds a run; resume it, choose another directory or remove it first`)
    }
    if (!holdsRun) await checkNothingReplaced(dir)
    await prepareDirectory(dir)
    // the images of an earlier run would pass for those of this one until it has saved its own, and so would its state; the manifest goes first
    for (const name of replaced) {
      await onFile(join(dir, name), () =>
        rm(join(dir, name), { recursive: name === checkpointsDir || name === scoresDirectory, force: true }),
      )
    }
    await writeAtomic(join(dir, runFile), encodeSealed(record))
    return handleOf(dir, record, lock, await openEventLog(join(dir, eventsFile), { fresh: true }))
  })
}

/** Files without a run.json beside them are not those of an earlier run: someone else's are not overwritten. */
async function checkNothingReplaced(dir: string): Promise<void> {
  for (const name of [...replaced, eventsFile]) {
    if (!(await exists(join(dir, name)))) continue
    const todo = 'choose another directory or move it away'
    throw new AludelError('invalid_option', `${dir}: holds ${name} but no ${runFile}, so it is not a run's; ${todo}`)
  }
}

/** Opens an existing run to add to it or to continue it. Throws `not_found`, `invalid_data`, or `locked` when a process works in it. */
export async function reopenRunDir(dir: string): Promise<RunDir> {
  await readRunRecord(dir)
  return underLock(dir, async (lock) => {
    await prepareDirectory(dir)
    return handleOf(dir, await readRunRecord(dir), lock, await openEventLog(join(dir, eventsFile), { fresh: false }))
  })
}

async function underLock<T>(dir: string, use: (lock: RunLock) => Promise<T>): Promise<T> {
  const lock = await lockRun(dir)
  try {
    return await use(lock)
  } catch (error) {
    await lock.release()
    throw error
  }
}

function handleOf(dir: string, initial: RunRecord, lock: RunLock, events: EventLog): RunDir {
  let record = initial
  let closed: Promise<void> | undefined
  const store = checkpointStore(join(dir, checkpointsDir))
  return {
    dir,
    get record() {
      return record
    },
    checkpoints: {
      load: () => store.load(),
      async save(checkpoint) {
        await events.logged(checkpoint.counters.step)
        await events.sync()
        await store.save(checkpoint)
        await addStage(join(dir, stagesFile), checkpoint)
      },
    },
    async update(fields) {
      record = { ...record, ...fields }
      await writeAtomic(join(dir, runFile), encodeSealed(record))
    },
    append: (event) => events.append(event),
    rewind: (position) => events.rewind(position),
    settle: () => events.settle(),
    close() {
      closed ??= events.close().finally(() => lock.release())
      return closed
    },
  }
}

/** Reads run.json. Throws `not_found`, `invalid_data` naming the field that is not what it must be, or `io`. */
export async function readRunRecord(dir: string): Promise<RunRecord> {
  checkPath('run directory', dir)
  const path = join(dir, runFile)
  const text = await readText(path, maxRunBytes, 'give the directory of a run')
  const record = checkRunRecord(path, recordIn(path, text))
  checkSeal(path, text)
  return record
}

function recordIn(path: string, text: string): JsonRecord | undefined {
  try {
    return parseRecord(path, text)
  } catch {
    return undefined
  }
}

/** Events in order. A last line cut short by a crash is left out; a bad line before it is `invalid_data`. Throws `io`. */
export async function readEvents(dir: string): Promise<LoggedEvent[]> {
  checkPath('run directory', dir)
  return readEventLog(join(dir, eventsFile))
}

/** The status of a run; one that says 'running' while no process works in it was interrupted. */
export async function runStatus(dir: string, { status }: RunRecord): Promise<RunStatus | 'interrupted'> {
  return status === 'running' && !(await runOwner(dir)) ? 'interrupted' : status
}

/** Throws `locked` when a process works in the run. */
export async function checkUnlocked(dir: string): Promise<void> {
  const owner = await runOwner(dir)
  if (owner) throw lockedBy(dir, owner)
}

/**
 * The set that a run has saved.
 * @throws AludelError `not_found` when there is none, `invalid_data` when it is damaged or not the one that the run has saved.
 */
export const loadRunSet = (dir: string, record: RunRecord): Promise<SyntheticSet> => loadSaved(dir, record, loadSyntheticSet)

/** As `loadRunSet`, of a run without labels. */
export const loadRunRepresentations = (dir: string, record: RunRecord): Promise<RepresentationSet> =>
  loadSaved(dir, record, loadRepresentationSet)

async function loadSaved<S>(dir: string, { artifact }: RunRecord, load: (dir: string) => Promise<S>): Promise<S> {
  if (!(await exists(join(dir, manifestFile)))) {
    const todo = `finish it with: aludel distill --resume ${dir}`
    throw new AludelError('not_found', `${dir}: the run has no images yet, its ${manifestFile} is missing; ${todo}`)
  }
  const set = await load(dir)
  const received = await manifestHash(dir)
  if (artifact && artifact.manifestSha256 !== received) {
    throw expected('invalid_data', join(dir, manifestFile), `the set that ${runFile} names (sha256 ${artifact.manifestSha256})`, received)
  }
  return set
}
