/** @file Search of a network architecture on a distilled set, and how far its order is that of training on all real images. */
import { AbortError } from '../errors.js'
import type { SyntheticSetFields } from '../experiment/types.js'
import type { NasOptions, NasProgress } from './options.js'
import { checkMemory, type NasPlan, planSearch } from './plan.js'
import type { NasCell, NasStore } from './record.js'
import { type Job, type NasPlanOptions, prepareSearch, type Search } from './search.js'
import { type NasResult, resultOf } from './summary.js'
import { trainGroup } from './train-group.js'

/**
 * Trains every network of the space on `set` from scratch and orders them by their accuracy on the test images. A sample of them is trained on
 * the baselines and on all real images too; rank correlations over the sample say how far each source's order is that of the real images. A network starts from
 * the same weights on every source. `set` holds normalised float32 pixels [M, H, W, C] and labels [M]; data and test are of its size and classes.
 * @throws AludelError before anything trains: `invalid_option` (an empty axis, a value that there is not, a network too deep for the images, a sample
 * above the space), `invalid_data` (no labels, other classes or another size), `out_of_memory`; on the way AbortError: what was done is in the store.
 */
export async function nas(set: SyntheticSetFields, options: NasOptions): Promise<NasResult> {
  const search = await prepareSearch(set, options)
  const memory = await checkMemory(search)
  if (options.onPlan) options.onPlan(await planSearch(search, memory))
  const cells = await trainJobs(search, options.store)
  const result = resultOf(search, cells)
  await options.store?.conclude(result)
  return result
}

/** What `nas` would do with these arguments, but for what the store has: nothing is trained. Rejects as `nas` does before it begins. */
export async function planNas(set: SyntheticSetFields, options: NasPlanOptions): Promise<NasPlan> {
  const search = await prepareSearch(set, options)
  return planSearch(search, await checkMemory(search))
}

/** The cells of all jobs, in their order. */
async function trainJobs({ jobs, settings, options, test }: Search, store: NasStore | undefined): Promise<NasCell[]> {
  const { device, signal, onCells, onProgress } = options
  const todo = jobs.filter(({ found }) => !found)
  const [total, flops] = [todo.reduce((n, { keys }) => n + keys.length, 0), todo.reduce((sum, job) => sum + job.flops, 0)]
  const cells: NasCell[] = []
  let [trainings, behind] = [0, 0]
  for (const job of jobs) {
    if (job.found) {
      cells.push(...job.found)
      continue
    }
    if (signal?.aborted) throw new AbortError(signal.reason)
    const { candidate, training, first, keys } = job
    const { source, epochs, protocol } = training
    const { name: architecture } = candidate.architecture
    const trained = protocol.trained(epochs)
    const report = (done: number, epoch: number, loss: number | null) => {
      const share = (behind + job.flops * done) / flops
      const progress: NasProgress = { source, architecture, trainings, total, share, epoch, epochs: trained, loss }
      onProgress?.(progress)
    }
    const start = performance.now()
    const group = { network: candidate.network, training, first, groups: keys.length, seed: settings.seed }
    const accuracies = await trainGroup(device, test, group, { signal, report })
    const seconds = (performance.now() - start) / 1000 / keys.length
    const measured = cellsOf(job, accuracies, seconds)
    await store?.add(measured)
    cells.push(...measured)
    trainings += keys.length
    behind += job.flops
    onCells?.(measured)
  }
  return cells
}

const cellsOf = ({ candidate, training, first, keys }: Job, accuracies: readonly (number | null)[], seconds: number): NasCell[] =>
  keys.map((key, g) => ({
    ...{ architecture: candidate.architecture.name, source: training.source, repeat: first + g },
    ...{ accuracy: accuracies[g], seconds, key },
  }))
