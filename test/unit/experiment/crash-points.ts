/**
 * @file Crashes between any two file operations: those of node:fs/promises are counted, and from the n-th on none takes effect, as for a
 * process that is gone. A test mocks the module with `crashing` before it imports what writes.
 */
import type { FileHandle } from 'node:fs/promises'
import { expect } from 'vitest'

type Fs = typeof import('node:fs/promises')

export const crash = {
  /** Operations before the crash. */
  left: Number.POSITIVE_INFINITY,
  reason: new Error('crash') as Error & { code?: string },
  /** Names of the operations that were asked for. */
  seen: [] as string[],
}

/** The module with its writing operations counted. Content reaches the disk in two halves: a crash may come between them. */
export function crashing(fs: Fs): Fs {
  const step = (name: string) => {
    crash.seen.push(name)
    if (--crash.left < 0) throw crash.reason
  }
  const counted =
    <A extends unknown[], R>(name: string, act: (...args: A) => Promise<R>) =>
    async (...args: A): Promise<R> => {
      step(name)
      return act(...args)
    }
  async function writeHalves(target: FileHandle | string, content: string | Uint8Array | AsyncIterable<Uint8Array>): Promise<void> {
    if (typeof target === 'string') return fs.writeFile(target, content)
    const pieces =
      typeof content === 'string' || content instanceof Uint8Array
        ? [typeof content === 'string' ? new TextEncoder().encode(content) : content]
        : content
    for await (const piece of pieces) {
      step('write')
      const half = Math.floor(piece.length / 2)
      await target.write(piece.subarray(0, half))
      step('write')
      await target.write(piece.subarray(half))
    }
  }
  const open = counted('open', fs.open)
  return {
    ...fs,
    mkdir: counted('mkdir', fs.mkdir) as Fs['mkdir'],
    rm: counted('rm', fs.rm),
    rename: counted('rename', fs.rename),
    writeFile: writeHalves as Fs['writeFile'],
    async open(...args: Parameters<Fs['open']>) {
      const handle = await open(...args)
      for (const name of ['sync', 'truncate', 'appendFile'] as const) {
        const act = handle[name].bind(handle) as (...values: unknown[]) => Promise<unknown>
        Object.assign(handle, { [name]: counted(name, act) })
      }
      return handle
    },
  }
}

/** Runs `act` with a crash before its n-th operation, for every n until it gets through; `check` looks at what is left each time. */
export async function crashEverywhere<T>(
  prepare: () => Promise<T>,
  act: (prepared: T) => Promise<unknown>,
  check: (prepared: T, finished: boolean) => Promise<void>,
): Promise<number> {
  for (let n = 0; ; n++) {
    const prepared = await prepare()
    crash.left = n
    const finished = await act(prepared).then(
      () => true,
      (error) => {
        expect(error.cause ?? error).toBe(crash.reason)
        return false
      },
    )
    crash.left = Number.POSITIVE_INFINITY
    await check(prepared, finished)
    if (finished) return n
  }
}
