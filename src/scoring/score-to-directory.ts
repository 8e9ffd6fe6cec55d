/** @file Scores a data set into a directory: locked while it is worked in, its state kept after every epoch, complete or to be continued. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { arithmeticOf } from '../engine/isa.js'
import { AludelError, expected, onFile } from '../errors.js'
import { checkpointStore } from '../experiment/checkpoint-store.js'
import { locked } from '../experiment/run-lock.js'
import { saveNetwork } from '../export/network-file.js'
import { prepareDirectory } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { packageVersion } from '../package-root.js'
import { checkSameData } from '../prune/provenance.js'
import type { ScoreFile } from '../prune/score-file.js'
import { writeFeatures } from './feature-file.js'
import { configOf, planScoring, type ScoreDatasetOptions, type ScoringPlan } from './options.js'
import { type ScoredDataset, scoreDataset } from './score-dataset.js'
import {
  featuresPath,
  isScoreDirectory,
  readRecord,
  recordPath,
  type ScoresRecord,
  type ScoresSource,
  startRecord,
  writeKind,
  writeRecord,
} from './score-directory.js'
import { progressDir } from './work-directory.js'

const networksDir = 'networks'

export interface DirectoryOptions extends Omit<ScoreDatasetOptions, 'checkpoints' | 'onNetwork'> {
  /** The data as the user named it, for a continuation. */
  readonly specification?: string
  /** Also keep the weights of every network: networks/network-0.safetensors, … */
  readonly saveNetworks?: boolean
  /** Where the weights came from, where networks are given. */
  readonly files?: readonly string[]
}

export interface WrittenScores extends Omit<ScoredDataset, 'scores' | 'features'> {
  readonly record: ScoresRecord
}

/**
 * `scoreDataset` into `dir`, which must not hold scores yet: <kind>.safetensors for every kind, features.safetensors where they are asked
 * for, scores.json. A process that dies leaves what `resumeScoring` goes on from. Rejects as `scoreDataset` does, and with `locked`, `io`.
 */
export async function scoreToDirectory(dir: string, data: Dataset | DatasetInput, options: DirectoryOptions): Promise<WrittenScores> {
  const train = asDataset(data)
  const { specification, saveNetworks, files, ...scoring } = options
  const plan = planScoring(train, scoring)
  if (await isScoreDirectory(dir)) {
    const todo = `continue them with --resume ${dir}, give another directory, or remove it first`
    throw new AludelError('invalid_option', `${dir}: holds scores already; ${todo}`)
  }
  const source = sourceOf(plan, train, options)
  const record = startRecord(train, {
    ...{ source, kinds: plan.kinds, features: plan.features, versions: { aludel: packageVersion, node: process.versions.node } },
    ...(specification !== undefined && { specification }),
  })
  await onFile(dir, () => makeDirectory(dir))
  return locked(dir, async () => {
    // another process may have begun here meanwhile
    if (await isScoreDirectory(dir)) throw new AludelError('invalid_option', `${dir}: holds scores already; give another directory`)
    await prepareDirectory(dir)
    await writeRecord(dir, record)
    return await work(dir, train, record, scoring)
  })
}

/** What a continuation may bring along; everything else is the record's. */
export type ResumeOptions = Pick<ScoreDatasetOptions, 'device' | 'signal' | 'onProgress' | 'allowChance' | 'weights'>

/**
 * Goes on with what `scoreToDirectory` began in `dir`, to the same bytes; `data` must be the data that it began with. Resolves to null
 * when nothing is left to do. Throws `not_found`, `incompatible`, `locked`, and as `scoreDataset` does.
 */
export async function resumeScoring(dir: string, data: Dataset | DatasetInput, options: ResumeOptions): Promise<WrittenScores | null> {
  const train = asDataset(data)
  return locked(dir, async () => {
    const record = await readRecord(dir)
    checkSameData(`${dir}: scoring`, record.data, train)
    await prepareDirectory(dir)
    if (record.status === 'done') {
      await rm(join(dir, progressDir), { recursive: true, force: true })
      return null
    }
    const settings = settingsOf(dir, record)
    return await work(dir, train, record, { ...settings, ...options })
  })
}

async function work(dir: string, train: Dataset, record: ScoresRecord, scoring: ScoreDatasetOptions): Promise<WrittenScores> {
  const { network } = planScoring(train, scoring)
  const save = record.source.saveNetworks === true
  if (save) await onFile(dir, () => makeDirectory(join(dir, networksDir)))
  const { scores, features, ...rest } = await scoreDataset(train, {
    ...scoring,
    checkpoints: checkpointStore(join(dir, progressDir)),
    ...(save && { onNetwork: (run, tensors) => saveNetwork(join(dir, networksDir, `network-${run}.safetensors`), network, tensors) }),
  })
  for (const file of Object.values<ScoreFile>(scores)) await writeKind(dir, file.score.name, file)
  if (features) await writeFeatures(featuresPath(dir), features)
  const { accuracies, perClass, seconds } = rest
  const done: ScoresRecord = { ...record, status: 'done', accuracies, perClass, seconds }
  await writeRecord(dir, done)
  await rm(join(dir, progressDir), { recursive: true, force: true })
  return { ...rest, record: done }
}

function sourceOf(plan: ScoringPlan, train: Dataset, { device, saveNetworks = false, files = [] }: DirectoryOptions): ScoresSource {
  const { kinds: _, data: __, features: ___, ...config } = configOf(plan, train)
  const given = plan.weights ? ({ kind: 'checkpoint', files: [...files] } as const) : ({ kind: 'networks', saveNetworks } as const)
  return { ...config, ...arithmeticOf(device), ...given }
}

/** The options that a record was begun with. Throws `incompatible` for a record that was not made of networks here. */
function settingsOf(dir: string, { source, kinds, features }: ScoresRecord): Omit<ScoreDatasetOptions, 'device'> {
  const { kind, network, runs, epochs, lr, augment, seed, window, epoch, neverLearned } = source
  if (kind === 'model') {
    throw expected(
      'incompatible',
      `${recordPath(dir)}: source`,
      "one of kind 'networks' or 'checkpoint'",
      kind,
      'continue it as it was begun',
    )
  }
  const [from, to] = window === undefined ? [] : (window as readonly number[])
  const trained = { runs, epochs, lr, augment, epoch, neverLearned, window: { from, to } }
  return { kinds, features, network, seed, ...(kind === 'networks' && trained) } as unknown as Omit<ScoreDatasetOptions, 'device'>
}
