/** @file The event log of runs that continue: no step twice, none lost that the checkpoint knows of. */
import { appendFileSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openEventLog, readEventLog } from '../../../src/experiment/event-log.js'
import type { RunEvent } from '../../../src/experiment/types.js'
import { freshDir } from '../data/fixtures.js'

const start = (step?: number): RunEvent => ({ type: 'start', iterations: 9, classes: 2, config: {}, ...(step !== undefined && { step }) })
const step = (number: number, loss = 1): RunEvent => ({ type: 'step', step: number, iterations: 9, loss, seconds: 0, imagesPerSecond: 1 })
const steps = (from: number, to: number, loss = 1) => Array.from({ length: to - from + 1 }, (_, i) => step(from + i, loss))
const rollback = (to: number, rollbacks: number): RunEvent => ({ type: 'rollback', to, rollbacks, imageLr: 1, reason: 'x' })
const done: RunEvent = { type: 'done', step: 9, iterations: 9, seconds: 1, stopped: false }
const evaluation = { type: 'evaluation', label: 'distilled', epochs: 1, results: [] } as const

async function rewound(events: readonly object[], position: { step: number; rollbacks: number }, tail = ''): Promise<object[]> {
  const path = join(freshDir(), 'events.jsonl')
  writeFileSync(path, events.map((event) => `${JSON.stringify(event)}\n`).join('') + tail)
  const log = await openEventLog(path, { fresh: false })
  await log.rewind(position)
  await log.append(start(position.step))
  await log.close()
  const left = await readEventLog(path)
  expect(left.at(-1)).toEqual(start(position.step))
  return left.slice(0, -1)
}

describe('rewind', () => {
  const at = (number: number, rollbacks = 0) => ({ step: number, rollbacks })

  it.each<[string, object[], { step: number; rollbacks: number }, object[]]>([
    ['drops steps after the checkpoint', [start(), ...steps(1, 7)], at(5), [start(), ...steps(1, 5)]],
    ['drops everything before the first checkpoint', [start(), ...steps(1, 3)], at(0), []],
    ['keeps all of a log that ends at the checkpoint', [start(), ...steps(1, 3)], at(3), [start(), ...steps(1, 3)]],
    ['drops the end of a run that is extended', [start(), ...steps(1, 9), done, evaluation], at(9), [start(), ...steps(1, 9)]],
    [
      'drops a continuation from a later checkpoint, which was damaged',
      [start(), ...steps(1, 5), start(5), ...steps(6, 7)],
      at(3),
      [start(), ...steps(1, 3)],
    ],
    [
      'keeps earlier continuations',
      [start(), ...steps(1, 3), start(3), ...steps(4, 6)],
      at(4),
      [start(), ...steps(1, 3), start(3), step(4)],
    ],
    [
      'keeps a rollback that the checkpoint knows of',
      [start(), ...steps(1, 7), rollback(4, 1), ...steps(5, 8, 2)],
      at(6, 1),
      [start(), ...steps(1, 7), rollback(4, 1), ...steps(5, 6, 2)],
    ],
    [
      'drops a rollback that is yet to come',
      [start(), ...steps(1, 7), rollback(4, 1), ...steps(5, 6, 2)],
      at(6),
      [start(), ...steps(1, 6)],
    ],
    ['drops all of an empty log', [], at(4), []],
  ])('%s', async (_, events, position, left) => {
    expect(await rewound(events, position)).toEqual(left)
    expect(await rewound(events, position, '{"type":"step","st')).toEqual(left)
    expect(await rewound(events, position, '\0\0\0\0\n')).toEqual(left)
    expect(await rewound(events, position, '\n\n')).toEqual(left)
  })
})

describe('logged', () => {
  it('waits for the event of its step, or for the end', async () => {
    const log = await openEventLog(join(freshDir(), 'events.jsonl'), { fresh: true })
    const reached: number[] = []
    const waits = [1, 2, 4].map((n) => log.logged(n).then(() => reached.push(n)))
    await log.logged(0)
    await log.append(step(1))
    await log.append(step(2))
    await Promise.all(waits.slice(0, 2))
    expect(reached).toEqual([1, 2])
    log.settle()
    await Promise.all(waits)
    await log.close()
  })
})

it('a fresh log forgets the one before', async () => {
  const path = join(freshDir(), 'events.jsonl')
  writeFileSync(path, 'old\n')
  const log = await openEventLog(path, { fresh: true })
  appendFileSync(path, '')
  await log.append(done)
  await log.close()
  expect(readFileSync(path, 'utf8')).toBe(`${JSON.stringify(done)}\n`)
})
