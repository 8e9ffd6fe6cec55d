/** @file A run directory: run.json (settings and state of the run) and events.jsonl (one event a line, in order), beside the artifact. */
import { type FileHandle, open, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { exists } from '../data/file-bytes.js'
import { AludelError } from '../errors.js'
import { prepareDirectory, writeAtomic } from './atomic-file.js'
import { dataFile, manifestFile, previewFile } from './synthetic-set.js'
import type { EvaluationResult, RunConfig, RunEvent } from './types.js'

export const runFile = 'run.json'
export const eventsFile = 'events.jsonl'
export const runFormat = 'aludel-run'
export const runVersion = 1

export type RunStatus = 'running' | 'done' | 'stopped' | 'failed'

export interface Phase {
  readonly name: string
  readonly seconds: number
  /** Largest resident size of the process up to the phase's end. */
  readonly peakBytes: number
}

/** A list of accuracies under a heading such as 'distilled' or 'random real images'. */
export interface EvaluationRecord {
  readonly label: string
  readonly epochs: number | null
  readonly results: readonly EvaluationResult[]
}

export interface RunRecord {
  readonly format: typeof runFormat
  readonly version: typeof runVersion
  readonly status: RunStatus
  /** As given by the user, resolved settings are added when the run has started. */
  readonly config: RunConfig
  readonly data: { readonly specification: string; readonly name: string; readonly sha256: string; readonly images: number }
  readonly versions: Readonly<Record<string, string>>
  readonly host: Readonly<Record<string, string | number>>
  /** ISO 8601, UTC. */
  readonly started: string
  readonly finished: string | null
  readonly error: string | null
  readonly evaluations: readonly EvaluationRecord[]
  /** What was done, in order, with its time and memory. */
  readonly phases?: readonly Phase[]
  /** The command lines that made the run what it is, in order. */
  readonly commands?: readonly string[]
}

export type LoggedEvent = RunEvent | ({ readonly type: 'evaluation' } & EvaluationRecord)

export interface RunDir {
  readonly dir: string
  readonly record: RunRecord
  /** Changes fields of run.json, atomically. */
  update(fields: Partial<Omit<RunRecord, 'format' | 'version'>>): Promise<void>
  /** Appends an event; durable once `close` has returned. */
  append(event: LoggedEvent): Promise<void>
  close(): Promise<void>
}

/**
 * Creates `dir` and its run.json.
 * @throws AludelError `invalid_option` when the directory already holds a run and `overwrite` is not set.
 */
export async function createRunDir(dir: string, record: RunRecord, { overwrite = false } = {}): Promise<RunDir> {
  if (!overwrite && (await exists(join(dir, runFile)))) {
    throw new AludelError('invalid_option', `${dir}: already holds a run; choose another directory or remove it first`)
  }
  await prepareDirectory(dir)
  // the images of an earlier run would pass for those of this one until it has saved its own; the manifest goes first
  for (const name of [manifestFile, dataFile, previewFile, 'report.html']) await rm(join(dir, name), { force: true })
  await writeAtomic(join(dir, runFile), encode(record))
  return handleOf(dir, record, await open(join(dir, eventsFile), 'w'))
}

/** Opens an existing run to add to it. */
export async function reopenRunDir(dir: string): Promise<RunDir> {
  const record = await readRunRecord(dir)
  return handleOf(dir, record, await open(join(dir, eventsFile), 'a'))
}

const encode = (record: RunRecord): string => `${JSON.stringify(record, null, 2)}\n`

function handleOf(dir: string, initial: RunRecord, events: FileHandle): RunDir {
  let record = initial
  let closed = false
  return {
    dir,
    get record() {
      return record
    },
    async update(fields) {
      record = { ...record, ...fields }
      await writeAtomic(join(dir, runFile), encode(record))
    },
    append: async (event) => {
      await events.appendFile(`${JSON.stringify(event)}\n`)
    },
    async close() {
      if (closed) return
      closed = true
      await events.sync()
      await events.close()
    },
  }
}

/** Reads run.json. Throws `not_found` or `invalid_data`. */
export async function readRunRecord(dir: string): Promise<RunRecord> {
  const path = join(dir, runFile)
  const text = await readFile(path, 'utf8').catch((cause) => {
    throw new AludelError('not_found', `${path}: no readable file (${cause.code}); give the directory of a run`, { cause })
  })
  const record = parseJson(text) as Partial<RunRecord> | undefined
  if (record?.format !== runFormat || record.version !== runVersion || !Array.isArray(record.evaluations)) {
    throw new AludelError('invalid_data', `${path}: expected a run record (format '${runFormat}', version ${runVersion})`)
  }
  return record as RunRecord
}

/** Events in order. A last line cut short by a crash is left out; a bad line before it is `invalid_data`. */
export async function readEvents(dir: string): Promise<LoggedEvent[]> {
  const path = join(dir, eventsFile)
  if (!(await exists(path))) return []
  const lines = (await readFile(path, 'utf8')).split('\n')
  const complete = lines.slice(0, -1)
  return complete.map((line, i) => {
    const event = parseJson(line) as LoggedEvent | undefined
    if (typeof event !== 'object' || event === null || typeof event.type !== 'string') {
      throw new AludelError('invalid_data', `${path}: line ${i + 1} is not an event`)
    }
    return event
  })
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
