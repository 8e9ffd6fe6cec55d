/** @file Pruning as the first stage of a run: checked before the run has a directory, chosen in it, found again by every later stage. */
import { join, resolve } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import { checkNameable } from '../experiment/run-data.js'
import { type PruneRecord, type RunDir, subsetFile } from '../experiment/run-dir.js'
import type { DistillSettings } from '../experiment/types.js'
import {
  applySubset,
  checkKeptCounts,
  createSubset,
  type PruneChoice,
  type PrunePlan,
  planPruning,
  type Subset,
  selectionOptions,
  selectSamples,
  subsetHash,
  writeSubset,
} from '../prune/index.js'
import type { Library } from './library.js'
import type { Output } from './output.js'
import { type NamedScores, scoresAt } from './score-source.js'
import type { ZcaChoice } from './whitening.js'

export interface Pruning {
  readonly record: PruneRecord
  /** Where the scores are there already, or none are needed. */
  readonly subset?: Subset
}

export interface PruningQuestion {
  readonly choice: PruneChoice
  /** File or directory of scores. */
  readonly scores?: string
  readonly dir: string
  readonly settings: DistillSettings
  readonly zca: ZcaChoice | undefined
}

/**
 * Checks the choice and the settings of the run against the whole data set, and chooses where that takes no scoring. Undefined where nothing
 * would go: such a run is one without pruning. Throws `invalid_option` and what reading scores throws.
 */
export async function preparePruning(
  train: Dataset,
  { choice, scores, dir, settings, zca }: PruningQuestion,
  { library, output }: { readonly library: Library; readonly output: Output },
): Promise<Pruning | undefined> {
  if (train.part) throw new AludelError('invalid_option', '--prune: the data is a subset already; choose in one of the two')
  const { ipc, init, seed } = await library.checkSettings(train, settings)
  const plan = planPruning(train, choice, { method: settings.method, ipc, init, seed, data: train.name })
  if (plan === undefined) {
    output.notice('--prune: nothing would go; the run takes all images')
    return undefined
  }
  checkNameable(dir)
  if (plan.kind === 'random' && scores !== undefined) throw expected('invalid_option', '--prune random', 'no --scores', scores)
  if (plan.kind !== 'random' && scores === undefined)
    throw expected('invalid_option', `--prune ${plan.kind}`, '--scores with the file or directory of them', undefined)
  const record: PruneRecord = {
    plan: { ...plan },
    scores: scores === undefined ? null : resolve(scores),
    zca: zca ?? null,
    subsetSha256: null,
  }
  return { record, subset: await chooseRows(train, record, ipc) }
}

/** The subset of a record whose scores are there, or that draws. */
async function chooseRows(train: Dataset, { plan: recorded, scores }: PruneRecord, ipc: number): Promise<Subset> {
  const plan = recorded as unknown as PrunePlan
  const scored: NamedScores | undefined = scores === null ? undefined : await scoresAt(scores, plan.kind, train)
  const selection = await selectSamples(train, selectionOptions(plan, scored?.values))
  checkKeptCounts(train.classes, selection.counts, ipc)
  return createSubset(train, selection, scored?.score ?? null)
}

export interface Pruned {
  readonly dataset: Dataset
  readonly record: PruneRecord
}

/** Chooses the images of a run that has not yet done so, and writes their subset into its directory; run.json is the caller's to change. */
export async function pruneRun(
  train: Dataset,
  runDir: RunDir,
  { subset: known, ipc, output }: { readonly subset?: Subset; readonly ipc: number; readonly output: Output },
): Promise<Pruned> {
  const record = runDir.record.prune as PruneRecord
  const subset = known ?? (await chooseRows(train, record, ipc))
  await writeSubset(join(runDir.dir, subsetFile), subset)
  tell(train, subset, record.plan as unknown as PrunePlan, output)
  return { dataset: applySubset(train, subset), record: { ...record, subsetSha256: subsetHash(subset) } }
}

function tell({ classes, shape }: Dataset, { counts, raised, indices }: Subset, plan: PrunePlan, output: Output): void {
  const range = `${Math.min(...counts)} to ${Math.max(...counts)} of a class`
  const why = plan.amountFrom === null ? '' : `; the share is that of ${plan.amountFrom}`
  output.notice(`prune ${plan.kind}: ${indices.length} of ${shape[0]} images stay, ${range}${why}`)
  for (const { class: c, from, to } of raised) output.notice(`class '${classes[c]}' keeps ${to} images, not ${from}`)
}
