/** @file Pruning as the first stage of a run: checked before the run has a directory, chosen in it, found again by every later stage. */
import { join, resolve } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import { checkNameable } from '../experiment/run-data.js'
import { type Phase, type PruneRecord, type RunDir, scoresDirectory, subsetFile } from '../experiment/run-dir.js'
import type { DeviceHandle, DistillSettings } from '../experiment/types.js'
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
import { checkOwnScoring, type OwnScoring, scoreInto } from './own-scores.js'
import { startPhase } from './phase.js'
import { type NamedScores, scoresAt } from './score-source.js'
import type { ZcaChoice } from './whitening.js'

export interface Pruning {
  readonly record: PruneRecord
  /** Where the scores are there already, or none are needed. */
  readonly subset?: Subset
}

export interface PruningQuestion {
  readonly choice: PruneChoice
  /** Networks that score, where no scores are given. */
  readonly scoring: OwnScoring
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
  { choice, scoring, scores, dir, settings, zca }: PruningQuestion,
  { library, output, device }: { readonly library: Library; readonly output: Output; readonly device: DeviceHandle },
): Promise<Pruning | undefined> {
  if (train.part) throw new AludelError('invalid_option', '--prune: the data is a subset already; choose in one of the two')
  const { ipc, init, seed } = await library.checkSettings(train, settings)
  const plan = planPruning(train, choice, { method: settings.method, ipc, init, seed, data: train.name })
  if (plan === undefined) {
    output.notice('--prune: nothing would go; the run takes all images')
    return undefined
  }
  checkNameable(dir)
  const random = plan.kind === 'random'
  if (random && scores !== undefined) throw expected('invalid_option', '--prune random', 'no --scores', scores)
  const own = !random && scores === undefined
  if (!own && Object.keys(scoring).length > 0) {
    const why = random ? 'chance needs no scores' : 'the scores are there already'
    throw new AludelError('invalid_option', `--prune ${plan.kind}: expected no ${Object.keys(scoring).join(', ')}; ${why}`)
  }
  if (own) await checkOwnScoring(train, { kind: plan.kind, scoring, seed, device })
  const record: PruneRecord = {
    plan: { ...plan },
    scores: scores === undefined ? null : resolve(scores),
    scoring: own ? scoring : null,
    zca: zca ?? null,
    subsetSha256: null,
  }
  return own ? { record } : { record, subset: await chooseRows(train, record, record.scores, ipc) }
}

/** The subset by scores that are there, or by chance. */
async function chooseRows(train: Dataset, { plan: recorded }: PruneRecord, scores: string | null, ipc: number): Promise<Subset> {
  const plan = recorded as unknown as PrunePlan
  const scored: NamedScores | undefined = scores === null ? undefined : await scoresAt(scores, plan.kind, train)
  const selection = await selectSamples(train, selectionOptions(plan, scored?.values))
  checkKeptCounts(train.classes, selection.counts, ipc)
  return createSubset(train, selection, scored?.score ?? null)
}

export interface Pruned {
  readonly dataset: Dataset
  readonly record: PruneRecord
  readonly phases: readonly Phase[]
}

export interface PruneTools {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly settings: DistillSettings
  /** Where it is known already. */
  readonly subset?: Subset
}

/**
 * Chooses the images of a run that has not yet done so, scoring them first where it must, and writes their subset into its directory;
 * run.json is the caller's to change.
 */
export async function pruneRun(train: Dataset, runDir: RunDir, tools: PruneTools): Promise<Pruned> {
  const { library, output, device, settings, subset: known } = tools
  const { dir, record: run } = runDir
  const record = run.prune as PruneRecord
  const plan = record.plan as unknown as PrunePlan
  const { ipc, seed } = await library.checkSettings(train, settings)
  const phases: Phase[] = []
  if (!known && record.scoring) {
    const endPhase = startPhase(`score ${plan.kind}`)
    const job = { dir: join(dir, scoresDirectory), kind: plan.kind, scoring: record.scoring, seed, specification: run.data.specification }
    await scoreInto(train, { ...job, library, output, device, goOn: `aludel distill --resume ${dir}` })
    phases.push(endPhase())
  }
  const endPhase = startPhase('prune')
  const subset = known ?? (await chooseRows(train, record, record.scoring ? join(dir, scoresDirectory) : record.scores, ipc))
  await writeSubset(join(dir, subsetFile), subset)
  tell(train, subset, plan, output)
  phases.push(endPhase())
  return { dataset: applySubset(train, subset), record: { ...record, subsetSha256: subsetHash(subset) }, phases }
}

function tell({ classes, shape }: Dataset, { counts, raised, indices }: Subset, plan: PrunePlan, output: Output): void {
  const range = `${Math.min(...counts)} to ${Math.max(...counts)} of a class`
  const why = plan.amountFrom === null ? '' : `; the share is that of ${plan.amountFrom}`
  output.notice(`prune ${plan.kind}: ${indices.length} of ${shape[0]} images stay, ${range}${why}`)
  for (const { class: c, from, to } of raised) output.notice(`class '${classes[c]}' keeps ${to} images, not ${from}`)
}
