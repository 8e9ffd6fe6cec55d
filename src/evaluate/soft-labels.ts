/** @file Soft labels: the probabilities that a teacher gives to the images of a set. */
import { AludelError, expected } from '../errors.js'
import type { LabelKind, SyntheticSetFields } from '../experiment/types.js'
import type { Protocol } from './protocol.js'
import type { Teacher } from './teacher.js'
import type { TrainingImages } from './train-networks.js'

/** How far from 1 a row may sum: some float32 roundings. */
const rowTolerance = 1e-3

/** Throws `invalid_data` unless `labels` are [M, classes] rows of probabilities. */
export function checkSoftLabels(labels: Float32Array, { shape, classes }: SyntheticSetFields): void {
  const [rows, width] = [shape[0], classes.length]
  if (!(labels instanceof Float32Array) || labels.length !== rows * width) {
    throw expected('invalid_data', 'soft labels', `a Float32Array of ${rows} x ${width} probabilities`, labels?.length)
  }
  for (let row = 0; row < rows; row++) {
    const own = labels.subarray(row * width, (row + 1) * width)
    const total = own.reduce((a, b) => a + b, 0)
    if (!own.every((p) => p >= 0) || !(Math.abs(total - 1) <= rowTolerance))
      throw new AludelError('invalid_data', `soft labels: expected probabilities that sum to 1 but row ${row} sums to ${total}`)
  }
}

/** Probabilities of rows of logits, max-subtracted. */
export function probabilities(logits: Float32Array, width: number): Float32Array {
  const out = new Float32Array(logits.length)
  for (let at = 0; at < logits.length; at += width) {
    const own = logits.subarray(at, at + width)
    const top = own.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY)
    const powers = Float64Array.from(own, (z) => Math.exp(z - top))
    const total = powers.reduce((a, b) => a + b, 0)
    for (const [k, power] of powers.entries()) out[at + k] = power / total
  }
  return out
}

/**
 * What networks are trained towards: the soft labels beside the set, else its targets or the softmax of its label logits, else its classes; `kind` asks for
 * one of the two. Throws `invalid_option` for soft labels of a set that has none.
 */
export function labelled({ softLabels: given, ...set }: TrainingImages, kind: LabelKind | undefined): TrainingImages {
  const { labelLogits, targets, classes } = set
  if (kind === 'hard' || (kind === undefined && !given && !labelLogits && !targets)) return set
  if (!given && targets) return { ...set, softLabels: targets, squared: true }
  const softLabels = given ?? (labelLogits && probabilities(labelLogits, classes.length))
  if (softLabels) return { ...set, softLabels }
  throw expected('invalid_option', "labels: 'soft'", 'a set with label logits or targets, or a teacher', 'one with classes only')
}

/** The set with the teacher's answers to its images in place of the labels; `evaluate` and `trainModels` train networks towards them. */
export async function withSoftLabels(set: SyntheticSetFields, teacher: Teacher): Promise<TrainingImages> {
  return { ...set, softLabels: probabilities(await teacher.logits(set), set.classes.length) }
}

/** The set with centred one-hot rows of its classes to learn by squared errors, where it has nothing soft and the protocol asks for them. */
export function towardsRows<S extends { labels: Int32Array; classes: readonly string[]; softLabels?: Float32Array }>(
  set: S,
  { squared }: Pick<Protocol, 'squared'>,
): S & { readonly softLabels?: Float32Array; readonly squared?: boolean } {
  if (!squared || set.softLabels) return set
  const { labels, classes } = set
  const k = classes.length
  const softLabels = new Float32Array(labels.length * k).fill(-1 / k)
  for (const [row, label] of labels.entries()) softLabels[row * k + label] = 1 - 1 / k
  return { ...set, softLabels, squared: true }
}
