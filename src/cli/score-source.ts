/** @file The scores that a command was pointed at: a directory of `aludel score`, a file of this package, or one of BiLP. */
import type { Dataset } from '../data/dataset.js'
import { expected } from '../errors.js'
import { describeScores, importBilpScores, readScores, type ScoreDescription, scoresOf } from '../prune/index.js'
import { isScoreDirectory, readKind } from '../scoring/score-directory.js'

export interface NamedScores {
  readonly values: Float64Array
  readonly score: ScoreDescription
}

/**
 * Scores `kind` of `train` in a file or directory. Throws `invalid_option` for a file of another score, `incompatible` for scores of other
 * data, `invalid_data`, `not_found`, `not_finite`.
 */
export async function scoresAt(path: string, kind: string, train: Dataset): Promise<NamedScores> {
  if (await isScoreDirectory(path)) {
    const scores = await readKind(path, kind)
    return { values: scoresOf(train, scores), score: scores.score }
  }
  const { values, score } = path.endsWith('.json') ? await bilpScores(path, train) : await fileScores(path, train)
  if (score.name !== kind) throw expected('invalid_option', `${path}: score`, `'${kind}'`, score.name)
  return { values, score }
}

async function fileScores(path: string, train: Dataset): Promise<NamedScores> {
  const scores = await readScores(path)
  return { values: scoresOf(train, scores), score: scores.score }
}

async function bilpScores(path: string, train: Dataset): Promise<NamedScores> {
  const { indicator, values } = await importBilpScores(path)
  const about = { name: indicator, source: path, pass: 'training', epochs: null, runs: null, seed: null } as const
  return { values, score: describeScores(train, values, about).score }
}
