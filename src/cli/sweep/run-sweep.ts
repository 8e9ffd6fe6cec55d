/** @file Runs the cells of a sweep that are not there yet; sweep.json is written after each. */
import { join } from 'node:path'
import type { Dataset } from '../../data/dataset.js'
import { checkLabelled } from '../../data/labels.js'
import { onFile } from '../../errors.js'
import { lockRun } from '../../experiment/run-lock.js'
import { type SweepRecord, writeSweep } from '../../experiment/sweep-record.js'
import { checkBeforeWhitening, type ExpertStore } from '../../experts/store.js'
import { makeDirectory } from '../../files/make-directory.js'
import { type DeviceOptions, deviceOf } from '../commands/shared-options.js'
import type { CliContext } from '../context.js'
import { given } from '../options.js'
import type { Output } from '../output.js'
import { checkOwnScoring, scoreInto } from '../own-scores.js'
import { computedWith, openSameDevice } from '../same-device.js'
import { type NamedScores, scoresAt } from '../score-source.js'
import { planCells } from './cells.js'
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
  readonly chosen: DeviceOptions
}

/** Checks everything, then works off what is left. Throws `invalid_option` for what could not end well, before the directory is made. */
export async function runSweep(job: SweepJob): Promise<SweepRecord> {
  const { dir, context, output, cache, chosen } = job
  const { library, args } = context
  const { data, isa, precision } = job.settings
  const cells = planCells(job.settings)
  const open = given({ cache })
  const train = await library.openDataset(data, 'train', open)
  checkLabelled('sweep', train)
  const test = await library.openDataset(data, 'test', open)
  await checkMeasuring(job.settings, train)
  const experts = job.settings.experts ? await library.openExperts(job.settings.experts) : undefined
  await checkExpertsOf(job.settings, train, experts)
  for (const cell of cells)
    await planOf(cell, { library, settings: job.settings, train, ...(job.settings.zca === null && given({ experts })) })
  // scores that were given are looked at now, before the directory is made
  const scoresGiven = job.settings.scores === null ? undefined : await scoresAt(job.settings.scores, job.settings.kind, train)
  const device =
    isa === null ? await library.openDevice(deviceOf(chosen)) : await openSameDevice(library, chosen, { isa, precision }, 'sweep')
  const settings = isa === null ? { ...job.settings, ...computedWith(device) } : job.settings
  try {
    const { kind, scoring, seed } = settings
    if (scoring) await checkOwnScoring(train, { kind, scoring, seed, device })
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
      const scores = scoring ? await ownScores() : scoresGiven
      const tools = { library, output, device, args, dir, settings, train, test, scores, chosen, ...given({ cache, experts }) }
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

  /** Once for all runs, in the sweep's directory. */
  async function ownScores(): Promise<NamedScores> {
    const { kind, scoring, seed, data: specification } = settings
    const path = join(dir, 'scores')
    const work = { dir: path, kind, scoring: scoring ?? {}, seed, specification, goOn: `aludel sweep --resume ${dir}` }
    await scoreInto(train, { ...work, library, output, device })
    return scoresAt(path, kind, train)
  }
}

/** Whether a method has the experts that it matches, of these images. Throws `invalid_option`, `incompatible`. */
async function checkExpertsOf({ distill, zca }: SweepSettings, train: Dataset, experts: ExpertStore | undefined): Promise<void> {
  const [{ methodByName }, { requireExperts }] = await Promise.all([
    import('../../distill/registry.js'),
    import('../../distill/trajectory/check-experts.js'),
  ])
  requireExperts(methodByName(distill.method), experts)
  if (experts) checkBeforeWhitening(experts, train, zca ?? undefined)
}

/** Networks and augmentation of the evaluation: better refused now than after the first run. */
async function checkMeasuring({ evaluate }: SweepSettings, train: Dataset): Promise<void> {
  const [{ resolveNetwork, withPools }, { parseAugment }] = await Promise.all([
    import('../../nn/networks/registry.js'),
    import('../../augment/dsa.js'),
  ])
  const [, height, width, channels] = train.shape
  for (const network of withPools<string>(evaluate.networks)) resolveNetwork(network, [height, width, channels], train.classes.length)
  if (evaluate.augment !== undefined) parseAugment(evaluate.augment, train.flip)
}
