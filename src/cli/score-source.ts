/** @file The scores that a command was pointed at: a directory of `aludel score`, a file of this package, or one of BiLP. */
import type { Dataset } from '../data/dataset.js'
import { expected } from '../errors.js'
import { describeScores, importBilpScores, readScores, type ScoreDescription, scoresOf } from '../prune/index.js'
import { checkSameData } from '../prune/provenance.js'
import { lastLayerGradients } from '../scores/last-layer-gradients.js'
import { type FeatureFile, readFeatures } from '../scoring/feature-file.js'
import { featuresPath, isScoreDirectory, listKinds, readDoneRecord, readKind } from '../scoring/score-directory.js'

export interface NamedScores {
  readonly values: Float64Array
  readonly score: ScoreDescription
}

/** What a directory's scores are taken to be where nobody says (specification of the field: keep the smallest losses). */
const usualKind = 'loss'

/**
 * Scores `kind` of `train` in a file or directory; without a kind those of the file, or of a directory its only ones, else the loss. Throws
 * `invalid_option` for a file of another score, `incompatible` for scores of other data, `invalid_data`, `not_found`, `not_finite`.
 */
export async function scoresAt(path: string, kind: string | undefined, train: Dataset): Promise<NamedScores> {
  if (await isScoreDirectory(path)) {
    const kinds = kind === undefined ? await listKinds(path) : []
    const scores = await readKind(path, kind ?? (kinds.length === 1 ? kinds[0] : usualKind))
    return { values: scoresOf(train, scores), score: scores.score }
  }
  const { values, score } = path.endsWith('.json') ? await bilpScores(path, train) : await fileScores(path, train)
  if (kind !== undefined && score.name !== kind) throw expected('invalid_option', `${path}: score`, `'${kind}'`, score.name)
  return { values, score }
}

/** Features and logits of `train` in a directory. Throws as `scoresAt`, and `invalid_option` for a path that is no score directory. */
export async function featuresAt(path: string, train: Dataset): Promise<FeatureFile> {
  if (!(await isScoreDirectory(path))) throw expected('invalid_option', '--scores', 'a directory of aludel score with --features', path)
  await readDoneRecord(path)
  const file = await readFeatures(featuresPath(path))
  checkSameData(path, file.data, train)
  return file
}

/** Gradients of the last layer by their factors. */
export const factorsOf = async ({ features, logits }: FeatureFile, { labels }: Dataset) => ({
  errors: await lastLayerGradients({ logits, labels }),
  features,
})

async function fileScores(path: string, train: Dataset): Promise<NamedScores> {
  const scores = await readScores(path)
  return { values: scoresOf(train, scores), score: scores.score }
}

async function bilpScores(path: string, train: Dataset): Promise<NamedScores> {
  const { indicator, values } = await importBilpScores(path)
  const about = { name: indicator, source: path, pass: 'training', epochs: null, runs: null, seed: null } as const
  return { values, score: describeScores(train, values, about).score }
}
