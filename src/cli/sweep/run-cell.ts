/** @file One run of a sweep from wherever it stands: its subset, its distillation, its accuracies. */
import { dirname, join } from 'node:path'
import type { Dataset } from '../../data/dataset.js'
import { exists } from '../../data/file-bytes.js'
import { formatSpecification, parseSpecification } from '../../data/specification.js'
import { AbortError } from '../../errors.js'
import { type EvaluationRecord, loadRunSet, readEvents, readRunRecord, reopenRunDir, runFile } from '../../experiment/run-dir.js'
import type { SweepCell } from '../../experiment/sweep-record.js'
import type { DeviceHandle, EvaluationResult, SyntheticSet } from '../../experiment/types.js'
import type { ExpertStore } from '../../experts/store.js'
import { makeDirectory } from '../../files/make-directory.js'
import { applySubset, createSubset, type PrunePlan, planPruning, selectionOptions, selectSamples, writeSubset } from '../../prune/index.js'
import { writeReport } from '../../report/index.js'
import { recordEvaluation } from '../commands/evaluate.js'
import type { DeviceOptions } from '../commands/shared-options.js'
import type { Library } from '../library.js'
import { given } from '../options.js'
import type { Output } from '../output.js'
import { startPhase } from '../phase.js'
import { resumeDistillation } from '../resume-distillation.js'
import { runDistillation } from '../run-distillation.js'
import { formatAccuracy, runEvaluation } from '../run-evaluation.js'
import type { NamedScores } from '../score-source.js'
import { whitenTraining } from '../whitening.js'
import type { PlannedCell } from './cells.js'
import type { SweepSettings } from './settings.js'

export interface SweepTools {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly args: readonly string[]
  readonly cache?: string
  readonly chosen: DeviceOptions
  /** Directory of the sweep. */
  readonly dir: string
  readonly settings: SweepSettings
  /** The whole training images, the test images, and the scores where some order needs them. */
  readonly train: Dataset
  readonly test: Dataset
  readonly scores: NamedScores | undefined
  /** What every run matches, where its method matches experts. */
  readonly experts?: ExpertStore
}

/** The plan of a cell's choice; undefined where everything stays. */
export async function planOf(
  { choice, seed }: PlannedCell,
  tools: Pick<SweepTools, 'library' | 'settings' | 'train' | 'experts'>,
): Promise<PrunePlan | undefined> {
  const { distill } = tools.settings
  const { ipc, init } = await tools.library.checkSettings(tools.train, { ...distill, seed, ...given({ experts: tools.experts }) })
  return choice && planPruning(tools.train, choice, { method: distill.method, ipc, init, seed, data: tools.train.name })
}

/** Rejects with AbortError when a signal ended it; what was reached is saved. */
export async function runCell(cell: PlannedCell, tools: SweepTools): Promise<SweepCell> {
  const { dir, output, train } = tools
  const { order, keep, repeat, seed, run, subset } = cell
  const runDir = join(dir, run)
  const part = await partOf(cell, tools)
  await distillCell(cell, part, runDir, tools)
  const accuracies = await measureCell(runDir, cell, tools)
  const record = await readRunRecord(runDir)
  const done = (await readEvents(runDir)).findLast((event) => event.type === 'done')
  const evaluate = (record.phases ?? []).filter(({ name }) => name.startsWith('evaluate')).reduce((sum, { seconds }) => sum + seconds, 0)
  output.line(`${run}: ${accuracies.map((one) => `${one.network} ${formatAccuracy(one)}`).join(', ')}`)
  return {
    ...{ order, keep, repeat, seed, run, subset, accuracies },
    seconds: { distill: done?.seconds ?? 0, evaluate },
    steps: done?.step ?? 0,
    classCounts: train.classes.map((_, c) => part.classIndices(c).length),
  }
}

/** The images of a cell. Its subset is chosen anew each time, to the same bytes: a file cut short or changed cannot mislead. */
async function partOf(cell: PlannedCell, { library, settings, train, dir, scores }: SweepTools): Promise<Dataset> {
  const plan = await planOf(cell, { library, settings, train })
  if (plan === undefined || cell.subset === null) return train
  const scored = plan.kind === 'random' ? undefined : scores
  const selection = await selectSamples(train, selectionOptions(plan, scored?.values))
  const subset = createSubset(train, selection, scored?.score ?? null)
  const path = join(dir, cell.subset)
  await makeDirectory(dirname(path))
  await writeSubset(path, subset)
  return applySubset(train, subset)
}

