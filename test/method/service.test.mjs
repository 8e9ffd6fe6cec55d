/** @file The example service as a client sees it: progress as events, images, refusals, an abort, a clean end. */
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { createInterface } from 'node:readline'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'

const script = fileURLToPath(new URL('../../docs/examples/service.mjs', import.meta.url))

let service
let address
let stderr = ''
beforeAll(async () => {
  service = spawn(process.execPath, [script, '0'])
  service.stderr.on('data', (chunk) => {
    stderr += chunk
  })
  const [line] = await once(createInterface({ input: service.stdout }), 'line')
  address = /http:\S+/.exec(line)[0]
})
afterAll(() => service.kill('SIGKILL'))

const post = (settings) =>
  fetch(`${address}/runs`, { method: 'POST', body: typeof settings === 'string' ? settings : JSON.stringify(settings) })

/** All events of a run, [type, value]. */
async function eventsOf(id) {
  const response = await fetch(`${address}/runs/${id}/events`)
  expect(response.headers.get('content-type')).toBe('text/event-stream')
  const text = await response.text()
  return text
    .trim()
    .split('\n\n')
    .map((block) => /^event: (\w+)\ndata: (.*)$/s.exec(block).slice(1))
    .map(([type, data]) => [type, JSON.parse(data)])
}

describe('the service', () => {
  it('tells the progress of a run and hands out its images', async () => {
    const response = await post({ method: 'dm', ipc: 1, iterations: 2 })
    expect(response.status).toBe(201)
    const { id } = await response.json()
    const events = await eventsOf(id)
    expect(events.map(([type]) => type)).toEqual(['start', 'step', 'step', 'done'])
    expect(events[2][1]).toMatchObject({ step: 2, iterations: 2 })
    const preview = await fetch(`${address}/runs/${id}/preview.png`)
    expect(preview.headers.get('content-type')).toBe('image/png')
    expect(new Uint8Array(await preview.arrayBuffer()).slice(1, 4)).toEqual(new Uint8Array([0x50, 0x4e, 0x47]))
  })

  it.each([
    ['an unknown method', { method: 'dx', ipc: 1 }, 400, 'not_found'],
    ['an ipc of 0', { method: 'dm', ipc: 0 }, 400, 'invalid_option'],
    ['no JSON', '{', 400, 'http'],
    ['JSON that is no object', 'null', 400, 'http'],
    ['too long a body', ' '.repeat(20_000), 413, 'http'],
  ])('refuses %s', async (_, settings, status, code) => {
    const response = await post(settings)
    expect(response.status).toBe(status)
    expect((await response.json()).error.code).toBe(code)
  })

  it('aborts a run on request and goes on serving', async () => {
    const { id } = await (await post({ method: 'dm', ipc: 1, iterations: 100_000 })).json()
    const events = eventsOf(id)
    expect((await fetch(`${address}/runs/${id}`, { method: 'DELETE' })).status).toBe(204)
    expect((await events).at(-1)).toEqual(['error', expect.objectContaining({ code: 'aborted' })])
    expect((await fetch(`${address}/runs/${id}/preview.png`)).status).toBe(410)
    expect((await fetch(`${address}/runs/none/events`)).status).toBe(404)
  })

  it('ends cleanly in the middle of a run', async () => {
    await post({ method: 'dm', ipc: 1, iterations: 100_000 })
    service.kill('SIGTERM')
    expect(await once(service, 'close')).toEqual([0, null])
    expect(stderr).toBe('')
  })
})
