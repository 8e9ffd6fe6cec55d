/** @file Real batches that follow a data schedule: those of an iteration are drawn from the rows of its epoch. */
import { wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { createSampler, type Sampler } from '../data/sampler.js'
import { purpose } from '../engine/tensor/key.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { DistillOptions, RunConfig } from '../experiment/types.js'
import { checkDataSchedule, type DataSchedule } from '../schedule/data-schedule.js'
import type { Method } from './method.js'
import type { ResolvedSettings } from './settings.js'

/** A schedule of a run, whose stages are counted in iterations. */
export interface RunSchedule {
  readonly data: DataSchedule
  /** Iterations of one of its epochs. */
  readonly every: number
}

/** Epochs that a run has where nobody says: those that the published rules are made for. */
const usualEpochs = 100

/** Throws `invalid_option` for what is no schedule, and where nothing is drawn by one. */
export function resolveSchedule(
  { schedule, scheduleEvery }: Pick<DistillOptions, 'schedule' | 'scheduleEvery'>,
  { method, iterations, dynamic }: { readonly method: Method; readonly iterations: number; readonly dynamic: boolean },
): RunSchedule | undefined {
  if (schedule === undefined) {
    if (scheduleEvery !== undefined) throw expected('invalid_option', 'scheduleEvery', 'a schedule beside it', scheduleEvery)
    return undefined
  }
  if ('trajectory' in method) {
    const why = `${method.name} takes no real images in its steps; it is the experts that follow a schedule (aludel experts --schedule)`
    throw new AludelError('invalid_option', `schedule: ${why}`)
  }
  if ('regression' in method)
    throw new AludelError('invalid_option', `schedule: ${method.name} draws its real images from all of them; choose a part with a subset`)
  if (dynamic) throw new AludelError('invalid_option', 'schedule: dynamic pruning chooses among the samples too; leave one of the two out')
  checkDataSchedule('schedule', schedule)
  return { data: schedule, every: wholeNumber('scheduleEvery', scheduleEvery ?? Math.ceil(iterations / usualEpochs)) }
}

/** The schedule as a part of what a run is. */
export function scheduleConfig({ data, every }: RunSchedule): RunConfig {
  const named = Object.entries(data.config).map(([name, value]) => [`schedule${name[0].toUpperCase()}${name.slice(1)}`, value])
  return { schedule: data.name, scheduleEvery: every, ...Object.fromEntries(named) }
}

/** Rows of each class in an epoch, ascending. Throws `invalid_option` for an epoch whose rows are none of the data set. */
function rowsOf({ data }: RunSchedule, epoch: number, { labels, classes }: Pick<Dataset, 'labels' | 'classes'>): Int32Array[] {
  const what = `schedule: epoch ${epoch}`
  const rows = data.rows(epoch)
  if (!(rows instanceof Int32Array)) throw expected('invalid_option', what, 'an Int32Array of rows', rows)
  const counts = new Int32Array(classes.length)
  for (const row of rows) {
    if (!(row >= 0 && row < labels.length)) throw expected('invalid_option', what, `rows from 0 to ${labels.length - 1}`, row)
    counts[labels[row]]++
  }
  const own = Array.from(counts, (count) => new Int32Array(count))
  counts.fill(0)
  for (const row of rows) own[labels[row]][counts[labels[row]]++] = row
  return own
}

/**
 * Looks at all epochs of a run. Throws `invalid_option` where one has fewer rows of a class than its steps take, and for rows that the data
 * set does not have.
 */
export async function checkSchedule(dataset: Dataset, settings: ResolvedSettings): Promise<void> {
  const { schedule, iterations, realBatch, method, methodOptions, network } = settings
  if (!schedule) return
  const statistics = 'distance' in method && network.state.length > 0 ? method.schedule(methodOptions).statisticsBatch : 0
  const taken = Math.max(realBatch, statistics)
  const turn = new Turn()
  for (let epoch = 0; epoch * schedule.every < iterations; epoch++) {
    await turn.breathe()
    for (const [c, { length }] of rowsOf(schedule, epoch, dataset).entries()) {
      const size = dataset.classIndices(c).length
      if (length >= Math.min(taken, size)) continue
      const what = `schedule: images of class '${dataset.classes[c]}' in epoch ${epoch}`
      const todo = 'lower realBatch, or let the schedule keep more'
      throw expected('invalid_option', what, `at least the ${Math.min(taken, size)} of a step`, length, todo)
    }
  }
}

export interface RealDraws {
  readonly perClass: number
  readonly seed: number | bigint
  readonly schedule?: RunSchedule
  /** The iteration of a step; default: a step is one. */
  readonly iterationOf?: (step: number) => number
}

/** Of the epoch at hand, and of the one that reading ahead has come to. */
const mostStages = 2

/**
 * The sampler of real batches: of all rows, or of those of the step's epoch, of which `checkSchedule` has found enough. An epoch of all
 * rows draws what a run without a schedule draws.
 */
export function realSampler(dataset: Dataset, { perClass, seed, schedule, iterationOf = (step) => step }: RealDraws): Sampler {
  const own = { perClass, seed, purpose: purpose.realBatch }
  const all = createSampler({ dataset, ...own })
  if (!schedule) return all
  const stages = new Map<number, Sampler>()
  const at = (step: number): Sampler => {
    const epoch = Math.floor(iterationOf(step) / schedule.every)
    let stage = stages.get(epoch)
    if (!stage) {
      const rows = rowsOf(schedule, epoch, dataset)
      stage = createSampler({ dataset: { classes: dataset.classes, classIndices: (c) => rows[c] }, ...own })
      for (const old of [...stages.keys()].slice(0, Math.max(0, stages.size + 1 - mostStages))) stages.delete(old)
      stages.set(epoch, stage)
    }
    return stage
  }
  return {
    counts: all.counts,
    weights: all.weights,
    draw: (step) => at(step).draw(step),
    drawClasses: (step, first, end) => at(step).drawClasses(step, first, end),
  }
}
