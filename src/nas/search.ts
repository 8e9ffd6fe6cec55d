/** @file A search, checked: its networks, what they are trained on, and the trainings that are not done yet. */
import { isRecord } from '../arguments.js'
import { type AnyDataset, resolveDataset } from '../data/any-dataset.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import { expected } from '../errors.js'
import { planTraining } from '../evaluate/train-networks.js'
import { Turn } from '../event-loop.js'
import { keyOfCell } from '../experiment/cell-file.js'
import { checkSyntheticSet } from '../experiment/synthetic-set.js'
import type { SyntheticSetFields } from '../experiment/types.js'
import type { MapShape, Network } from '../nn/module.js'
import { whiten } from '../preprocess/whiten.js'
import { checkNasOptions, type NasOptions, type NasSettings } from './options.js'
import type { NasCell, NasStore } from './record.js'
import { setHash } from './set-hash.js'
import { type Architecture, costOf, type ImageCost, networkOf } from './space.js'
import { type Training, trainingsOf } from './training.js'

export interface Candidate {
  readonly architecture: Architecture
  readonly network: Network
  readonly cost: ImageCost
}

/** Networks of one candidate and source that are trained together. */
export interface Job {
  readonly candidate: Candidate
  readonly training: Training
  readonly first: number
  /** Keys of their cells. */
  readonly keys: readonly string[]
  /** Of all of them, trained and measured. */
  readonly flops: number
  /** Where they were done before. */
  readonly found: readonly NasCell[] | undefined
}

/** Options of a search that only looks things up in its store. */
export type NasPlanOptions = Omit<NasOptions, 'store'> & { readonly store?: Pick<NasStore, 'find'> }

export interface Search {
  /** What tells the set from others. */
  readonly set: string
  readonly settings: NasSettings
  readonly options: NasPlanOptions
  readonly candidates: readonly Candidate[]
  readonly trainings: readonly Training[]
  readonly jobs: readonly Job[]
  readonly test: Dataset
}

/** Throws, before anything trains, what `nas` throws. */
export async function prepareSearch(set: SyntheticSetFields, options: NasPlanOptions): Promise<Search> {
  const settings = checkNasOptions(options)
  const { device, signal, epochs, protocol, labels } = options
  if (isRecord(set) && !('labels' in set))
    throw expected('invalid_data', 'nas: set', 'images with class labels', 'none', 'a set of target representations has none')
  checkSyntheticSet(set)
  const image = set.shape.slice(1) as unknown as MapShape
  const turn = new Turn()
  const candidates: Candidate[] = []
  for (const architecture of settings.architectures) {
    const network = networkOf(architecture, image, set.classes.length)
    candidates.push({ architecture, network, cost: costOf(network, architecture) })
    await turn.breathe()
  }
  // the first candidate stands for all: what is checked here is how the set is trained on
  const plan = planTraining('nas', set, {
    ...{ device, networks: [candidates[0].network], repeats: settings.repeats, seed: settings.seed },
    ...(settings.augment !== undefined && { augment: settings.augment }),
    ...(epochs !== undefined && { epochs }),
    ...(protocol !== undefined && { protocol }),
    ...(labels !== undefined && { labels }),
  })
  checkClasses(set)
  const open = async (name: 'data' | 'test', given: AnyDataset) => {
    if (given === undefined) throw expected('invalid_option', `nas: ${name}`, 'a data set', undefined)
    const read = await resolveDataset(given)
    checkAlike(name, read, set)
    if (set.whitening) return whiten(read, set.whitening, { device, ...(signal && { signal }) })
    if (!read.whitened) return read
    throw expected(
      'invalid_data',
      `nas: ${name}`,
      'images that are not whitened, as the set',
      'whitened ones',
      'give the data set as it was read',
    )
  }
  const test = await open('test', options.test)
  const trainings = await trainingsOf(plan, await open('data', options.data), settings)
  const jobs = await jobsOf(candidates, trainings, { settings, options, test })
  return { set: await setHash(set), settings, options, candidates, trainings, test, jobs }
}

/** Throws `invalid_data` for a set of one class, which every network gets right. */
function checkClasses({ classes }: SyntheticSetFields): void {
  if (classes.length < 2)
    throw expected('invalid_data', 'nas: set', 'images of at least two classes', classes.length, 'every network tells one class right')
}

function checkAlike(name: string, data: Dataset, set: SyntheticSetFields): void {
  checkLabelled(`nas: ${name}`, data)
  const [image, own] = [data.shape.slice(1), set.shape.slice(1)]
  if (image.join() !== own.join()) throw expected('invalid_data', `nas: ${name}`, `images [${own.join(', ')}] as in the set`, image)
  const [classes, wanted] = [data.classes, set.classes]
  if (classes.length !== wanted.length)
    throw expected('invalid_data', `nas: ${name}`, `the ${wanted.length} classes of the set`, classes.length)
  if (classes.join('\n') !== wanted.join('\n'))
    throw expected('invalid_data', `nas: ${name}: classes`, wanted.join(', '), classes.join(', '))
}

/** All trainings: the distilled set's of the whole space, the others' of the sample. */
async function jobsOf(
  candidates: readonly Candidate[],
  trainings: readonly Training[],
  { settings, options, test }: Pick<Search, 'settings' | 'options' | 'test'>,
): Promise<Job[]> {
  const turn = new Turn()
  const { seed, sample } = settings
  const { device, store } = options
  const common = { seed, test: { sha256: test.sha256, whitening: test.whitened?.whitening.sha256 ?? null }, computed: device.isa }
  const jobs: Job[] = []
  for (const training of trainings) {
    const { source, repeats, together, depends, rows } = training
    const own = source === 'distilled' ? candidates : Array.from(sample, (place) => candidates[place])
    for (const candidate of own) {
      const { name: architecture } = candidate.architecture
      await turn.breathe()
      for (let first = 0; first < repeats; first += together) {
        const groups = Math.min(together, repeats - first)
        // numbers may differ in their last bits by how many networks share a program
        const keys = Array.from({ length: groups }, (_, g) =>
          keyOfCell({
            architecture,
            source,
            repeat: first + g,
            groups,
            image: candidate.network.input,
            ...common,
            precision: device.precision,
            depends,
          }),
        )
        const found = keys.map((key) => store?.find(key))
        jobs.push({
          ...{ candidate, training, first, keys },
          flops: groups * candidate.cost.flops * (3 * rows + test.shape[0]),
          found: found.every((cell) => cell !== undefined) ? found : undefined,
        })
      }
    }
  }
  return jobs
}
