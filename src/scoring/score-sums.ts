/** @file The running sums of a scoring: float64, one number per image and score, in the order in which networks and epochs come. */
import type { Dataset } from '../data/dataset.js'
import { inPieces, Turn } from '../event-loop.js'
import type { StateTensor } from '../experiment/types.js'
import { ForgettingRun, type ForgettingState } from '../scores/forgetting.js'
import { type LogitScoreName, logitScores, readerOf } from '../scores/logits.js'
import { rowsPerTurn } from '../scores/matrix.js'
import { medianDistance } from '../scores/moderate.js'
import type { ScoreName } from '../scores/registry.js'
import { checkFiniteInTurns, type LogitScore } from '../scores/score.js'
import { featureKinds, type ScoringPlan, snapshotKinds } from './options.js'
import type { OutputChunk } from './output-pass.js'

const isLogitScore = (kind: ScoreName): kind is LogitScoreName => Object.hasOwn(logitScores, kind)
const isSnapshot = (kind: ScoreName): boolean => (snapshotKinds as readonly ScoreName[]).includes(kind)
export const isFeatureKind = (kind: ScoreName): boolean => (featureKinds as readonly ScoreName[]).includes(kind)

const forgettingDTypes: Readonly<Record<keyof ForgettingState, 'i32' | 'u8'>> = {
  ...{ events: 'i32', presentations: 'i32', firstRight: 'i32', lastWrong: 'i32', right: 'u8' },
}

/** `moderate` is a function of `prototypicality`, of which alone a sum is kept. */
const summedAs = (kind: ScoreName): ScoreName => (kind === 'moderate' ? 'prototypicality' : kind)

export class ScoreSums {
  readonly #plan: ScoringPlan
  readonly #data: Dataset
  readonly #sums: Map<ScoreName, Float64Array>
  #forgetting: ForgettingRun | undefined
  /** Images of each class that each network has right after its last epoch: [runs, classes]. */
  readonly #right: Int32Array

  constructor(plan: ScoringPlan, data: Dataset) {
    this.#plan = plan
    this.#data = data
    const kinds = plan.kinds.filter((kind) => kind !== 'uniform').map(summedAs)
    this.#sums = new Map([...new Set(kinds)].map((kind) => [kind, new Float64Array(data.labels.length)]))
    this.#right = new Int32Array(plan.runs * data.classes.length)
    this.beginRun()
  }

  /** A network that has seen nothing yet. */
  beginRun(): void {
    this.#forgetting = this.#sums.has('forgetting') ? new ForgettingRun(this.#data.labels.length) : undefined
  }

