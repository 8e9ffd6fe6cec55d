/** @file The real images that a distilled set is compared with: which there are, what they need, and how they come about. */
import type { Dataset } from '../data/dataset.js'
import { AludelError, expected } from '../errors.js'
import type { FeatureSelection, TrainingSource } from '../evaluate/index.js'
import type { DeviceHandle, SyntheticSet } from '../experiment/types.js'
import type { Library } from './library.js'
import type { Output } from './output.js'
import { withProgress } from './run-evaluation.js'
import { scoresAt } from './score-source.js'

export const baselineLabels = {
  random: 'random real images',
  herding: 'herded real images',
  'k-center': 'k-center real images',
  loss: 'real images of least loss',
  el2n: 'real images of least EL2N',
} as const

export type Baseline = keyof typeof baselineLabels

export const baselineNames = Object.keys(baselineLabels) as readonly Baseline[]

const byScore: readonly Baseline[] = ['loss', 'el2n']
const byFeatures: Partial<Record<Baseline, FeatureSelection>> = { herding: 'herding', 'k-center': 'kCenter' }

export function baselineOf(name: string): Baseline {
  const known = baselineNames.find((baseline) => baseline === name)
  if (known === undefined) throw expected('invalid_option', '--baseline', `some of ${baselineNames.join(', ')}`, name)
  return known
}

/** Throws `invalid_option` for scores without a baseline that takes them, and the other way round. */
export function checkScoresGiven(baselines: readonly Baseline[], scores: string | undefined): void {
  const needing = baselines.find((name) => byScore.includes(name))
  if (needing !== undefined && scores === undefined)
    throw new AludelError('invalid_option', `--baseline ${needing}: expected --scores DIR beside it; aludel score writes one`)
  if (needing === undefined && scores !== undefined)
    throw expected('invalid_option', '--scores', `--baseline with ${byScore.join(' or ')}`, baselines.join(',') || 'none')
}

export interface BaselineJob {
  readonly library: Library
  readonly output: Output
  readonly device: DeviceHandle
  readonly names: readonly Baseline[]
  readonly train: Dataset
  /** Images of each class. */
  readonly ipc: number
  /** Directory or file of scores. */
  readonly scores: string | undefined
  readonly herdingEpochs: number
  readonly seed: number
}

/** Looks at what the baselines need, before hours of training end in a missing file; what is returned gives the images of one. */
export async function prepareBaselines(job: BaselineJob): Promise<(name: Baseline) => Promise<TrainingSource>> {
  const { library, output, device, names, train, ipc, scores, herdingEpochs: epochs, seed } = job
  checkClassSizes(train, ipc)
  const values = new Map<Baseline, Float64Array>()
  for (const name of names) if (byScore.includes(name)) values.set(name, (await scoresAt(scores as string, name, train)).values)
  const selections = names.flatMap((name) => byFeatures[name] ?? [])
  let chosen: Promise<Partial<Record<FeatureSelection, SyntheticSet>>> | undefined
  const byFeature = () => {
    if (!chosen) {
      output.notice(
        `${selections.join(', ')}: a network is trained on all ${train.shape[0]} real images first (--baseline random leaves it out)`,
      )
      chosen = withProgress(output, `all ${train.shape[0]} real images`, ({ signal, onProgress }) =>
        library.featureBaselines(train, ipc, selections, { device, epochs, seed, signal, onProgress }),
      )
    }
    return chosen
  }
  return async (name) => {
    const own = values.get(name)
    if (own) return library.scoredBaseline(train, ipc, own, name)
    const selection = byFeatures[name]
    return selection ? ((await byFeature())[selection] as SyntheticSet) : library.randomBaseline(train, ipc, seed)
  }
}

/** Real images to compare with need as many in every class. */
function checkClassSizes(train: Dataset, ipc: number): void {
  for (const [c, name] of train.classes.entries()) {
    const available = train.classIndices(c).length
    if (available < ipc) {
      const todo = 'leave the baselines out with --no-baseline'
      throw expected('invalid_option', `class '${name}'`, `at least ${ipc} real images for the baselines`, available, todo)
    }
  }
}
