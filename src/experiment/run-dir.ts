/** @file A run directory: run.json (settings and state of the run) and events.jsonl (one event a line, in order), beside the artifact. */
import { type FileHandle, open, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkPath, isRecord } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError, onFile } from '../errors.js'
import { prepareDirectory, writeAtomic } from './atomic-file.js'
import { isCount, isNumber } from './json-fields.js'
import { checkRunRecord, type EvaluationRecord, isEvaluation, type RunRecord } from './run-record.js'
import { dataFile, manifestFile, previewFile } from './synthetic-set.js'
import type { RunEvent } from './types.js'

export const runFile = 'run.json'
export const eventsFile = 'events.jsonl'
export { type EvaluationRecord, type Phase, type RunRecord, type RunStatus, runFormat, runVersion } from './run-record.js'

/** Longest run.json, and longest events.jsonl that still is one text. */
const limits = { run: 64 << 20, events: 2 ** 29 - 2 ** 10 }

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
 * @throws AludelError `invalid_option` when the directory already holds a run and `overwrite` is not set, `invalid_data` for a record that
 * could not be read back, `io` when the system refuses.
 */
export async function createRunDir(dir: string, record: RunRecord, { overwrite = false } = {}): Promise<RunDir> {
  checkPath('run directory', dir)
  checkRunRecord(join(dir, runFile), record)
  if (!overwrite && (await exists(join(dir, runFile)))) {
    throw new AludelError('invalid_option', `${dir}: already holds a run; choose another directory or remove it first`)
  }
  await prepareDirectory(dir)
  // the images of an earlier run would pass for those of this one until it has saved its own; the manifest goes first
  for (const name of [manifestFile, dataFile, previewFile, 'report.html']) {
    await onFile(join(dir, name), () => rm(join(dir, name), { force: true }))
  }
  await writeAtomic(join(dir, runFile), encode(record))
  return handleOf(dir, record, await openEvents(dir, 'w'))
}

/** Opens an existing run to add to it. */
export async function reopenRunDir(dir: string): Promise<RunDir> {
  const record = await readRunRecord(dir)
  return handleOf(dir, record, await openEvents(dir, 'a'))
}

const openEvents = (dir: string, flags: string): Promise<FileHandle> =>
  onFile(join(dir, eventsFile), () => open(join(dir, eventsFile), flags))

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
      if (closed) throw new AludelError('disposed', `${dir}: an event came after the run directory was closed`)
      await onFile(join(dir, eventsFile), () => events.appendFile(`${JSON.stringify(event)}\n`))
    },
    async close() {
      if (closed) return
      closed = true
      await onFile(join(dir, eventsFile), () => events.sync()).finally(() => events.close())
    },
  }
}

/** Reads run.json. Throws `not_found`, `invalid_data` naming the field that is not what it must be, or `io`. */
export async function readRunRecord(dir: string): Promise<RunRecord> {
  checkPath('run directory', dir)
  const path = join(dir, runFile)
  return checkRunRecord(path, parseJson(await readText(path, limits.run, 'give the directory of a run')))
}

/** Events in order. A last line cut short by a crash is left out; a bad line before it is `invalid_data`. Throws `io`. */
export async function readEvents(dir: string): Promise<LoggedEvent[]> {
  checkPath('run directory', dir)
  const path = join(dir, eventsFile)
  if (!(await exists(path))) return []
  const lines = (await readText(path, limits.events)).split('\n')
  const complete = lines.slice(0, -1)
  return complete.map((line, i) => {
    const event = parseJson(line)
    if (!isEvent(event)) throw new AludelError('invalid_data', `${path}: line ${i + 1} is not an event`)
    return event
  })
}

/** Events of a kind that is not known here are left to whoever knows them. */
function isEvent(value: unknown): value is LoggedEvent {
  if (!isRecord(value) || typeof value.type !== 'string') return false
  if (value.type === 'step') return isCount(value.step) && (value.loss === null || isNumber(value.loss))
  if (value.type === 'done') return isCount(value.step) && isNumber(value.seconds)
  return value.type !== 'evaluation' || isEvaluation(value)
}

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    return undefined
  }
}
