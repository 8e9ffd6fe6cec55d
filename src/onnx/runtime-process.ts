/** @file ONNX Runtime in a process of its own: started when it is needed, one request at a time, ended with what waits for it. */
import { type ChildProcess, fork } from 'node:child_process'
import { createRequire } from 'node:module'
import { join } from 'node:path'
import { AbortError, AludelError } from '../errors.js'
import { packageRequire, packageRoot } from '../package-root.js'
import type { LoadRequest, OpenReply, Reply, RequestBody, RunReply, RunRequest, SessionReply } from './protocol.js'

/** Bytes of one message: what a turn of the event loop can copy. */
const pieceBytes = 1 << 20
/** Characters of the process's last words that an error repeats. */
const shownWords = 400

/** Path of onnxruntime-node as this package or the program that runs would load it; undefined when it is not installed. */
export function runtimePath(): string | undefined {
  for (const require of [packageRequire, createRequire(join(process.cwd(), 'package.json'))]) {
    try {
      return require.resolve('onnxruntime-node')
    } catch {
      // the next place
    }
  }
  return undefined
}

/** Throws `unavailable` when onnxruntime-node is not installed. */
export function requiredRuntime(): string {
  const path = runtimePath()
  if (path !== undefined) return path
  throw new AludelError(
    'unavailable',
    'onnxruntime-node is not installed, and ONNX models run in it; install it with `npm install --ignore-scripts onnxruntime-node` ' +
      '(its script downloads CUDA libraries, the CPU needs none)',
  )
}

interface Waiting {
  readonly resolve: (value: unknown) => void
  readonly reject: (error: unknown) => void
}

/** What the runtime says of a request that it could not do: the model's fault. */
export class RuntimeRefusal extends Error {}

/** Runs `action`; what the runtime refuses of the model named `path` is `invalid_data`. */
export async function refusing<T>(path: string, what: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (!(cause instanceof RuntimeRefusal)) throw cause
    throw new AludelError('invalid_data', `${path}: ONNX Runtime could not ${what} it: ${cause.message}`, { cause })
  }
}

export class RuntimeProcess {
  readonly #child: ChildProcess
  readonly #waiting = new Map<number, Waiting>()
  #next = 0
  #sessions = 0
  #words = ''
  #ended: Error | undefined
  #about: OpenReply = { version: '', providers: [] }

  private constructor() {
    this.#child = fork(join(packageRoot, 'dist', 'onnx', 'child.js'), [], {
      serialization: 'advanced',
      execArgv: [],
      stdio: ['ignore', 'ignore', 'pipe', 'ipc'],
    })
    this.#child.stderr?.on('data', (chunk) => {
      this.#words = `${this.#words}${chunk}`.slice(-shownWords)
    })
    this.#child.on('message', (reply: Reply) => this.#settle(reply))
    this.#child.on('error', (cause) => this.#end(new AludelError('unavailable', `ONNX Runtime's process: ${cause.message}`, { cause })))
    this.#child.on('exit', (code, signal) => {
      const words = this.#words.trim()
      const how = signal === null ? `exit code ${code}` : signal
      this.#end(new RuntimeRefusal(`the process of ONNX Runtime ended (${how})${words ? `: ${words}` : ''}`))
    })
    this.#idle()
  }

  /** Starts the process and loads ONNX Runtime in it. Throws `unavailable` when that is absent or does not load. */
  static async open(): Promise<RuntimeProcess> {
    const runtime = requiredRuntime()
    const started = new RuntimeProcess()
    try {
      started.#about = (await started.#ask({ type: 'open', runtime })) as OpenReply
      return started
    } catch (cause) {
      started.close()
      throw new AludelError('unavailable', `onnxruntime-node at ${runtime} does not load: ${(cause as Error).message}`, { cause })
    }
  }

  /** Of ONNX Runtime. */
  get version(): string {
    return this.#about.version
  }

  /** Execution providers that are there, such as cpu and cuda. */
  get providers(): readonly string[] {
    return this.#about.providers
  }

  /** Of the process that ONNX Runtime runs in. */
  get pid(): number | undefined {
    return this.#child.pid
  }

  /** Loads a model and returns its number. Throws RuntimeRefusal when the runtime does not take it. */
  async load(model: Uint8Array, options: Omit<LoadRequest, 'type' | 'session'>): Promise<{ session: number } & SessionReply> {
    for (let from = 0; from < model.length; from += pieceBytes) {
      await this.#ask({ type: 'piece', bytes: model.subarray(from, from + pieceBytes) })
    }
    const session = this.#sessions++
    const reply = (await this.#ask({ type: 'load', session, ...options })) as SessionReply
    return { session, ...reply }
  }

  /** The session's outputs, each row after row. */
  run(request: Omit<RunRequest, 'type'>): Promise<RunReply> {
    return this.#ask({ type: 'run', ...request }) as Promise<RunReply>
  }

  /** Resident bytes of the process. */
  memory(): Promise<number> {
    return this.#ask({ type: 'memory' }) as Promise<number>
  }

  async unload(session: number): Promise<void> {
    if (!this.#ended) await this.#ask({ type: 'unload', session })
  }

  /** Runs `action` and ends the process at once when the signal aborts: a model that never ends is no reason to wait. */
  async abortable<T>(signal: AbortSignal | undefined, action: () => Promise<T>): Promise<T> {
    const abort = () => this.#end(new AbortError(signal?.reason))
    if (signal?.aborted) throw new AbortError(signal.reason)
    signal?.addEventListener('abort', abort)
    try {
      return await action()
    } finally {
      signal?.removeEventListener('abort', abort)
    }
  }

  /** Ends the process; what waits for it is rejected. Twice is silent. */
  close(): void {
    this.#end(new AludelError('disposed', 'ONNX Runtime was closed'))
  }

  #ask(body: RequestBody): Promise<unknown> {
    if (this.#ended) return Promise.reject(this.#ended)
    const id = this.#next++
    this.#child.ref()
    this.#child.channel?.ref()
    return new Promise((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject })
      // What cannot be written to has ended, or is of no use any more: its exit, which says how it ended, answers everything that waits.
      this.#child.send({ id, ...body }, (error) => {
        if (error) this.#child.kill('SIGKILL')
      })
    })
  }

  #settle({ id, value, error }: Reply): void {
    const waiting = this.#waiting.get(id)
    this.#waiting.delete(id)
    if (this.#waiting.size === 0) this.#idle()
    if (error === undefined) waiting?.resolve(value)
    else waiting?.reject(new RuntimeRefusal(error))
  }

  /** A process that nobody waits for keeps no program alive. */
  #idle(): void {
    if (this.#waiting.size > 0) return
    this.#child.unref()
    this.#child.channel?.unref()
  }

  #end(reason: Error): void {
    if (this.#ended) return
    this.#ended = reason
    this.#child.kill('SIGKILL')
    for (const { reject } of this.#waiting.values()) reject(reason)
    this.#waiting.clear()
    this.#idle()
  }
}
