/** @file The checkpoints of one expert while it is trained: they grow in a file elsewhere, which takes its place in the store when it is whole. */
import { rename } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { exists } from '../data/file-bytes.js'
import { expected, onFile } from '../errors.js'
import { syncDirectory } from '../files/atomic-file.js'
import { checkFinite, hashOfCheckpoint, readGrowing, sealCheckpoints, writeCheckpointAt } from './checkpoints-file.js'
import { checkpointsPath, type ExpertsRecord, expertFormat, expertsVersion, settingsOf, writeExpertRecord } from './record.js'

/** How an expert's training went, by epoch. */
export interface TrainingCurves {
  /** Mean cross-entropy. */
  readonly losses: readonly number[]
  /** Per cent of the augmented training images. */
  readonly accuracies: readonly number[]
}

export class ExpertWriter {
  /** Of the epochs written so far, in the order of the kept ones. */
  readonly hashes: string[]
  readonly #dir: string
  readonly #expert: number
  readonly #record: ExpertsRecord
  readonly #path: string

  /** `growing` is the folder in which the file grows, on the file system of `dir`; `hashes` are those of the epochs that it holds already. */
  constructor(dir: string, record: ExpertsRecord, expert: number, { growing = dir, hashes = [] as readonly string[] } = {}) {
    this.#dir = dir
    this.#expert = expert
    this.#record = record
    this.#path = join(growing, `growing-${expert}.safetensors`)
    this.hashes = [...hashes]
  }

  get #layout() {
    const { parameters, kept: epochs } = this.#record
    return { expert: this.#expert, parameters, epochs }
  }

  /** Stores the parameters after `epoch` when it is a kept one. Throws `not_finite` and stores nothing, `invalid_shape`, `io`. */
  async add(epoch: number, flat: Float32Array): Promise<void> {
    const place = this.#record.kept.indexOf(epoch)
    if (place < 0) return
    const { parameters } = this.#record
    if (flat.length !== parameters) throw expected('invalid_shape', `expert ${this.#expert}`, `${parameters} parameters`, flat.length)
    await checkFinite(`expert ${this.#expert} after epoch ${epoch}`, flat)
    await writeCheckpointAt(this.#path, this.#layout, epoch, flat)
    this.hashes[place] = await hashOfCheckpoint(flat)
  }

  /** Throws `invalid_data` naming the hash when the file does not hold what it held when `hashes` were taken down. */
  async check(): Promise<void> {
    const { epochs } = this.#layout
    const path = await this.#place()
    for (const [i, hash] of this.hashes.entries()) {
      const received = await hashOfCheckpoint(await readGrowing(path, this.#layout, epochs[i]))
      if (received !== hash) throw expected('invalid_data', `${path}: parameters after epoch ${epochs[i]}`, `sha256 ${hash}`, received)
    }
  }

  /** A process may have died between the last two steps of `finish`. */
  async #place(): Promise<string> {
    const finished = checkpointsPath(this.#dir, this.#expert)
    return !(await exists(this.#path)) && (await exists(finished)) ? finished : this.#path
  }

  /** Puts the file into the store and writes the record that makes the expert a finished one. Throws `io`. */
  async finish({ losses, accuracies }: TrainingCurves): Promise<void> {
    const target = checkpointsPath(this.#dir, this.#expert)
    if ((await this.#place()) === this.#path) {
      await sealCheckpoints(this.#path, this.#layout, this.hashes)
      await onFile(target, async () => {
        await rename(this.#path, target)
        await syncDirectory(dirname(target))
      })
    }
    await writeExpertRecord(this.#dir, {
      ...{ format: expertFormat, version: expertsVersion, expert: this.#expert, settings: settingsOf(this.#record) },
      ...{ epochs: [...this.#record.kept], hashes: [...this.hashes] },
      ...{ losses: [...losses], accuracies: [...accuracies] },
    })
  }
}
