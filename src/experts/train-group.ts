/** @file Trains the experts of one program: their parameters after kept epochs go into files that grow, and the state of all of them is kept after every epoch. */

import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import type { Dataset } from '../data/dataset.js'
import type { Device } from '../engine/runtime/device.js'
import { checkSavedPlan } from '../engine/saved-plan.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { AbortError, AludelError, onFile } from '../errors.js'
import { readNetworks } from '../evaluate/train-networks.js'
import { Trainer } from '../evaluate/trainer.js'
import { Turn } from '../event-loop.js'
import { checkpointStore } from '../experiment/checkpoint-store.js'
import { locked } from '../experiment/run-lock.js'
import type { Checkpoint, StateTensor } from '../experiment/types.js'
import { prepareDirectory } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { engineToFlat } from '../nn/flat-parameters.js'
import { ExpertWriter } from './expert-writer.js'
import { type ExpertsRecord, settingsOf } from './record.js'
import type { ExpertsPlan } from './settings.js'
import { finishedExperts } from './store.js'
import { groupDir } from './work-directory.js'

export interface GroupJob {
  readonly dir: string
  readonly device: Device
  readonly train: Dataset
  readonly plan: ExpertsPlan
  readonly record: ExpertsRecord
  /** First of the experts, and how many of the networks of the program are experts of the store. */
  readonly first: number
  readonly count: number
  readonly signal: AbortSignal | undefined
  /** Hears that `epoch` (from 0) goes on: so many of its steps are done; `means` are of the epoch before. */
  readonly onSteps: (epoch: number, steps: number, means?: { readonly loss: number; readonly accuracy: number }) => void
  /** Hears that a continuation begins at this epoch. */
  readonly onFound: (epoch: number) => void
}

/** Trains to the end what is not finished. Throws `not_finite`, `io`, `locked`, `incompatible`, `invalid_data`, `out_of_memory`, AbortError. */
export async function trainGroup(job: GroupJob): Promise<void> {
  const { dir, first, count } = job
  const place = groupDir(dir, first, count)
  await onFile(place, () => makeDirectory(place))
  await locked(place, async () => {
    await prepareDirectory(place)
    // another process may have finished them while this one waited for its turn
    const missing = await missingExperts(job)
    if (missing.length > 0) await new Group(job, place, missing).run()
    await onFile(place, () => rm(place, { recursive: true, force: true }))
  })
}

async function missingExperts({ dir, first, count }: GroupJob): Promise<number[]> {
  const finished = await finishedExperts(dir)
  return Array.from({ length: count }, (_, i) => first + i).filter((expert) => !finished.includes(expert))
}

const prefix = 'network:'
const hashBytes = 32

class Group {
  readonly #job: GroupJob
  readonly #place: string
  readonly #trainer: Trainer
  readonly #writers: readonly ExpertWriter[]
  readonly #missing: readonly number[]
  /** Of the epochs so far, [epochs][networks of the store]. */
  readonly #losses: number[][] = []
  readonly #accuracies: number[][] = []
  readonly #settings: string

