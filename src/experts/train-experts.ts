/** @file Trains experts into a store: groups of them one after the other, begun, continued or there already. */
import { checkPath, isRecord } from '../arguments.js'
import { exists } from '../data/file-bytes.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { AbortError, AludelError, expected, onFile } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { Shard } from '../experiment/types.js'
import { makeDirectory } from '../files/make-directory.js'
import { type ExpertsRecord, readRecord, recordPath, settingsOf, writeRecord } from './record.js'
import { type ExpertsOptions, type ExpertsPlan, planExperts } from './settings.js'
import { type ExpertStore, finishedExperts, openExperts } from './store.js'
import { trainGroup } from './train-group.js'
import { isBegun, removeEmpty } from './work-directory.js'

/**
 * Trains networks on real images and keeps their parameters after every kept epoch in `dir`: what trajectory matching (MTT, FTD, TESLA, DATM,
 * PAD) reads. By default as all of them do: gradient descent or GSAM without momentum at lr 0.01, batches of 256, DSA.
 *
 * A directory that holds a store of the same settings is continued: finished experts stay, those that are begun go on after their last epoch, to
 * the same bits; a process that was killed loses an epoch at most. More experts than the store was planned for may be asked for.
 *
 * Rejects with `invalid_option` before anything is trained, and for a store of other settings, naming them; `not_found` for a network that is
 * none; `not_finite` for a loss that is no number, of which nothing is stored; `locked` while another process trains the same experts;
 * `incompatible` for experts begun under another plan; `invalid_data` for damage; `io`; `out_of_memory`; AbortError.
 *
 * ```ts
 * const store = await trainExperts('experts/cifar10', train, { experts: 3, epochs: 15, optimizer: 'gsam', device })
 * const theta = await store.checkpoint(0, 15)
 * ```
 */
export async function trainExperts(dir: string, data: Dataset | DatasetInput, options: ExpertsOptions): Promise<ExpertStore> {
  const what = 'trainExperts'
  checkPath(`${what}: directory`, dir)
  const train = asDataset(data)
  const plan = planExperts(what, train, options)
  const shard = checkShard(what, options.shard)
  const record = await beginStore(dir, plan.record)
  const groups = groupsOf(record, plan, shard)
  const progress = new ProgressMeter(plan, record, groups, options)
  await progress.countSteps()
  const finished = await finishedExperts(dir)
  for (const { first, count } of groups) {
    if (options.signal?.aborted) throw new AbortError(options.signal.reason)
    progress.begin(first, count)
    const done = Array.from({ length: count }, (_, i) => first + i).every((expert) => finished.includes(expert))
    // a process that was ended behind its last expert left a folder, which is removed as that of a group with nothing to train
    if (done && !(await isBegun(dir, first, count))) progress.found(record.epochs)
    else {
      const { device, signal } = options
      const hooks = {
        onFound: (epoch: number) => progress.found(epoch),
        onSteps: (epoch: number, steps: number, means?: { readonly loss: number; readonly accuracy: number }) =>
          progress.at(epoch, steps, means),
      }
      await trainGroup({ dir, device, train, plan, record, first, count, signal, ...hooks })
    }
  }
  await removeEmpty(dir)
  return openExperts(dir)
}

/** Whether something stands in `dir` that `trainExperts` would continue. Throws `io`. */
export const holdsExperts = (dir: string): Promise<boolean> => exists(recordPath(dir))

/** The record of the store, which is there afterwards. */
async function beginStore(dir: string, planned: ExpertsRecord): Promise<ExpertsRecord> {
  await onFile(dir, () => makeDirectory(dir))
  if (!(await holdsExperts(dir))) {
    await writeRecord(dir, planned)
    return planned
  }
  const { record } = await readRecord(dir)
  checkSameSettings(dir, record, planned)
  if (planned.experts <= record.experts) return record
  const larger = { ...record, experts: planned.experts }
  await writeRecord(dir, larger)
  return larger
}

/** Throws `invalid_option`, or `incompatible` for what the user does not choose, naming the first setting that differs. */
function checkSameSettings(dir: string, there: ExpertsRecord, here: ExpertsRecord): void {
  const differs = (a: unknown, b: unknown) => JSON.stringify(a) !== JSON.stringify(b)
  const arithmetic = [there.arithmetic, here.arithmetic] as const
  if (differs(...arithmetic)) {
    const todo = 'continue it on the device that it was begun on'
    throw expected('incompatible', `${dir}: arithmetic`, JSON.stringify(arithmetic[0]), JSON.stringify(arithmetic[1]), todo)
  }
  if (settingsOf(there) === settingsOf(here) && !differs(there.kept, here.kept)) return
  const flat = ({ config, schedule, data, zca, ...rest }: ExpertsRecord): Record<string, unknown> => ({
    ...{ network: rest.network, image: rest.image, data: data.sha256, mean: rest.mean, std: rest.std, classes: rest.classes },
    ...{ subset: rest.subsetSha256, zca: zca?.sha256, epochs: rest.epochs, ...config },
    ...Object.fromEntries(Object.entries(schedule).map(([name, value]) => [`schedule ${name}`, value])),
    kept: rest.kept,
  })
  const [old, wanted] = [flat(there), flat(here)]
  const names = [...new Set([...Object.keys(old), ...Object.keys(wanted)])]
  const name = names.find((one) => differs(old[one], wanted[one])) ?? 'settings'
  const todo = 'a store is continued with its own settings; give another directory for others'
  throw new AludelError(
    'invalid_option',
    `${dir}: ${name} is ${JSON.stringify(old[name])} there but ${JSON.stringify(wanted[name])} here; ${todo}`,
  )
}

