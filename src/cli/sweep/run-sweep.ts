/** @file Runs the cells of a sweep that are not there yet; sweep.json is written after each. */

import { onFile } from '../../errors.js'
import { lockRun } from '../../experiment/run-lock.js'
import { type SweepRecord, writeSweep } from '../../experiment/sweep-record.js'
import { makeDirectory } from '../../files/make-directory.js'
import type { CliContext } from '../context.js'
import { given } from '../options.js'
import type { Output } from '../output.js'
import { type NamedScores, scoresAt } from '../score-source.js'
import { type PlannedCell, planCells } from './cells.js'
import { planOf, runCell } from './run-cell.js'
import type { SweepSettings } from './settings.js'

export interface SweepJob {
  readonly dir: string
  readonly settings: SweepSettings
  /** Of a sweep that goes on. */
  readonly record?: SweepRecord
  readonly context: CliContext
  readonly output: Output
  readonly cache?: string
  readonly threads?: number
  readonly device?: 'cpu' | 'cuda'
}

/** Checks everything, then works off what is left. Throws `invalid_option` for what could not end well, before the directory is made. */
export async function runSweep(job: SweepJob): Promise<SweepRecord> {
  const { dir, context, output, cache, threads } = job
  const { library, args } = context
  const { data, isa } = job.settings
  const cells = planCells(job.settings)
  const open = given({ cache })
  const train = await library.openDataset(data, 'train', open)
  const test = await library.openDataset(data, 'test', open)
  await checkMeasuring(job.settings, train)
  for (const cell of cells) await planOf(cell, { library, settings: job.settings, train })
  const scores = await scoresOf(job, cells, train)
  const device = await library.openDevice(given({ threads, device: job.device, isa: isa ?? undefined }))
  const settings = { ...job.settings, isa: isa ?? device.isa ?? null }
  try {
    await onFile(dir, () => makeDirectory(dir))
    const lock = await lockRun(dir)
    try {
      let record: SweepRecord = job.record ?? {
        format: 'aludel-sweep',
        version: 1,
        status: 'running',
        settings: { ...settings },
        cells: [],
      }
      if (!job.record) await writeSweep(dir, record)
      const tools = { library, output, device, args, dir, settings, train, test, scores, ...given({ cache, threads }) }
      for (const [i, cell] of cells.entries()) {
        if (record.cells.some(({ run }) => run === cell.run)) continue
        output.notice(`${cell.run}, ${i + 1} of ${cells.length} runs`)
        const done = await runCell(cell, tools)
        record = { ...record, cells: [...record.cells, done] }
        await writeSweep(dir, record)
      }
      record = { ...record, status: 'done' }
      await writeSweep(dir, record)
      return record
    } finally {
      await lock.release()
    }
  } finally {
    await device.close()
  }
}

async function scoresOf(
  { settings }: SweepJob,
  cells: readonly PlannedCell[],
  train: Parameters<typeof scoresAt>[2],
): Promise<NamedScores | undefined> {
  const needed = cells.some(({ order }) => order === 'asc' || order === 'desc')
  return needed && settings.scores !== null ? scoresAt(settings.scores, settings.kind, train) : undefined
}

/** Networks and augmentation of the evaluation: better refused now than after the first run. */
async function checkMeasuring({ evaluate }: SweepSettings, train: Parameters<typeof scoresAt>[2]): Promise<void> {
  const [{ resolveNetwork }, { parseAugment }] = await Promise.all([
    import('../../nn/networks/registry.js'),
    import('../../augment/dsa.js'),
  ])
  const [, height, width, channels] = train.shape
  for (const network of evaluate.networks) resolveNetwork(network, [height, width, channels], train.classes.length)
  if (evaluate.augment !== undefined) parseAugment(evaluate.augment, train.flip)
}