/** Begins, continues or leaves alone the distillation of a cell. */
async function distillCell(cell: PlannedCell, part: Dataset, runDir: string, tools: SweepTools): Promise<void> {
  const { library, output, device, args, cache, chosen, settings, dir, experts } = tools
  const checkpointEvery = settings.checkpointEvery ?? undefined
  const begun = await exists(join(runDir, runFile))
  if (begun && (await isDone(runDir))) return
  const distillation = begun ? await resume() : await begin()
  await distillation.runDir.close()
  await writeReport(runDir)
  if (distillation.interrupted) throw new AbortError('interrupted')

  async function begin() {
    const { name, path, options } = parseSpecification(settings.data)
    const subset = cell.subset === null ? {} : { subset: join(dir, cell.subset) }
    const specification = formatSpecification({ name, path, options: { ...options, ...subset } })
    const dataset = await whitenTraining(part, settings.zca ?? undefined, { library, output, device, ...given({ cache }) })
    const own = { ...settings.distill, seed: cell.seed }
    return runDistillation({
      library,
      output,
      device,
      dataset,
      specification,
      settings: own,
      dir: runDir,
      args,
      ...given({ checkpointEvery, experts }),
    })
  }

  async function resume() {
    const open = await reopenRunDir(runDir)
    try {
      return await resumeDistillation({ library, output, args, chosen, runDir: open, ...given({ cache, checkpointEvery }) })
    } catch (error) {
      await open.close()
      throw error
    }
  }
}

async function isDone(runDir: string): Promise<boolean> {
  const record = await readRunRecord(runDir)
  if (record.status !== 'done' || !record.artifact) return false
  return loadRunSet(runDir, record).then(
    () => true,
    () => false,
  )
}

/** Accuracies of a cell's set, network by network; those that the run has already are taken from it. */
async function measureCell(runDir: string, { seed }: PlannedCell, tools: SweepTools): Promise<EvaluationResult[]> {
  const { library, output, device, settings, test: read } = tools
  const { networks: named, repeats, epochs, augment, inference } = settings.evaluate
  const [{ withPools }, { crossAverage, unseenPool, unseen }, { defaultProtocol }] = await Promise.all([
    import('../../nn/networks/registry.js'),
    import('../../evaluate/unseen.js'),
    import('../../evaluate/protocol.js'),
  ])
  const networks = withPools<string>(named)
  const record = await readRunRecord(runDir)
  const set: SyntheticSet = await loadRunSet(runDir, record)
  const { protocol = defaultProtocol(set) } = settings.evaluate
  const steps = typeof set.config.steps === 'number' ? set.config.steps : undefined
  const about = {
    label: 'distilled',
    protocol,
    epochs: epochs ?? null,
    data: settings.data,
    seed,
    augment: augment ?? null,
    ...given({ steps }),
  }
  const results: EvaluationResult[] = []
  let test: Dataset | undefined
  for (const network of networks) {
    const known = knownResult(record.evaluations, about, { network, n: repeats })
    if (known) {
      results.push(known)
      continue
    }
    const endPhase = startPhase(`evaluate ${network} on distilled`)
    test ??= set.whitening ? await library.whiten(read, set.whitening, device) : read
    const own = { networks: [network], repeats, protocol, seed, inference, ...given({ epochs, augment }) }
    const [result] = await runEvaluation({ library, output, device, source: set, test, settings: own, label: 'distilled' })
    await recordEvaluation(runDir, { ...about, results: [result] }, endPhase())
    results.push(result)
  }
  if (named.includes(unseen)) results.push(crossAverage(results.filter(({ network }) => unseenPool.includes(network))))
  return results
}

function knownResult(
  evaluations: readonly EvaluationRecord[],
  about: Omit<EvaluationRecord, 'results'>,
  { network, n }: { readonly network: string; readonly n: number },
): EvaluationResult | undefined {
  const wanted = JSON.stringify(Object.entries(about).sort())
  const same = evaluations.filter(({ results: _, ...others }) => JSON.stringify(Object.entries(others).sort()) === wanted)
  return same.flatMap(({ results }) => results).find((result) => result.network === network && result.n === n)
}