interface GroupOfExperts {
  readonly first: number
  readonly count: number
}

/** The programs' experts, of a shard those from (index - 1) / of to index / of. */
function groupsOf({ experts }: ExpertsRecord, { together }: ExpertsPlan, shard: Shard | undefined): GroupOfExperts[] {
  const all = Math.ceil(experts / together)
  const [from, to] = shard ? [shard.index - 1, shard.index].map((part) => Math.floor((part * all) / shard.of)) : [0, all]
  return Array.from({ length: to - from }, (_, i) => {
    const first = (from + i) * together
    return { first, count: Math.min(together, experts - first) }
  })
}

function checkShard(what: string, shard: unknown): Shard | undefined {
  if (shard === undefined) return undefined
  const { index, of } = (isRecord(shard) ? shard : {}) as Partial<Shard>
  const whole = Number.isSafeInteger(index) && Number.isSafeInteger(of)
  if (!whole || Number(index) < 1 || Number(index) > Number(of))
    throw expected('invalid_option', `${what}: shard`, '{ index, of } with whole numbers and 1 <= index <= of', shard)
  return shard as Shard
}

/** Throws `invalid_option` for an epoch without rows, or with some that the data set does not have. */
function checkRows(rows: Int32Array, epoch: number, samples: number): void {
  if (rows.length === 0) throw expected('invalid_option', `trainExperts: schedule: epoch ${epoch + 1}`, 'at least one row', 'none')
  const wrong = rows.find((row) => row < 0 || row >= samples)
  if (wrong !== undefined)
    throw expected('invalid_option', `trainExperts: schedule: epoch ${epoch + 1}`, `rows from 0 to ${samples - 1}`, wrong)
}

/** Steps done, of all of a call's. */
class ProgressMeter {
  readonly #plan: ExpertsPlan
  readonly #record: ExpertsRecord
  readonly #groups: readonly GroupOfExperts[]
  readonly #report: ExpertsOptions['onProgress']
  readonly #start = performance.now()
  /** Steps before each epoch, and of all. */
  #before: number[] = []
  #group: GroupOfExperts = { first: 0, count: 0 }
  #doneBefore = 0
  #foundBefore = 0
  #foundHere = 0

  constructor(plan: ExpertsPlan, record: ExpertsRecord, groups: readonly GroupOfExperts[], { onProgress }: ExpertsOptions) {
    this.#plan = plan
    this.#record = record
    this.#groups = groups
    this.#report = onProgress
  }

  async countSteps(): Promise<void> {
    const { schedule, batch } = this.#plan
    const turn = new Turn()
    const { epochs, data } = this.#record
    let steps = 0
    this.#before = [0]
    for (let epoch = 0; epoch < epochs; epoch++) {
      const rows = schedule?.rows(epoch)
      if (rows) checkRows(rows, epoch, data.samples)
      steps += Math.ceil((rows?.length ?? data.samples) / Math.min(batch, data.samples))
      this.#before.push(steps)
      await turn.breathe()
    }
  }

  get #each(): number {
    return this.#before[this.#record.epochs]
  }

  begin(first: number, count: number): void {
    const at = this.#groups.findIndex((group) => group.first === first)
    this.#foundBefore += this.#foundHere
    this.#foundHere = 0
    this.#doneBefore = at * this.#each
    this.#group = { first, count }
  }

  /** The steps before `epoch` were done before this call. */
  found(epoch: number): void {
    this.#foundHere = this.#before[epoch]
    this.at(epoch, 0)
  }

  at(epoch: number, steps: number, means?: { readonly loss: number; readonly accuracy: number }): void {
    const { first, count } = this.#group
    const { epochs } = this.#record
    const done = this.#doneBefore + this.#before[epoch] + steps
    const found = this.#foundBefore + this.#foundHere
    this.#report?.({
      ...{ done, total: this.#groups.length * this.#each, found, experts: [first, first + count - 1] },
      ...{ epoch: Math.min(epoch + 1, epochs), epochs, ...means },
      images: (done - found) * Math.min(this.#plan.batch, this.#record.data.samples) * this.#plan.together,
      seconds: (performance.now() - this.#start) / 1000,
    })
  }
}
