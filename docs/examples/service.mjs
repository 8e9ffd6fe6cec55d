/**
 * @file A service that distils on request: node docs/examples/service.mjs [PORT] [DATA]
 *
 *   POST   /runs               { "method": "dm", "ipc": 1, "iterations": 100 }  ->  201 { "id": "1" }
 *   GET    /runs/1/events      server-sent events: start, step, …, done or error
 *   GET    /runs/1/preview.png the images, when the run is done
 *   DELETE /runs/1             aborts it
 *
 * One device serves all runs: their steps take turns on its thread, and the event loop stays free for requests.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { createServer } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { AludelError, distill, openDataset, openDevice } from 'aludel'

const [port = '8080', data = 'fashion-mnist'] = process.argv.slice(2)
const maxBodyBytes = 10_000

const device = await openDevice()
const train = await openDataset(data, 'train')
const folder = await mkdtemp(join(tmpdir(), 'distillations-'))
const runs = new Map()

class HttpError extends Error {
  constructor(status, message) {
    super(message)
    this.status = status
  }
}

async function readJson(request) {
  const chunks = []
  let bytes = 0
  for await (const chunk of request) {
    bytes += chunk.length
    if (bytes > maxBodyBytes) throw new HttpError(413, `expected at most ${maxBodyBytes} bytes`)
    chunks.push(chunk)
  }
  try {
    return JSON.parse(Buffer.concat(chunks).toString('utf8'))
  } catch {
    throw new HttpError(400, 'expected a JSON object of settings')
  }
}

/** Settings are checked by `distill` itself: what it throws says what was expected and what came. */
function start(settings) {
  if (typeof settings !== 'object' || settings === null) throw new HttpError(400, 'expected a JSON object of settings')
  const { method, ipc, iterations, seed } = settings
  const id = String(runs.size + 1)
  const abort = new AbortController()
  const run = distill(train, {
    method,
    ipc,
    ...(iterations !== undefined && { iterations }),
    ...(seed !== undefined && { seed }),
    device,
    signal: abort.signal,
  })
  const dir = join(folder, id)
  const saved = run.result.then((set) => set.save(dir))
  saved.catch(() => {}) // readers of the events hear of it
  runs.set(id, { run, abort, dir, saved })
  return id
}

/** Every reader gets what happens from now on; the first one from the start. A reader that goes away leaves the run alone. */
async function sendEvents({ run, saved }, response) {
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  const send = (type, value) => response.write(`event: ${type}\ndata: ${JSON.stringify(value)}\n\n`)
  try {
    for await (const { type, plans, ...event } of run) {
      if (response.destroyed) return
      if (type === 'done') await saved
      send(type, event)
    }
  } catch (error) {
    send('error', { code: error.code ?? 'internal', message: error.message })
  }
  response.end()
}

async function answer(request, response) {
  const [, collection, id, what] = new URL(request.url, 'http://localhost').pathname.split('/')
  if (collection !== 'runs') throw new HttpError(404, 'expected a path below /runs')
  if (request.method === 'POST' && id === undefined) {
    const created = start(await readJson(request))
    return response.writeHead(201, { 'content-type': 'application/json' }).end(JSON.stringify({ id: created }))
  }
  const entry = runs.get(id)
  if (!entry) throw new HttpError(404, `no run '${id}'`)
  if (request.method === 'DELETE' && what === undefined) {
    entry.abort.abort()
    return response.writeHead(204).end()
  }
  if (request.method === 'GET' && what === 'events') return sendEvents(entry, response)
  if (request.method === 'GET' && what === 'preview.png') {
    await entry.saved
    return response.writeHead(200, { 'content-type': 'image/png' }).end(await readFile(join(entry.dir, 'preview.png')))
  }
  throw new HttpError(405, `${request.method} is not known here`)
}

/** A user's mistakes are 4xx, whatever else goes wrong is 500. */
const statusOf = (error) =>
  error.status ?? (error instanceof AludelError && ['invalid_option', 'not_found'].includes(error.code) ? 400 : error.code === 'aborted' ? 410 : 500)

const server = createServer((request, response) => {
  answer(request, response).catch((error) => {
    if (response.headersSent) return response.destroy()
    const body = JSON.stringify({ error: { code: error.code ?? 'http', message: error.message } })
    response.writeHead(statusOf(error), { 'content-type': 'application/json' }).end(body)
  })
})

/** Runs end at their next step, then the device closes: nothing is left behind. */
async function shutDown() {
  server.close()
  for (const { abort } of runs.values()) abort.abort()
  await Promise.allSettled([...runs.values()].map(({ saved }) => saved))
  await device.close()
  await rm(folder, { recursive: true, force: true })
}
for (const signal of ['SIGINT', 'SIGTERM']) process.once(signal, shutDown)

server.listen(Number(port), '127.0.0.1', () => console.log(`listening on http://127.0.0.1:${server.address().port}`))
