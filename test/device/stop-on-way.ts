/** @file A run on the command line that a signal stops on its way, and what is then made of it. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'vitest'
import { writeStripes } from '../../scripts/lib/stress.mjs'
import { library } from '../../src/cli/library.js'
import { readEvents } from '../../src/experiment/run-dir.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

const artifact = ['data.safetensors', 'manifest.json', 'preview.png']
const bytesOf = (dir: string) => artifact.map((name) => readFileSync(join(dir, name)).toString('hex'))

/** Sends SIGTERM once `dir` holds a checkpoint; `start` is the run into it, long enough for that. */
export async function stopAtCheckpoint(dir: string, start: () => Promise<{ readonly code: number }>): Promise<void> {
  const timer = setInterval(() => {
    try {
      if (readdirSync(join(dir, 'checkpoints')).length > 0) {
        clearInterval(timer)
        process.emit('SIGTERM')
      }
    } catch {}
  }, 1)
  const { code } = await start()
  clearInterval(timer)
  expect(code).toBe(130)
}

/**
 * A distillation with `settings` that is stopped, then continued by `more` iterations at another number of threads, has the bytes and pruning
 * events of one that nobody touched. Returns how many iterations they have, and how many looks at the effects.
 */
export async function expectEqualAfterStop(settings: readonly string[], more: number): Promise<{ iterations: number; looks: number }> {
  const stripes = writeStripes(freshDir())
  const [stopped, whole] = [join(freshDir(), 'run'), join(freshDir(), 'run')]
  const start = (out: string, iterations: number, ...others: string[]) =>
    run(library, 'distill', '--json', '--data', stripes, '--out', out, ...settings, '--iterations', `${iterations}`, ...others)
  await stopAtCheckpoint(stopped, () => start(stopped, 4000, '--checkpoint-every', '1'))
  const { step } = (await readEvents(stopped)).findLast((event) => event.type === 'step')!
  const iterations = step + more
  expect((await run(library, 'distill', '--json', '--resume', stopped, '--iterations', `${iterations}`, '--threads', '3')).code).toBe(0)
  expect((await start(whole, iterations)).code).toBe(0)
  expect(bytesOf(stopped)).toEqual(bytesOf(whole))
  const pruned = async (dir: string) => (await readEvents(dir)).filter((event) => event.type === 'pruning')
  expect(await pruned(stopped)).toEqual(await pruned(whole))
  return { iterations, looks: (await pruned(whole)).length }
}
