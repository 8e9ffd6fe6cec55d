/** @file Scores from logits and labels, in float64, batch after batch: memory does not grow with anything but the scores themselves. */
import { checkOptions, isRecord, wholeNumber } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { aum } from './aum.js'
import { el2n } from './el2n.js'
import { entropy } from './entropy.js'
import { grandLastLayer } from './grand-last-layer.js'
import { leastConfidence } from './least-confidence.js'
import { loss } from './loss.js'
import { margin } from './margin.js'
import { marginTrue } from './margin-true.js'
import { checkMatrix, type Matrix, rowsPerTurn } from './matrix.js'
import { checkFiniteInTurns, type LogitScore, type SampleOutputs } from './score.js'

export const logitScores = { loss, el2n, grandLastLayer, margin, marginTrue, aum, entropy, leastConfidence } as const

export type LogitScoreName = keyof typeof logitScores

/** What a network says of some samples that follow one another in the data set. */
export interface LogitBatch {
  /** [n, classes] */
  readonly logits: Matrix
  /** n whole numbers in [0, classes). */
  readonly labels: ArrayLike<number>
  /** n norms of the last linear layer's inputs; needed for `grandLastLayer`. */
  readonly featureNorms?: ArrayLike<number>
}

export interface ScoreLogitsOptions<N extends LogitScoreName> {
  readonly scores: readonly N[]
  /** How many samples all batches have together. */
  readonly samples: number
}

/**
 * Scores of every sample by name, each a Float64Array of `samples` numbers, from logits of batches in the data set's order: one batch, an
 * array of them, or anything that gives them one by one. Softmax and sums are float64 whatever the logits are; a logit of -Infinity counts
 * for nothing. `loss` and `entropy` are in nats; sources and directions of all: `scoreInfo`.
 *
 * Throws `invalid_option`, `invalid_shape`, `detached`; `invalid_index` for a label that is no class; `invalid_data` when the batches have
 * not `samples` samples in all, or no feature norms where they are needed; `not_finite` with the rows whose score is NaN or infinite.
 */
export async function scoreLogits<const N extends LogitScoreName>(
  batches: LogitBatch | Iterable<LogitBatch> | AsyncIterable<LogitBatch>,
  options: ScoreLogitsOptions<N>,
): Promise<Record<N, Float64Array>> {
  const what = 'scoreLogits'
  checkOptions<ScoreLogitsOptions<N>>(what, options, { scores: true, samples: true })
  const chosen = checkNames(what, options.scores)
  const samples = wholeNumber(`${what}: samples`, options.samples)
  const results = chosen.map(() => new Float64Array(samples))
  const turn = new Turn()
  let row = 0
  for await (const batch of isBatch(batches) ? [batches] : checkIterable(what, batches)) {
    const read = readerOf(`${what}: samples from ${row} on`, batch, chosen)
    const [n, classes] = batch.logits.shape
    if (row + n > samples) throw expected('invalid_data', what, `${samples} samples in all`, `${row + n} or more`)
    const step = rowsPerTurn(classes)
    for (let i = 0; i < n; i++) {
      if (i % step === 0) await turn.breathe()
      const sample = read(i)
      for (let s = 0; s < chosen.length; s++) results[s][row + i] = chosen[s].of(sample)
    }
    row += n
  }
  if (row !== samples) throw expected('invalid_data', what, `${samples} samples in all`, row)
  for (const [s, { name }] of chosen.entries()) await checkFiniteInTurns(`${what}: ${name}`, results[s])
  return Object.fromEntries(chosen.map(({ name }, s) => [name, results[s]])) as Record<N, Float64Array>
}

const isBatch = (given: unknown): given is LogitBatch => isRecord(given) && 'logits' in given

function checkIterable(what: string, given: unknown): Iterable<LogitBatch> | AsyncIterable<LogitBatch> {
  const iterable = typeof given === 'object' && given !== null && (Symbol.iterator in given || Symbol.asyncIterator in given)
  if (!iterable) throw expected('invalid_option', `${what}: batches`, '{ logits, labels } or an iterable of them', given)
  return given as Iterable<LogitBatch>
}

function checkNames(what: string, names: unknown): readonly LogitScore[] {
  const known = Object.keys(logitScores).join(', ')
  if (!Array.isArray(names) || names.length === 0) throw expected('invalid_option', `${what}: scores`, `a list of ${known}`, names)
  return [...new Set(names)].map((name) => {
    if (typeof name !== 'string' || !Object.hasOwn(logitScores, name)) throw expected('invalid_option', `${what}: scores`, known, name)
    return logitScores[name as LogitScoreName]
  })
}

/** Checks a batch and returns what gives the outputs of its i-th sample, always in the same object. */
export function readerOf(what: string, batch: LogitBatch, chosen: readonly LogitScore[]): (i: number) => SampleOutputs {
  if (!isBatch(batch)) throw expected('invalid_option', what, '{ logits, labels }', batch)
  const { logits, labels, featureNorms } = batch
  checkMatrix(`${what}: logits`, logits)
  const [n, classes] = logits.shape
  if (classes < 2) throw expected('invalid_shape', `${what}: logits`, '[samples, classes] with two classes or more', `[${n}, ${classes}]`)
  if (labels?.length !== n) throw expected('invalid_shape', `${what}: labels`, `${n}, one for each row of the logits`, labels?.length)
  if (featureNorms ? featureNorms.length !== n : chosen.includes(grandLastLayer)) {
    const todo = 'give the norm of the input of the last linear layer for each sample'
    throw expected('invalid_data', `${what}: featureNorms`, `${n} numbers`, featureNorms?.length, todo)
  }
  const row = new Float64Array(classes)
  const probabilities = new Float64Array(classes)
  return (i) => {
    const label = labels[i]
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw new AludelError('invalid_index', `${what}: label ${i}: expected a class in [0, ${classes}) but received ${label}`)
    for (let j = 0; j < classes; j++) row[j] = logits.data[i * classes + j]
    return { logits: row, probabilities, ...softmax(row, probabilities), label, featureNorm: featureNorms ? featureNorms[i] : Number.NaN }
  }
}

/** Fills `out` with the softmax of `row`. */
function softmax(row: Float64Array, out: Float64Array): Pick<SampleOutputs, 'best' | 'doubt' | 'logSumExp'> {
  let best = 0
  for (let j = 1; j < row.length; j++) if (row[j] > row[best]) best = j
  if (!Number.isFinite(row[best])) {
    // NaN in front or infinity: no class has a probability, and every score must show it
    out.fill(Number.NaN)
    return { best, doubt: Number.NaN, logSumExp: Number.NaN }
  }
  let others = 0
  for (let j = 0; j < row.length; j++) {
    out[j] = Math.exp(row[j] - row[best])
    if (j !== best) others += out[j]
  }
  const total = 1 + others
  for (let j = 0; j < row.length; j++) out[j] /= total
  return { best, doubt: others / total, logSumExp: row[best] + Math.log1p(others) }
}
