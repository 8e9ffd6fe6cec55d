/** @file Scores of a data set by networks trained on it on the spot, or by networks that are given: one training serves all scores. */
import { createHash } from 'node:crypto'
import { asDataset, type Dataset, type DatasetInput } from '../data/index.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Plan } from '../engine/compile/program.js'
import { checkSavedPlan } from '../engine/saved-plan.js'
import { AbortError, AludelError } from '../errors.js'
import { readNetworks } from '../evaluate/train-networks.js'
import type { Checkpoint, RunConfig } from '../experiment/types.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import { scoredData } from '../prune/provenance.js'
import { describeScores, type ScoreFile } from '../prune/score-file.js'
import type { Matrix } from '../scores/matrix.js'
import { classPrototypicality, clusterPrototypicality } from '../scores/prototypicality.js'
import type { ScoreName } from '../scores/registry.js'
import { uniformScore } from '../scores/uniform.js'
import { checkAboveChance } from './chance.js'
import { describeScore } from './describe.js'
import type { FeatureFile } from './feature-file.js'
import { GradientPass } from './gradient-pass.js'
import { configOf, planScoring, type ScoreDatasetOptions, type ScoringPlan } from './options.js'
import { type OutputChunk, OutputPass } from './output-pass.js'
import { isFeatureKind, ScoreSums } from './score-sums.js'
import { type Subject, subjectOf } from './subject.js'
import { WorkMeter } from './work.js'

export interface ScoredDataset<K extends ScoreName = ScoreName> {
  /** By name, each with what it is and where it comes from: `writeScores` keeps one. */
  readonly scores: Readonly<Record<K, ScoreFile>>
  /** Of the last network, where they were asked for. */
  readonly features: FeatureFile | null
  /** Accuracy of each network on the images, in per cent, after its last epoch. */
  readonly accuracies: readonly number[]
  /** Mean of the same by class; null for a class without images. */
  readonly perClass: readonly (number | null)[]
  /** Every setting, resolved. */
  readonly config: RunConfig
  /** Wall-clock seconds, those before a continuation included. */
  readonly seconds: number
}

/** Seconds between two saves within the gradients of one network. */
const saveSeconds = 30

/**
 * Scores every image of `data`: `runs` networks are trained on all of it for `epochs` epochs each, and after every epoch a pass over the
 * clean images gives the logits that scores are made of (BiLP, arXiv 2305.18381: 5 epochs and a few runs estimate the loss well enough).
 * Sums over networks and epochs are float64; equal settings give equal bits on one instruction set, at any number of threads, continued
 * or not.
 *
 * Rejects with `invalid_option` before anything is computed, `not_found` for a network that is none; `not_finite` when a loss, a logit or a
 * score is no number, with the rows; `invalid_data` when a network is hardly better than chance; `incompatible` for a checkpoint of other
 * settings, data, instruction set or plan; `out_of_memory`; AbortError.
 *
 * ```ts
 * const { scores } = await scoreDataset(train, { kinds: ['loss', 'el2n'], runs: 5, epochs: 5, device })
 * const easiest = await selectSamples(train, { order: 'asc', scores: scores.loss.values, keep: 0.2 })
 * ```
 */
export async function scoreDataset<const K extends ScoreName>(
  data: Dataset | DatasetInput,
  options: ScoreDatasetOptions<K>,
): Promise<ScoredDataset<K>> {
  const train = asDataset(data)
  const plan = planScoring(train, options)
  return new Scoring(train, plan, options).run()
}

/** How far a scoring is: networks that are through, epochs of the next, and rows of its gradients. */
interface Place {
  readonly run: number
  readonly epoch: number
  readonly row: number
}

class Scoring {
  readonly #train: Dataset
  readonly #plan: ScoringPlan
  readonly #options: ScoreDatasetOptions
  readonly #sums: ScoreSums
  readonly #work: WorkMeter
  readonly #counts: Int32Array
  readonly #config: RunConfig
  readonly #accuracies: number[] = []
  #plans: Record<string, Plan> = {}
  #features: { readonly features: Matrix; readonly logits: Matrix } | undefined
  #saved = performance.now()
  #secondsBefore = 0
  readonly #start = performance.now()

  constructor(train: Dataset, plan: ScoringPlan, options: ScoreDatasetOptions) {
    this.#train = train
    this.#plan = plan
    this.#options = options
    this.#sums = new ScoreSums(plan, train)
    this.#work = new WorkMeter(plan, train.labels.length, options.onProgress)
    this.#counts = Int32Array.from(train.classes, (_, c) => train.classIndices(c).length)
    this.#config = { ...configOf(plan, train), ...(plan.weights && { weights: plan.weights.map(hashOf) }) }
  }

