/**
 * @file The process that ONNX Runtime runs in, as its own entry: what a stranger's model does to the runtime ends this process and no other,
 * and its calls, which block, block no event loop. Speaks the messages of protocol.ts; ends when its parent does.
 */
import { readdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { InferenceSession, Tensor } from 'onnxruntime-node'
import { packageRequire } from '../package-root.js'
import type { LoadRequest, OpenReply, Reply, Request, RunReply, RunRequest, SessionReply } from './protocol.js'

/** The part of onnxruntime-node in use. */
interface Runtime {
  readonly InferenceSession: typeof InferenceSession
  readonly Tensor: typeof Tensor
  readonly env: { readonly versions: { readonly node?: string; readonly common: string } }
  listSupportedBackends(): readonly { readonly name: string; readonly bundled: boolean }[]
}

let runtime: Runtime | undefined
let pieces: Uint8Array[] = []
const sessions = new Map<number, Pick<LoadRequest, 'input' | 'outputs' | 'batch'> & { readonly session: InferenceSession }>()

const send = (reply: Reply): void => {
  process.send?.(reply)
}

async function handle(request: Request): Promise<OpenReply | SessionReply | RunReply | number | undefined> {
  switch (request.type) {
    case 'open':
      runtime = packageRequire(request.runtime) as Runtime
      return { version: runtime.env.versions.node ?? runtime.env.versions.common, providers: providersOf(runtime, request.runtime) }
    case 'piece':
      pieces.push(request.bytes)
      return undefined
    case 'load':
      return load(request)
    case 'run':
      return run(request)
    case 'memory':
      return process.memoryUsage.rss()
    case 'unload':
      await sessions.get(request.session)?.session.release()
      sessions.delete(request.session)
      return undefined
  }
}

/** The runtime also names providers whose libraries were not installed. */
function providersOf({ listSupportedBackends }: Runtime, path: string): string[] {
  let beside: string[] = []
  try {
    beside = readdirSync(join(path, '..', '..', 'bin'), { recursive: true }) as string[]
  } catch {
    // another layout: what is built in is known all the same
  }
  const isThere = (name: string) => beside.some((file) => file.includes(`onnxruntime_providers_${name}.`))
  return listSupportedBackends()
    .filter(({ name, bundled }) => bundled || isThere(name))
    .map(({ name }) => name)
}

const opened = (): Runtime => {
  if (!runtime) throw new Error('a request came before the runtime was opened')
  return runtime
}

async function load({ session: id, threads, input, outputs, batch, provider }: LoadRequest): Promise<SessionReply> {
  const model = Buffer.concat(pieces)
  pieces = []
  const create = (providers: string[]) =>
    opened().InferenceSession.create(new Uint8Array(model.buffer, model.byteOffset, model.length), {
      executionProviders: providers,
      intraOpNumThreads: threads,
      interOpNumThreads: 1,
      executionMode: 'sequential',
      logSeverityLevel: 4,
      // A pool that spins takes the cores from whoever computes next.
      extra: { session: { intra_op: { allow_spinning: '0' }, inter_op: { allow_spinning: '0' } } },
    })
  const withCuda =
    provider !== 'cpu' &&
    opened()
      .listSupportedBackends()
      .some(({ name }) => name === 'cuda')
  const [session, used] = withCuda
    ? await create(['cuda']).then(
        (made) => [made, 'cuda'] as const,
        async () => [await create(['cpu']), 'cpu'] as const,
      )
    : [await create(['cpu']), 'cpu' as const]
  sessions.set(id, { session, input, outputs, batch })
  return { provider: used }
}

/** Outputs of some images, NHWC, row after row. A model with a batch of its own gets its batches, the last one filled up with zeros. */
async function run({ session: id, images, shape, scale, shift }: RunRequest): Promise<RunReply> {
  const found = sessions.get(id)
  if (!found) throw new Error('a request came for a session that is not loaded')
  const { session, input, outputs, batch } = found
  const [rows, height, width, channels] = shape
  const size = batch ?? rows
  const pixels = height * width * channels
  const rowsOf = new Map<string, Float32Array>()
  for (let first = 0; first < rows; first += size) {
    const some = images.subarray(first * pixels, Math.min(rows, first + size) * pixels)
    const x = normalised(some, [size, height, width, channels], scale, shift)
    const results = await session.run({ [input]: new (opened().Tensor)('float32', x, [size, channels, height, width]) }, outputs)
    for (const output of outputs) {
      const { data, type } = results[output]
      if (type !== 'float32') throw new Error(`output '${output}' is ${type}, not float32`)
      const values = data as Float32Array
      const perRow = values.length / size
      if (!Number.isInteger(perRow)) throw new Error(`output '${output}' has ${values.length} elements for ${size} images`)
      const all = rowsOf.get(output) ?? new Float32Array(rows * perRow)
      all.set(values.subarray(0, Math.min(size, rows - first) * perRow), first * perRow)
      rowsOf.set(output, all)
    }
  }
  return outputs.map((output) => rowsOf.get(output) ?? new Float32Array(0))
}

/** NHWC pixels to NCHW floats u * scale + shift, per channel. */
function normalised(
  images: RunRequest['images'],
  [rows, height, width, channels]: RunRequest['shape'],
  scale: Float32Array,
  shift: Float32Array,
) {
  const pixels = height * width
  const x = new Float32Array(rows * pixels * channels)
  for (let row = 0; row < rows; row++) {
    if ((row + 1) * pixels * channels > images.length) break
    for (let c = 0; c < channels; c++) {
      const [a, b] = [scale[c], shift[c]]
      const to = (row * channels + c) * pixels
      let from = row * pixels * channels + c
      for (let p = 0; p < pixels; p++, from += channels) x[to + p] = images[from] * a + b
    }
  }
  return x
}

process.on('message', (request: Request) => {
  handle(request).then(
    (value) => send({ id: request.id, value }),
    (error) => send({ id: request.id, error: error instanceof Error ? error.message : String(error) }),
  )
})
// A model may ask for all the memory there is; should the system have to end a process for it, then this one. Only Linux has the file.
try {
  writeFileSync('/proc/self/oom_score_adj', '1000')
} catch {
  // elsewhere the system chooses
}
process.on('disconnect', () => process.exit(0))
// A terminal sends ctrl-c to every process of the group; the parent decides what it means.
process.on('SIGINT', () => undefined)
