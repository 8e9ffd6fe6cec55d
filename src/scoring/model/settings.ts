/** @file What a scoring by a model was asked for, as scores.json keeps it: enough to go on from, and to compare shards by. */
import { expected } from '../../errors.js'
import { type LogitScoreName, logitScores } from '../../scores/logits.js'
import type { OutputForm } from './model-scorer.js'

/** Scores computed from the features of all images, once all are there. */
export const featureKinds = ['prototypicality', 'selfPrototypicality', 'moderate'] as const
export type FeatureKind = (typeof featureKinds)[number]
/** Scores that a model's outputs give. */
export type ModelKind = LogitScoreName | FeatureKind
export const modelKinds = [...Object.keys(logitScores), ...featureKinds] as readonly ModelKind[]

export const isLogitKind = (kind: ModelKind): kind is LogitScoreName => Object.hasOwn(logitScores, kind)
/** Whether a score needs the input of the last layer. */
export const needsFeatures = (kind: ModelKind): boolean => !isLogitKind(kind) || kind === 'grandLastLayer'

/** `source` of the record. */
export interface ModelSource {
  readonly kind: 'model'
  /** Path of the file; a continuation may find it elsewhere. */
  readonly model: string
  readonly modelName: string
  readonly modelSha256: string
  readonly data: string
  readonly split: 'train' | 'test'
  /** Height and width of what the model sees. */
  readonly size: readonly number[]
  /** How files are brought to that size; null for a data set of its own size. */
  readonly fit: string | null
  /** As given; null for what the model's metadata say. */
  readonly mean: readonly number[] | null
  readonly std: readonly number[] | null
  readonly scale: number | null
  readonly provider: string
  /** Name of the output that gives features; null for none. */
  readonly featuresOutput: string | null
  /** Output of each class of the data, of so many outputs, and how that was found. */
  readonly classMap: readonly number[]
  readonly width: number
  readonly mapBy: string
  readonly outputs: OutputForm
  /** Images of one block of the grid. */
  readonly block: number
  /** Images of every run of a model whose batch is fixed; null for a free one. */
  readonly fixedBatch: number | null
  readonly allowChance: boolean
  /** Hash of classes, names and labels of all places, or of the pixels of a data set in memory. */
  readonly listing: string
  readonly places: number
}

/** The kinds, each once. Throws `invalid_option` for one that a model's outputs do not give, or that needs features where there are none. */
export function checkKinds(kinds: readonly string[], featuresOutput: string | undefined, features: boolean): ModelKind[] {
  const chosen = [...new Set(kinds)]
  if (chosen.length === 0 && !features) throw expected('invalid_option', 'score: kind', `at least one of ${modelKinds.join(', ')}`, 'none')
  for (const kind of chosen) {
    if (!modelKinds.includes(kind as ModelKind)) {
      const todo = 'the others need networks that are trained here'
      throw expected('invalid_option', 'score --model: kind', `some of ${modelKinds.join(', ')}`, kind, todo)
    }
    if (featuresOutput === undefined && needsFeatures(kind as ModelKind))
      throw expected('invalid_option', `score --model: kind ${kind}`, '--features-output with the output that the last layer takes', 'none')
  }
  if (features && featuresOutput === undefined)
    throw expected('invalid_option', 'score --model: features', '--features-output with the output that the last layer takes', 'none')
  return chosen as ModelKind[]
}