  constructor(job: GroupJob, place: string, missing: readonly number[]) {
    const { dir, device, train, plan, record, first, count } = job
    const { network, policy, gsam, lr, momentum, weightDecay, batch, together, seed, schedule } = plan
    this.#job = job
    this.#place = place
    this.#missing = missing
    this.#settings = settingsOf(record)
    this.#writers = Array.from({ length: count }, (_, i) => new ExpertWriter(dir, record, first + i, { growing: place }))
    this.#trainer = new Trainer(device, {
      network,
      sets: [{ ...train, images: train.whitened?.pixels ?? train.images }],
      groups: together,
      augment: policy,
      key: fold(keyOf(seed), 'experts', record.network),
      firstNetwork: first,
      rule: { batch, momentum, weightDecay, lr: () => lr },
      countHits: true,
      ...(gsam && { gsam }),
      ...(schedule && { rowsOf: (epoch: number) => schedule.rows(epoch) }),
    })
  }

  async run(): Promise<void> {
    try {
      await this.#train()
    } finally {
      this.#trainer.dispose()
    }
    for (const [i, writer] of this.#writers.entries()) {
      const curve = (values: readonly number[][]) => values.map((epoch) => epoch[i])
      if (this.#isMissing(i)) await writer.finish({ losses: curve(this.#losses), accuracies: curve(this.#accuracies) })
    }
  }

  #isMissing(i: number): boolean {
    return this.#missing.includes(this.#job.first + i)
  }

  /** While an epoch is trained, the one before is written. */
  async #train(): Promise<void> {
    const { device, record, signal, onSteps, onFound } = this.#job
    const store = checkpointStore(join(this.#place, 'state'))
    await this.#trainer.initialize(device)
    const loaded = (await store.load())?.checkpoint
    if (loaded) await this.#restore(loaded)
    const from = loaded?.counters.step ?? 0
    onFound(from)
    let writing = loaded ? Promise.resolve() : (await this.#write(store.save, 0)).done
    try {
      for (let epoch = from; epoch < record.epochs; epoch++) {
        if (signal?.aborted) throw new AbortError(signal.reason)
        const means = this.#means()
        this.#trainer.goTo(epoch)
        onSteps(epoch, 0, means)
        const { losses, accuracies } = await this.#trainer.trainEpoch(epoch, signal, (steps) => onSteps(epoch, steps, means))
        this.#checkLosses(losses, epoch)
        await writing
        this.#losses.push(losses.slice(0, this.#writers.length))
        this.#accuracies.push(accuracies.slice(0, this.#writers.length))
        writing = (await this.#write(store.save, epoch + 1)).done
      }
    } finally {
      // what went wrong first is what counts; a write that fails here fails the training below
      await writing.catch(() => undefined)
    }
    await writing
  }

  /** Networks beside the last expert of the store are nobody's. */
  #checkLosses(losses: readonly number[], epoch: number): void {
    for (const [i] of this.#writers.entries()) {
      if (Number.isFinite(losses[i])) continue
      const what = `expert ${this.#job.first + i}: the training loss of epoch ${epoch + 1} is ${losses[i]}`
      throw new AludelError(
        'not_finite',
        `${what}; nothing of that epoch is stored. Train with a lower learning rate, into another directory`,
      )
    }
  }

  #means(): { loss: number; accuracy: number } | undefined {
    const mean = (values: readonly number[]) => values.reduce((a, b) => a + b, 0) / values.length
    const [losses, accuracies] = [this.#losses.at(-1), this.#accuracies.at(-1)]
    return losses && accuracies && { loss: mean(losses), accuracy: mean(accuracies) }
  }

  /** Reads the state after an epoch; resolves once it is read, `done` once it is written. */
  async #write(save: (checkpoint: Checkpoint) => Promise<void>, epoch: number): Promise<{ readonly done: Promise<void> }> {
    const { plan, record } = this.#job
    const turn = new Turn()
    const networks = await readNetworks(this.#trainer.networks, plan.together)
    const flats: Float32Array[] = []
    for (const [i] of this.#writers.entries()) {
      flats.push(engineToFlat(plan.network, networks[i].parameters))
      await turn.breathe()
    }
    const carried = await this.#carried()
    const write = async () => {
      if (record.kept.includes(epoch))
        for (const [i, writer] of this.#writers.entries()) if (this.#isMissing(i)) await writer.add(epoch, flats[i])
      await save(this.#checkpoint(epoch, carried))
    }
    const done = write()
    // what fails is heard where `done` is awaited, after the next epoch
    done.catch(() => undefined)
    return { done }
  }

  async #carried(): Promise<Record<string, StateTensor>> {
    const entries = Object.entries(this.#trainer.carried).map(
      async ([name, array]): Promise<[string, StateTensor]> => [
        prefix + name,
        { dtype: array.dtype, shape: array.shape, data: await array.read() },
      ],
    )
    return Object.fromEntries(await Promise.all(entries))
  }

  #checkpoint(epoch: number, carried: Readonly<Record<string, StateTensor>>): Checkpoint {
    const { train, record, first, plan } = this.#job
    const { classes, mean, std, flip } = train
    const count = this.#writers.length
    const written = record.kept.filter((kept) => kept <= epoch).length
    const hashes = new Uint8Array(count * written * hashBytes)
    for (const [i, writer] of this.#writers.entries())
      for (let k = 0; k < written; k++) hashes.set(Buffer.from(writer.hashes[k] ?? '', 'hex'), (i * written + k) * hashBytes)
    const curve = (values: readonly number[][]): StateTensor => ({
      dtype: 'f64',
      shape: [epoch, count],
      data: Float64Array.from(values.slice(0, epoch).flat()),
    })
    return {
      config: { settings: this.#settings, kept: [...record.kept], first, count, together: plan.together },
      data: { classes, mean, std, flip },
      plans: { training: this.#trainer.plan },
      counters: { step: epoch },
      tensors: {
        ...carried,
        losses: curve(this.#losses),
        accuracies: curve(this.#accuracies),
        hashes: { dtype: 'u8', shape: [count, written, hashBytes], data: hashes },
      },
      seconds: 0,
    }
  }

  async #restore(saved: Checkpoint): Promise<void> {
    const { config, plans, counters, tensors } = saved
    const here = this.#checkpoint(0, {})
    if (JSON.stringify(config) !== JSON.stringify(here.config)) {
      const todo = `remove ${this.#place} to train these experts anew`
      throw new AludelError('incompatible', `${this.#place}: was begun with other settings than those of the store; ${todo}`)
    }
    checkSavedPlan('training', plans.training, here.plans.training)
    for (const [name, array] of Object.entries(this.#trainer.carried)) await array.write(tensors[prefix + name].data)
    const count = this.#writers.length
    for (const [list, name] of [
      [this.#losses, 'losses'],
      [this.#accuracies, 'accuracies'],
    ] as const) {
      const values = tensors[name].data
      for (let epoch = 0; epoch < counters.step; epoch++) list.push(Array.from(values.subarray(epoch * count, (epoch + 1) * count)))
    }
    const [, written] = tensors.hashes.shape
    const bytes = tensors.hashes.data as Uint8Array
    for (const [i, writer] of this.#writers.entries()) {
      if (!this.#isMissing(i)) continue
      const at = (k: number) => bytes.subarray((i * written + k) * hashBytes, (i * written + k + 1) * hashBytes)
      for (let k = 0; k < written; k++) writer.hashes.push(Buffer.from(at(k)).toString('hex'))
      await writer.check()
    }
  }
}
