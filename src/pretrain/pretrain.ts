/** @file Self-supervised pretraining into the directory of a teacher: begun, continued to the same bytes, or there already. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { checkPath } from '../arguments.js'
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { checkSavedPlan } from '../engine/saved-plan.js'
import { AbortError, AludelError, onFile } from '../errors.js'
import { checkpointStore } from '../experiment/checkpoint-store.js'
import { locked } from '../experiment/run-lock.js'
import { encodeSealed } from '../experiment/sealed-json.js'
import type { Checkpoint, CheckpointStore } from '../experiment/types.js'
import { saveNetwork } from '../export/network-file.js'
import { prepareDirectory, writeAtomic } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { hashOfParts } from '../files/pieces.js'
import { openOwnTeacher } from '../teachers/own-teacher.js'
import { assessTeacher, type TeacherQuality } from '../teachers/quality.js'
import { holdsTeacher, readTeacherRecord, type TeacherRecord, weightsPath, writeTeacherRecord } from '../teachers/record.js'
import { beginRecord } from './record.js'
import { type PretrainOptions, type PretrainPlan, type PretrainRecord, planPretrain } from './settings.js'
import { chunkSlots } from './step.js'
import { PretrainTrainer } from './trainer.js'
import { withinMemory } from './within-memory.js'

export interface PretrainedTeacher {
  readonly dir: string
  readonly record: TeacherRecord
  /** Identity of the teacher. */
  readonly sha256: string
  readonly quality: TeacherQuality
}

const progressPath = (dir: string): string => join(dir, 'progress')
export const qualityPath = (dir: string): string => join(dir, 'quality.json')

/** A chunk that takes longer is not made larger: ctrl-c waits for the end of one. */
const chunkSeconds = 0.5
/** Representations closer together than this, through a whole epoch, have collapsed. */
const leastSpread = 1e-3

/**
 * Trains a network on images without labels and keeps it as a teacher in `dir`: teacher.json, network.safetensors, and quality.json, whose
 * warnings say what speaks against distilling from it.
 *
 * A directory of the same settings is continued after its last checkpoint, to the same bytes. Rejects with `invalid_option` before anything
 * is trained, and for a directory of other settings; `not_found` for a network that is none; `not_finite` for a loss that is no number and
 * `invalid_data` where the representations of all images have become one (the newest checkpoint before stays); `locked`, `incompatible`,
 * `io`, `out_of_memory`; AbortError, after the state was saved.
 *
 * ```ts
 * const { sha256, quality } = await pretrain('teachers/bt', train, { objective: 'barlow-twins', epochs: 200, device })
 * ```
 */
export async function pretrain(dir: string, data: Dataset | DatasetInput, options: PretrainOptions): Promise<PretrainedTeacher> {
  checkPath('pretrain: directory', dir)
  const train = asDataset(data)
  const plan = planPretrain(train, options)
  await onFile(dir, () => makeDirectory(dir))
  return locked(dir, async () => {
    await prepareDirectory(dir)
    const record = await beginRecord(dir, plan.record)
    if (!(await holdsTeacher(dir))) await new Pretraining(dir, train, plan, record, options).run()
    const quality = await assess(dir, train, plan, options)
    await onFile(dir, () => rm(progressPath(dir), { recursive: true, force: true }))
    return { dir, ...(await readTeacherRecord(dir)), quality }
  })
}

async function assess(dir: string, train: Dataset, { seed }: PretrainPlan, { device, signal }: PretrainOptions): Promise<TeacherQuality> {
  const teacher = await openOwnTeacher(dir, device)
  try {
    const quality = await assessTeacher(teacher, train, { seed, ...(signal && { signal }) })
    await writeAtomic(qualityPath(dir), encodeSealed(quality))
    return quality
  } finally {
    await teacher.dispose()
  }
}

class Pretraining {
  readonly #dir: string
  readonly #train: Dataset
  readonly #plan: PretrainPlan
  readonly #record: PretrainRecord
  readonly #options: PretrainOptions
  readonly #store: CheckpointStore
  readonly #trainer: PretrainTrainer
  /** Of the steps so far, since the last whole epoch. */
  #epoch = { loss: 0, spread: 0 }
  /** Whether there is a checkpoint. */
  #saved = false
  readonly #losses: number[] = []
  readonly #spreads: number[] = []

  constructor(dir: string, train: Dataset, plan: PretrainPlan, record: PretrainRecord, options: PretrainOptions) {
    this.#dir = dir
    this.#train = train
    this.#plan = plan
    this.#record = record
    this.#options = options
    this.#store = checkpointStore(progressPath(dir))
    this.#trainer = withinMemory(options.device, () => new PretrainTrainer(options.device, plan, train))
  }

