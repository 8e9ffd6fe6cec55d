/** @file Readers of a run's events: early, late, slow, and after a failure. */
import { expect, it } from 'vitest'
import { EventStream } from '../../../src/distill/events.js'
import type { RunEvent } from '../../../src/experiment/types.js'

const start: RunEvent = { type: 'start', iterations: 3, classes: 2, config: {} }
const step = (n: number): RunEvent => ({ type: 'step', step: n, iterations: 3, loss: n, seconds: n, imagesPerSecond: 1 })
const done: RunEvent = { type: 'done', step: 3, iterations: 3, seconds: 3, stopped: false }

async function types(stream: AsyncIterable<RunEvent>): Promise<string[]> {
  const seen: string[] = []
  for await (const event of stream) seen.push(event.type === 'step' ? `step ${event.step}` : event.type)
  return seen
}

it('keeps everything for the first reader, who may come after the end', async () => {
  const stream = new EventStream()
  for (const event of [start, step(1), step(2), step(3)]) stream.push(event)
  stream.end({ last: done })
  expect(await types(stream)).toEqual(['start', 'step 1', 'step 2', 'step 3', 'done'])
  expect(await types(stream)).toEqual(['start', 'done'])
})

it('drops the oldest steps of a slow reader, never the start or the end', async () => {
  const stream = new EventStream()
  stream.push(start)
  for (let n = 1; n <= 1000; n++) stream.push(step(n))
  stream.end({ last: done })
  const seen = await types(stream)
  expect([seen[0], seen.at(-2), seen.at(-1)]).toEqual(['start', 'step 1000', 'done'])
  expect(seen.length).toBeLessThanOrEqual(256)
})

it('rejects once with the error that ended the run', async () => {
  const stream = new EventStream()
  stream.push(start)
  stream.end({ error: new Error('no memory') })
  await expect(types(stream)).rejects.toThrow('no memory')
})
