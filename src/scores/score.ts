/** @file What a score is: one float64 number per sample in the data set's order, which end of it is easy, and where it comes from. */
import { AludelError } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'

/** What a score is computed from. */
export type ScoreInput = 'logits' | 'gradients' | 'correctness' | 'features' | 'nothing'

export interface Score {
  readonly name: string
  /** The end where typical, well-learned samples are: 'low' for losses, 'high' for margins. Order 'asc' keeps the low end. */
  readonly easy: 'low' | 'high'
  readonly input: ScoreInput
  /** Paper or rule, with its arXiv number where it has one. */
  readonly source: string
}

/** What one network says of one sample; filled anew for every sample, so nothing may be kept of it. */
export interface SampleOutputs {
  readonly logits: Float64Array
  readonly probabilities: Float64Array
  /** Class of the largest logit, the first of equals. */
  readonly best: number
  /** 1 - p[best], summed over the others: exact where 1 - p would cancel. */
  readonly doubt: number
  /** log sum exp of the logits. */
  readonly logSumExp: number
  readonly label: number
  /** Euclidean norm of the last linear layer's input; NaN where it was not given. */
  readonly featureNorm: number
}

export interface LogitScore extends Score {
  readonly input: 'logits'
  of(sample: SampleOutputs): number
}

const namedRows = 8

/** What of `values` is no finite number, looked for in pieces. */
class FiniteCheck {
  readonly rows: number[] = []
  count = 0

  look(values: ArrayLike<number>, from: number, to: number): void {
    for (let i = from; i < to; i++) {
      if (Number.isFinite(values[i])) continue
      if (this.rows.length < namedRows) this.rows.push(i)
      this.count++
    }
  }
}

/** Throws `not_finite` naming the first rows and their number unless every value is a finite number. */
export function checkFiniteScores(what: string, values: ArrayLike<number>): void {
  const check = new FiniteCheck()
  check.look(values, 0, values.length)
  refuse(what, check, values.length)
}

/** The same, with turns for the event loop. */
export async function checkFiniteInTurns(what: string, values: ArrayLike<number>): Promise<void> {
  const check = new FiniteCheck()
  await inPieces(values.length, new Turn(), (from, to) => check.look(values, from, to))
  refuse(what, check, values.length)
}

function refuse(what: string, { rows, count }: FiniteCheck, length: number): void {
  if (count === 0) return
  const shown = `${rows.join(', ')}${count > rows.length ? ', …' : ''}`
  const todo = 'look at these samples and at what scored them'
  throw new AludelError('not_finite', `${what}: expected finite numbers but ${count} of ${length} are not, at ${shown}; ${todo}`)
}