  /** Scores of logits that count in this epoch. */
  #due(epoch: number): LogitScoreName[] {
    const { window, epoch: snapshot, epochs } = this.#plan
    return [...this.#sums.keys()].filter(isLogitScore).filter((kind) => {
      if (kind === 'loss') return epoch >= window.from && epoch < window.to
      if (kind === 'grandLastLayer') return epoch === epochs - 1
      return isSnapshot(kind) ? epoch === snapshot : true
    })
  }

  /** Adds what one network says of all images after one epoch. Throws `not_finite` with the rows whose logits are no numbers. */
  async addPass(run: number, epoch: number, chunks: AsyncIterable<OutputChunk>): Promise<void> {
    const { labels, classes } = this.#data
    const due = this.#due(epoch)
    const scores: readonly LogitScore[] = due.map((kind) => logitScores[kind])
    const sums = due.map((kind) => this.#sums.get(kind) as Float64Array)
    const right = this.#right.subarray(run * classes.length, (run + 1) * classes.length).fill(0)
    const seen = new Float64Array(labels.length)
    const turn = new Turn()
    for await (const { row, logits, squares } of chunks) {
      const [n] = logits.shape
      const featureNorms = squares && Float64Array.from(squares, Math.sqrt)
      const own = labels.subarray(row, row + n)
      const read = readerOf(`network ${run}`, { logits, labels: own, ...(featureNorms && { featureNorms }) }, scores)
      const step = rowsPerTurn(classes.length)
      for (let i = 0; i < n; i++) {
        if (i % step === 0) await turn.breathe()
        const sample = read(i)
        seen[row + i] = sample.logSumExp
        const hit = sample.best === own[i]
        if (hit) right[own[i]]++
        this.#forgetting?.present(row + i, hit)
        for (let s = 0; s < scores.length; s++) sums[s][row + i] += scores[s].of(sample)
      }
    }
    await checkFiniteInTurns(`logits of network ${run} after epoch ${epoch + 1}`, seen)
  }

  /** Adds one score of images [row, row + values.length) by one network. */
  add(kind: ScoreName, row: number, values: ArrayLike<number>): void {
    const sum = this.#sums.get(kind)
    if (sum) for (let i = 0; i < values.length; i++) sum[row + i] += values[i]
  }

  has(kind: ScoreName): boolean {
    return this.#sums.has(kind)
  }

  /** The forgetting events of the network at hand go into the sum. */
  endRun(): void {
    const counts = this.#forgetting?.counts(this.#plan.neverLearned)
    if (counts) this.add('forgetting', 0, counts)
  }

  /** Images of each class that network `run` has right after its last pass. */
  right(run: number): Int32Array {
    const { length } = this.#data.classes
    return this.#right.subarray(run * length, (run + 1) * length)
  }

  /** The scores: means over networks and epochs, sums of forgetting events. */
  async results(): Promise<Map<ScoreName, Float64Array>> {
    const { kinds, runs, epochs, window } = this.#plan
    const results = new Map<ScoreName, Float64Array>()
    const turn = new Turn()
    for (const kind of kinds.filter((one) => one !== 'uniform')) {
      const sum = this.#sums.get(summedAs(kind)) as Float64Array
      const count = kind === 'forgetting' ? 1 : kind === 'loss' ? runs * (window.to - window.from) : kind === 'aum' ? runs * epochs : runs
      // infinity, for images that were never right, becomes a number above all counts
      const most = kind === 'forgetting' ? runs * epochs + 1 : Number.POSITIVE_INFINITY
      const mean = new Float64Array(sum.length)
      await inPieces(sum.length, turn, (from, to) => {
        for (let i = from; i < to; i++) mean[i] = Math.min(sum[i] / count, most)
      })
      const { labels, classes } = this.#data
      results.set(kind, kind === 'moderate' ? await medianDistance(mean, labels, { classes: classes.length }) : mean)
    }
    return results
  }

  /** All that is held, copied. */
  snapshot(): Record<string, StateTensor> {
    const tensors: Record<string, StateTensor> = {
      right: { dtype: 'i32', shape: [this.#plan.runs, this.#data.classes.length], data: this.#right.slice() },
    }
    for (const [kind, sum] of this.#sums) tensors[`sum:${kind}`] = { dtype: 'f64', shape: [sum.length], data: sum.slice() }
    for (const [name, data] of Object.entries<Int32Array | Uint8Array>({ ...this.#forgetting?.state }))
      tensors[`forgetting:${name}`] = { dtype: forgettingDTypes[name as keyof ForgettingState], shape: [data.length], data }
    return tensors
  }

  /** Goes on from what `snapshot` gave; the tensors must be those of the same plan and data. */
  restore(tensors: Readonly<Record<string, StateTensor>>): void {
    this.#right.set(tensors.right.data as Int32Array)
    for (const [kind, sum] of this.#sums) sum.set(tensors[`sum:${kind}`].data as Float64Array)
    if (!this.#forgetting) return
    const state = Object.keys(forgettingDTypes).map((name) => [name, tensors[`forgetting:${name}`].data])
    this.#forgetting = ForgettingRun.from(Object.fromEntries(state))
  }
}
