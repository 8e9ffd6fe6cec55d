/** @file What a search will do, before it does it: trainings, operations, time, and whether the largest of its networks fit. */
import { AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import { plannedBytes, totalBytes } from '../plan/planning-device.js'
import { measureRate } from '../plan/rate.js'
import type { NasSource } from './options.js'
import type { Candidate, Search } from './search.js'
import { prepareGroup } from './train-group.js'
import type { Training } from './training.js'

export interface NasPlan {
  /** Networks of the space, and of the sample. */
  readonly architectures: number
  readonly sample: number
  readonly sources: readonly {
    readonly source: NasSource
    /** Trainings to come, and those that the store has. */
    readonly trainings: number
    readonly done: number
    /** Floating-point operations of those to come, from the shapes of the networks. */
    readonly flops: number
    /** By the measured rate: a guide. */
    readonly seconds: number
  }[]
  readonly flops: number
  readonly seconds: number
  /** Bytes that the largest networks take on the device, and the bytes free there. */
  readonly bytes: number
  readonly freeBytes: number
  /** Operations per second of a training step, measured on the network in the middle of the space. */
  readonly flopsPerSecond: number
}

/** What the trainings to come need at most on the device. Throws `out_of_memory` where that is more than is free. */
export async function checkMemory(search: Search): Promise<{ bytes: number; freeBytes: number }> {
  const { device } = search.options
  const { freeBytes } = device
  let bytes = 0
  const turn = new Turn()
  // baselines have the shapes of one of these two
  for (const training of search.trainings.filter(({ source }) => source === 'distilled' || source === 'full')) {
    for (const candidate of largestOf(search, training)) {
      await turn.breathe()
      const needed = bytesOf(search, training, candidate)
      bytes = Math.max(bytes, needed)
      if (needed <= freeBytes) continue
      const what = `nas: '${candidate.architecture.name}' on ${training.source} needs ${needed} bytes but ${freeBytes} are free`
      throw new AludelError('out_of_memory', `${what}; lower the widths, or leave out pooling 'none'`)
    }
  }
  return { bytes, freeBytes }
}

/** Of each norm, the network to come with the largest maps: norms differ in what they keep, an activation apart from its norm keeps twice as much. */
function largestOf({ jobs }: Search, training: Training): Candidate[] {
  const size = ({ cost, architecture }: Candidate) => cost.activations * (architecture.activation === 'relu' ? 1 : 2)
  const largest = new Map<string, Candidate>()
  for (const { candidate, training: of, found } of jobs) {
    if (of !== training || found) continue
    const before = largest.get(candidate.architecture.norm)
    if (!before || size(candidate) > size(before)) largest.set(candidate.architecture.norm, candidate)
  }
  return [...largest.values()]
}

function bytesOf({ options, settings, test }: Search, training: Training, { network, architecture }: Candidate): number {
  const groups = Math.min(training.together, training.repeats)
  const group = { network, training, first: 0, groups, seed: settings.seed }
  try {
    return totalBytes(plannedBytes(options.device, (device) => prepareGroup(device, test, group)))
  } catch (error) {
    if (!(error instanceof AludelError) || error.code !== 'out_of_memory') throw error
    throw new AludelError('out_of_memory', `nas: '${architecture.name}' on ${training.source}: ${error.message}; lower the widths`, {
      cause: error,
    })
  }
}

/** Measures the device for about half a second. */
export async function planSearch(search: Search, memory: { bytes: number; freeBytes: number }): Promise<NasPlan> {
  const { candidates, settings, trainings, jobs, options } = search
  const middle = [...candidates].sort((a, b) => a.cost.flops - b.cost.flops)[candidates.length >> 1]
  const flopsPerSecond = await measureRate(options.device, middle.network)
  const sources = trainings.map((training) => {
    const own = jobs.filter((job) => job.training === training)
    const count = (some: typeof own) => some.reduce((n, { keys }) => n + keys.length, 0)
    const todo = own.filter(({ found }) => !found)
    const flops = todo.reduce((sum, job) => sum + job.flops, 0)
    return { source: training.source, trainings: count(todo), done: count(own) - count(todo), flops, seconds: flops / flopsPerSecond }
  })
  const flops = sources.reduce((sum, one) => sum + one.flops, 0)
  const sizes = { architectures: candidates.length, sample: settings.sample.length }
  return { ...sizes, sources, flops, seconds: flops / flopsPerSecond, ...memory, flopsPerSecond }
}
