/** @file events.jsonl: one event a line, in order, appended while a run goes on; cut back where a run continues from an earlier step. */
import { type FileHandle, open, readFile } from 'node:fs/promises'
import { isRecord } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError, onFile } from '../errors.js'
import { isCount, isNumber } from './json-fields.js'
import { type EvaluationRecord, isEvaluation } from './run-record.js'
import type { RunEvent } from './types.js'

/** Longest log that still is one text. */
const maxBytes = 2 ** 29 - 2 ** 10

export type LoggedEvent = RunEvent | ({ readonly type: 'evaluation' } & EvaluationRecord)

/** Where a run stands: steps completed and rollbacks made. */
export interface LogPosition {
  readonly step: number
  readonly rollbacks: number
}

export interface EventLog {
  /** Appends an event; durable after `sync` or `close`. */
  append(event: LoggedEvent): Promise<void>
  /** Drops what a run that continues from `position` will write again, and a last line cut short. */
  rewind(position: LogPosition): Promise<void>
  /** Resolves when the event of `step` has been appended, or no more will be. */
  logged(step: number): Promise<void>
  /** Says that no more steps will come. */
  settle(): void
  sync(): Promise<void>
  close(): Promise<void>
}

/** Opens a log to append to it; `fresh` empties it. */
export async function openEventLog(path: string, { fresh }: { readonly fresh: boolean }): Promise<EventLog> {
  const file = await onFile(path, () => open(path, 'a'))
  try {
    if (fresh && (await file.stat()).size > 0) await file.truncate(0)
  } catch (error) {
    await file.close()
    throw error
  }
  let lastStep = 0
  let settled = false
  let closed = false
  const waiting = new Set<{ readonly step: number; readonly resolve: () => void }>()
  const wake = () => {
    for (const waiter of waiting) {
      if (!settled && waiter.step > lastStep) continue
      waiting.delete(waiter)
      waiter.resolve()
    }
  }
  return {
    async append(event) {
      if (closed) throw new AludelError('disposed', `${path}: an event came after the run directory was closed`)
      await onFile(path, () => file.appendFile(`${JSON.stringify(event)}\n`))
      if (event.type === 'step') lastStep = event.step
      else if (event.type === 'rollback') lastStep = event.to
      wake()
    },
    async rewind(position) {
      await file.truncate(keptBytes(await readFile(path), position))
      lastStep = position.step
    },
    logged: (step) =>
      new Promise((resolve) => {
        waiting.add({ step, resolve })
        wake()
      }),
    settle() {
      settled = true
      wake()
    },
    sync: () => onFile(path, () => file.sync()),
    close() {
      closed = true
      return onFile(path, () => closeDurably(file))
    },
  }
}

async function closeDurably(file: FileHandle): Promise<void> {
  try {
    await file.sync()
  } finally {
    await file.close()
  }
}

const newline = 10

/** Bytes of the lines that stay: none after a rollback that is yet to come, and no step at the end that is yet to come. */
function keptBytes(text: Buffer, { step, rollbacks }: LogPosition): number {
  if (step === 0) return 0
  let end = text.lastIndexOf(newline) + 1
  for (let at = text.indexOf('"type":"rollback"'); at >= 0; at = text.indexOf('"type":"rollback"', at + 1)) {
    const start = text.lastIndexOf(newline, at) + 1
    const event = parseEvent(text.toString('utf8', start, text.indexOf(newline, at)))
    if (event?.type === 'rollback' && event.rollbacks > rollbacks) {
      end = Math.min(end, start)
      break
    }
  }
  while (end > 0) {
    const start = end < 2 ? 0 : text.lastIndexOf(newline, end - 2) + 1
    if (staysAt(step, parseEvent(text.toString('utf8', start, end - 1)))) break
    end = start
  }
  return end
}

function staysAt(step: number, event: LoggedEvent | undefined): boolean {
  switch (event?.type) {
    case 'start':
      return (event.step ?? 0) <= step
    case 'step':
    case 'pruning':
      return event.step <= step
    case 'rollback':
      return event.to <= step
    default:
      // what an ended run says of its end, and lines that a crash of the system has damaged
      return false
  }
}

function parseEvent(text: string): LoggedEvent | undefined {
  try {
    const event: unknown = JSON.parse(text)
    return isEvent(event) ? event : undefined
  } catch {
    return undefined
  }
}

const optionalNumber = (value: unknown): boolean => value === undefined || isNumber(value)

/** Events of a kind that is not known here are left to whoever knows them. */
function isEvent(value: unknown): value is LoggedEvent {
  if (!isRecord(value) || typeof value.type !== 'string') return false
  if (value.type === 'step')
    return isCount(value.step) && (value.loss === null || isNumber(value.loss)) && optionalNumber(value.learningRate)
  if (value.type === 'done') return isCount(value.step) && isNumber(value.seconds)
  if (value.type === 'pruning') return isCount(value.step) && isCount(value.drawn) && isCount(value.used)
  if (value.type === 'rollback') return isCount(value.to) && isCount(value.rollbacks)
  return value.type !== 'evaluation' || isEvaluation(value)
}

/** Events in order. A last line cut short by a crash is left out; a bad line before it is `invalid_data`. Throws `io`. */
export async function readEventLog(path: string): Promise<LoggedEvent[]> {
  if (!(await exists(path))) return []
  const lines = (await readText(path, maxBytes)).split('\n')
  const complete = lines.slice(0, -1)
  return complete.map((line, i) => {
    const event = parseEvent(line)
    if (event === undefined) throw new AludelError('invalid_data', `${path}: line ${i + 1} is not an event`)
    return event
  })
}
