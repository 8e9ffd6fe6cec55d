/** @file From assembled parts to a finished directory of scores: the check of the accuracy, then one file for each kind, the record last. */
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { onFile } from '../../errors.js'
import type { ScoreDescription } from '../../prune/provenance.js'
import type { Matrix } from '../../scores/matrix.js'
import { medianDistance } from '../../scores/moderate.js'
import { classPrototypicality, clusterPrototypicality } from '../../scores/prototypicality.js'
import { checkAboveChance } from '../chance.js'
import { writeFeatures } from '../feature-file.js'
import { featuresPath, type ScoresRecord, writeKind, writeRecord } from '../score-directory.js'
import type { Assembled } from './assemble.js'
import { type FeatureKind, isLogitKind, type ModelKind, type ModelSource } from './settings.js'

export const progressPath = (dir: string): string => join(dir, 'progress')

/** What may be wrong when a model knows nothing of the images. */
export const chanceTodo =
  'likely the order of the classes (--class-map), the normalisation (--mean, --std, --scale: 1/255 times the byte is the default), or a model that wants its channels last; if it is as it should be: --allow-chance'

/**
 * Writes the scores of `dir` and its record, and takes its progress away. Throws `invalid_data` for an accuracy near chance unless that is
 * allowed; everything stays then, and a continuation may allow it. Throws `not_finite`, `io`.
 */
export async function finish(dir: string, record: ScoresRecord, assembled: Assembled): Promise<ScoresRecord> {
  const source = record.source as unknown as ModelSource
  const { data, labels, accuracy, perClass, unreadable } = assembled
  const counts = record.classes.map(() => 0)
  for (const label of labels) counts[label]++
  if (!source.allowChance) checkAboveChance(source.model, accuracy, counts, chanceTodo)
  const kinds = record.kinds as readonly ModelKind[]
  const logitKinds = kinds.filter(isLogitKind)
  for (const kind of kinds) {
    const values = isLogitKind(kind)
      ? assembled.scores[logitKinds.indexOf(kind)]
      : await featureScore(kind, assembled.features as Matrix, labels, record.classes.length)
    await writeKind(dir, kind, { data, score: describe(kind, source), values: new Float64Array(values) })
  }
  if (record.features)
    await writeFeatures(featuresPath(dir), {
      ...{ data, score: describe('features', source) },
      ...{ features: assembled.features as Matrix, logits: assembled.logits as Matrix },
    })
  const done: ScoresRecord = { ...record, status: 'done', data, accuracies: [accuracy], perClass, unreadable }
  await writeRecord(dir, done)
  await onFile(dir, () => rm(progressPath(dir), { recursive: true, force: true }))
  return done
}

/** Equal settings, equal text: it is part of the file's bytes. */
function describe(name: string, { modelName, modelSha256, size, fit }: ModelSource): ScoreDescription {
  const view = `${size.join('x')} pixels${fit === null ? '' : `, ${fit}`}`
  return {
    name,
    source: `${modelName} (sha256 ${modelSha256.slice(0, 12)}…), ${view}`,
    pass: 'evaluation',
    epochs: null,
    runs: 1,
    seed: null,
  }
}

async function featureScore(kind: FeatureKind, features: Matrix, labels: Int32Array, classes: number): Promise<Float64Array> {
  if (kind === 'selfPrototypicality') return clusterPrototypicality(features, { clusters: Math.min(classes, labels.length), seed: 0 })
  const distances = await classPrototypicality(features, labels, { classes })
  return kind === 'moderate' ? medianDistance(distances, labels, { classes }) : distances
}