  async run(): Promise<void> {
    try {
      await this.#run()
      await this.#finish()
    } finally {
      this.#trainer.dispose()
    }
  }

  async #run(): Promise<void> {
    const { signal, onProgress } = this.#options
    const { epochs, stepsPerEpoch, batch, checkpointSeconds } = this.#plan
    const total = this.#trainer.steps
    const loaded = (await this.#store.load())?.checkpoint
    this.#saved = loaded !== undefined
    if (loaded) await this.#restore(loaded)
    else await this.#trainer.initialize()
    const found = loaded?.counters.step ?? 0
    const begin = performance.now()
    let saved = begin
    let size = 1
    for (let step = found; step < total; ) {
      if (signal?.aborted) {
        await this.#save(step)
        throw new AbortError(signal.reason)
      }
      const count = Math.min(size, total - step, chunkSlots)
      const started = performance.now()
      const { losses, spreads } = await this.#trainer.run(step, count)
      for (let i = 0; i < count; i++) this.#count(step + i, losses[i], spreads[i])
      step += count
      const now = performance.now()
      if (now - started < chunkSeconds * 1000) size = Math.min(chunkSlots, size * 2)
      if (now - saved > checkpointSeconds * 1000) {
        await this.#save(step)
        saved = performance.now()
      }
      onProgress?.({
        ...{ done: step, total, found, epoch: Math.min(epochs, Math.floor(step / stepsPerEpoch) + 1), epochs },
        ...{ loss: losses[count - 1], spread: spreads[count - 1] },
        ...{ images: (step - found) * batch, seconds: (performance.now() - begin) / 1000 },
      })
    }
    await this.#save(total)
  }

  /** Takes one step down; the guards against losses that are no numbers, and against representations that have become one. */
  #count(step: number, loss: number, spread: number): void {
    const { stepsPerEpoch } = this.#plan
    const epoch = Math.floor(step / stepsPerEpoch) + 1
    const kept = this.#saved ? `the newest checkpoint in ${progressPath(this.#dir)} is from before; ` : ''
    const todo = `${kept}train with a lower learning rate, into another directory`
    if (!Number.isFinite(loss) || !Number.isFinite(spread))
      throw new AludelError('not_finite', `pretrain: the loss of step ${step + 1} (epoch ${epoch}) is ${loss}, spread ${spread}; ${todo}`)
    this.#epoch = { loss: this.#epoch.loss + loss, spread: this.#epoch.spread + spread }
    if ((step + 1) % stepsPerEpoch !== 0) return
    const spreadMean = this.#epoch.spread / stepsPerEpoch
    this.#losses.push(this.#epoch.loss / stepsPerEpoch)
    this.#spreads.push(spreadMean)
    this.#epoch = { loss: 0, spread: 0 }
    if (spreadMean >= leastSpread) return
    const what = `pretrain: in epoch ${epoch} the representations of all images were one (spread ${spreadMean.toExponential(1)})`
    throw new AludelError('invalid_data', `${what}: the training has collapsed; ${todo}`)
  }

  async #save(step: number): Promise<void> {
    await this.#store.save(await this.#checkpoint(step))
    this.#saved = true
  }

  async #checkpoint(step: number): Promise<Checkpoint> {
    const { classes, mean, std, flip } = this.#train
    const curve = (values: readonly number[]) => ({ dtype: 'f64' as const, shape: [values.length], data: Float64Array.from(values) })
    return {
      config: { ...this.#record.config, objective: this.#record.objective, network: this.#record.network },
      data: { classes, mean, std, flip },
      plans: { step: this.#trainer.stepPlan },
      counters: { step },
      tensors: {
        ...(await this.#trainer.carried()),
        losses: curve([...this.#losses, this.#epoch.loss]),
        spreads: curve([...this.#spreads, this.#epoch.spread]),
      },
      seconds: 0,
    }
  }

  async #restore({ plans, tensors }: Checkpoint): Promise<void> {
    checkSavedPlan('step', plans.step, this.#trainer.stepPlan)
    await this.#trainer.restore(tensors)
    const [losses, spreads] = [tensors.losses, tensors.spreads].map(({ data }) => Array.from(data))
    this.#epoch = { loss: losses.pop() ?? 0, spread: spreads.pop() ?? 0 }
    this.#losses.push(...losses)
    this.#spreads.push(...spreads)
  }

  async #finish(): Promise<void> {
    const { specification: _, ...rest } = this.#record
    const path = weightsPath(this.#dir)
    await saveNetwork(path, this.#plan.backbone.network, await this.#trainer.backbone())
    const weights = await hashOfParts('', [await readWhole(path, maxFileBytes)])
    await writeTeacherRecord(this.#dir, { ...rest, losses: [...this.#losses], spreads: [...this.#spreads], weights })
  }
}