  async run(): Promise<ScoredDataset> {
    const { kinds, runs, features } = this.#plan
    const needed = features || kinds.some((kind) => kind !== 'uniform')
    const loaded = needed ? (await this.#options.checkpoints?.load())?.checkpoint : undefined
    if (loaded) this.#checkConfig(loaded)
    const from = loaded ? { run: loaded.counters.run, epoch: loaded.counters.epoch, row: loaded.counters.row } : undefined
    this.#skip(from)
    for (let run = 0; needed && run < runs; run++) {
      if (from && run < from.run) this.#accuracies.push(this.#accuracyOf(loaded as Checkpoint, run))
      else await this.#scoreBy(run, run === from?.run ? loaded : undefined)
    }
    const results = await this.#sums.results()
    if (kinds.includes('uniform')) results.set('uniform', await uniformScore(this.#train.labels.length, this.#plan.seed))
    const scores = kinds.map((kind) => {
      const values = results.get(kind) as Float64Array
      return [kind, describeScores(this.#train, values, describeScore(kind, this.#plan))] as const
    })
    return {
      scores: Object.fromEntries(scores) as ScoredDataset['scores'],
      features: this.#features
        ? {
            data: scoredData(this.#train),
            score: describeScore('features', this.#plan),
            features: this.#features.features,
            logits: this.#features.logits,
          }
        : null,
      accuracies: this.#accuracies,
      perClass: needed ? this.#perClass() : [],
      config: this.#config,
      seconds: this.#seconds,
    }
  }

  get #seconds(): number {
    return this.#secondsBefore + (performance.now() - this.#start) / 1000
  }

  /** All of one network, from where the checkpoint has it. */
  async #scoreBy(run: number, from: Checkpoint | undefined): Promise<void> {
    const { device, signal, onNetwork } = this.#options
    const { network, epochs, kinds, features } = this.#plan
    if (signal?.aborted) throw new AbortError(signal.reason)
    const wantFeatures = features && run === this.#plan.runs - 1
    const train = this.#train
    const { subject, outputs, last, gradients } = allOrNothing((own) => {
      const subject = own(subjectOf(device, this.#plan, train, run))
      const pass = (squares: boolean, withFeatures: boolean) =>
        own(new OutputPass(device, { network, data: train, rows: subject.rows, wants: { squares, features: withFeatures } }))
      const outputs = pass(false, false)
      const atEnd = { squares: this.#sums.has('grandLastLayer'), features: kinds.some(isFeatureKind) || wantFeatures }
      return {
        subject,
        outputs,
        last: atEnd.squares || atEnd.features ? pass(atEnd.squares, atEnd.features) : outputs,
        gradients: kinds.includes('grand') ? own(new GradientPass(device, network, train, subject.rows)) : undefined,
      }
    })
    try {
      this.#plans = {
        outputs: outputs.plan,
        last: last.plan,
        ...(subject.plan && { training: subject.plan }),
        ...(gradients && { gradients: gradients.plan }),
      }
      if (from) this.#checkPlans(from)
      this.#sums.beginRun()
      if (from) this.#sums.restore(from.tensors)
      await subject.start(from?.counters.epoch ?? 0, from?.tensors)
      for (let epoch = from?.counters.epoch ?? 0; epoch < epochs; epoch++) {
        await this.#epoch(run, epoch, subject, epoch === epochs - 1 ? last : outputs, wantFeatures)
        await this.#save({ run, epoch: epoch + 1, row: 0 }, subject)
      }
      for (let row = from?.counters.row ?? 0; gradients && row < train.labels.length; row += gradients.rowsPerChunk) {
        const norms = await gradients.norms(subject.networks, row, signal)
        this.#sums.add('grand', row, norms)
        this.#work.add('gradients', norms.length, { run })
        if (performance.now() - this.#saved > 1000 * saveSeconds) await this.#save({ run, epoch: epochs, row: row + norms.length }, subject)
      }
      this.#endRun(run)
      if (onNetwork) await onNetwork(run, (await readNetworks(subject.networks, 1))[0])
      // of a scoring that was continued after its last epoch
      if (wantFeatures && !this.#features) this.#features = await last.all(subject.networks, signal)
    } finally {
      gradients?.dispose()
      if (last !== outputs) last.dispose()
      outputs.dispose()
      subject.dispose()
    }
  }

  async #epoch(run: number, epoch: number, subject: Subject, pass: OutputPass, keepFeatures: boolean): Promise<void> {
    const { signal } = this.#options
    let trained = 0
    const loss = await subject.train(epoch, signal, (images) => {
      this.#work.add('training', images - trained, { run, epoch })
      trained = images
    })
    const [rows] = this.#train.shape
    const isLast = epoch === this.#plan.epochs - 1
    const wanted = isLast && (keepFeatures || this.#plan.kinds.some(isFeatureKind))
    const kept = wanted ? pass.room() : undefined
    const at = { run, epoch, ...(loss !== undefined && { loss }) }
    const work = this.#work
    async function* watched(chunks: AsyncIterable<OutputChunk>): AsyncGenerator<OutputChunk> {
      for await (const chunk of chunks) {
        kept?.take(chunk)
        work.add('outputs', Math.min(chunk.logits.shape[0], rows - chunk.row), at)
        yield chunk
      }
    }
    await this.#sums.addPass(run, epoch, watched(pass.over(subject.networks, signal)))
    if (!kept) return
    if (this.#plan.kinds.some(isFeatureKind)) await this.#addFeatureScores(kept.features)
    if (keepFeatures) this.#features = kept
  }

  async #addFeatureScores(features: Matrix): Promise<void> {
    const { labels, classes } = this.#train
    if (this.#sums.has('prototypicality'))
      this.#sums.add('prototypicality', 0, await classPrototypicality(features, labels, { classes: classes.length }))
    if (this.#sums.has('selfPrototypicality')) {
      const clusters = Math.min(classes.length, labels.length)
      this.#sums.add('selfPrototypicality', 0, await clusterPrototypicality(features, { clusters, seed: this.#plan.seed }))
    }
  }

  #endRun(run: number): void {
    this.#sums.endRun()
    const right = this.#sums.right(run)
    const accuracy = (100 * right.reduce((a, b) => a + b, 0)) / this.#train.labels.length
    this.#accuracies.push(accuracy)
    if (this.#plan.allowChance) return
    const todo = this.#plan.weights
      ? 'look at the order of the classes and at the normalisation'
      : 'train longer (epochs), with another learning rate or network; or go on all the same (allowChance, --resume with --allow-chance)'
    checkAboveChance(`network ${run}`, accuracy, this.#counts, todo)
  }

  #accuracyOf({ tensors }: Checkpoint, run: number): number {
    const { length } = this.#train.classes
    const right = (tensors.right.data as Int32Array).subarray(run * length, (run + 1) * length)
    return (100 * right.reduce((a, b) => a + b, 0)) / this.#train.labels.length
  }

  #perClass(): (number | null)[] {
    const { runs } = this.#plan
    return Array.from(this.#counts, (count, c) => {
      let right = 0
      for (let run = 0; run < runs; run++) right += this.#sums.right(run)[c]
      return count === 0 ? null : (100 * right) / (runs * count)
    })
  }

  async #save(place: Place, subject: Subject): Promise<void> {
    const { checkpoints } = this.#options
    if (!checkpoints) return
    const { classes, mean, std, flip } = this.#train
    await checkpoints.save({
      config: this.#config,
      data: { classes, mean, std, flip },
      plans: this.#plans,
      // the store counts steps: those that the networks have done
      counters: { ...place, step: place.run * this.#plan.epochs + place.epoch },
      tensors: { ...this.#sums.snapshot(), ...(await subject.snapshot()) },
      seconds: this.#seconds,
    })
    this.#saved = performance.now()
  }

  #checkConfig({ config, data, seconds }: Checkpoint): void {
    const { classes, mean, std, flip } = this.#train
    const [there, here] = [
      { ...config, ...data } as Record<string, unknown>,
      { ...this.#config, classes, mean, std, flip } as Record<string, unknown>,
    ]
    for (const name of new Set([...Object.keys(there), ...Object.keys(here)])) {
      const [saved, wanted] = [JSON.stringify(there[name]), JSON.stringify(here[name])]
      if (saved === wanted) continue
      const todo = 'a scoring continues with its own settings and data'
      throw new AludelError('incompatible', `checkpoint: ${name} is ${saved} there but ${wanted} here; ${todo}`)
    }
    this.#secondsBefore = seconds
  }

  #checkPlans({ plans }: Checkpoint): void {
    for (const [name, plan] of Object.entries(this.#plans)) checkSavedPlan(name, plans[name], plan)
  }

  /** The work that a continuation finds done. */
  #skip(from: Place | undefined): void {
    if (!from) return
    const images = this.#train.labels.length
    const epochs = from.run * this.#plan.epochs + from.epoch
    this.#work.skip('training', epochs * images)
    this.#work.skip('outputs', epochs * images)
    if (this.#plan.kinds.includes('grand')) this.#work.skip('gradients', from.run * images + from.row)
  }
}

function hashOf({ parameters, state }: NetworkTensors): string {
  const hash = createHash('sha256')
  for (const [name, data] of [...Object.entries(parameters), ...Object.entries(state)].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(name).update(new Uint8Array(data.buffer, data.byteOffset, data.byteLength))
  return hash.digest('hex')
}
