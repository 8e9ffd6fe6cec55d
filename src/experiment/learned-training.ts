/** @file What a set has learned beside its pixels, a label of logits or of targets for each image and the learning rate to train at, and how its files hold them. */
import type { FieldCheck } from '../data/image-fields.js'
import { expected } from '../errors.js'
import { bytesOf } from '../files/pieces.js'
import type { SafeTensor } from '../files/safetensors.js'
import type { Manifest } from './manifest.js'
import type { SyntheticSetFields } from './types.js'

type Learned = Pick<SyntheticSetFields, 'labelLogits' | 'targets' | 'learningRate'>

const logitsTensor = 'label_logits'
const targetsTensor = 'targets'
const rateTensor = 'lr'

/** Throws `invalid_data`, `detached` or `not_finite` unless `labelLogits` are [rows, classes] finite logits; absent is right too. */
export function checkLabelLogits(check: FieldCheck, labelLogits: unknown, rows: number, classes: number): void {
  if (labelLogits === undefined) return
  check.array('labelLogits', ['f32', 'Float32Array'], labelLogits, rows * classes, `logits, ${classes} for each of ${rows} images`)
  const logits = labelLogits as Float32Array
  const broken = logits.findIndex((value) => !Number.isFinite(value))
  if (broken >= 0)
    throw expected('not_finite', `label logits of synthetic image ${Math.floor(broken / classes)}`, 'finite logits', logits[broken])
}

/** Throws as `checkLabelLogits` for targets [rows, classes]; `invalid_data` beside logits: one of them is what a network is to answer. */
export function checkTargets(
  check: FieldCheck,
  { targets, labelLogits }: { targets?: unknown; labelLogits?: unknown },
  rows: number,
  classes: number,
) {
  if (targets === undefined) return
  check.array('targets', ['f32', 'Float32Array'], targets, rows * classes, `numbers, ${classes} for each of ${rows} images`)
  const values = targets as Float32Array
  const broken = values.findIndex((value) => !Number.isFinite(value))
  if (broken >= 0)
    throw expected('not_finite', `targets of synthetic image ${Math.floor(broken / classes)}`, 'finite numbers', values[broken])
  if (labelLogits !== undefined) throw check.bad('targets', 'no label logits beside them', 'both')
}

/** A rate is kept as float32, and must be finite and above 0 as such. */
export function checkLearningRate(check: FieldCheck, learningRate: unknown): void {
  if (learningRate === undefined) return
  const kept = typeof learningRate === 'number' ? Math.fround(learningRate) : Number.NaN
  if (!(kept > 0 && Number.isFinite(kept))) throw check.bad('learningRate', 'a finite number > 0 in float32', learningRate)
}

/** The tensors of what a set has of these: `label_logits` and `targets` F32 [M, classes], `lr` F32 []. */
export function learnedTensors({ labelLogits, targets, learningRate, shape: [rows], classes }: SyntheticSetFields): [string, SafeTensor][] {
  const byClass = (name: string, data: Float32Array | undefined): [string, SafeTensor][] =>
    data ? [[name, { dtype: 'F32', shape: [rows, classes.length], data: bytesOf(data) }]] : []
  return [
    ...byClass(logitsTensor, labelLogits),
    ...byClass(targetsTensor, targets),
    ...(learningRate !== undefined
      ? [[rateTensor, { dtype: 'F32', shape: [], data: bytesOf(Float32Array.of(learningRate)) }] as [string, SafeTensor]]
      : []),
  ]
}

/** What the manifest says of them. */
export const learnedEntries = ({
  labelLogits,
  targets,
  learningRate,
  shape: [rows],
  classes,
}: SyntheticSetFields): Pick<Manifest, keyof Learned> => ({
  ...(labelLogits && { labelLogits: { dtype: 'F32', shape: [rows, classes.length] } }),
  ...(targets && { targets: { dtype: 'F32', shape: [rows, classes.length] } }),
  ...(learningRate !== undefined && { learningRate: Math.fround(learningRate) }),
})

/** These from the tensors of a file, as the manifest announces them. Throws `invalid_data` where they differ. */
export function readLearned(path: string, tensors: ReadonlyMap<string, SafeTensor>, manifest: Manifest): Learned {
  const { labelLogits, targets, learningRate, images, classes } = manifest
  const logits = floatTensor(path, tensors, logitsTensor, labelLogits && [images.shape[0], classes.length])
  const wanted = floatTensor(path, tensors, targetsTensor, targets && [images.shape[0], classes.length])
  const rate = floatTensor(path, tensors, rateTensor, learningRate === undefined ? undefined : [])?.[0]
  if (!Object.is(rate, learningRate))
    throw expected('invalid_data', `${path}: tensor '${rateTensor}'`, `${learningRate} as in the manifest`, rate)
  return { ...(logits && { labelLogits: logits }), ...(wanted && { targets: wanted }), ...(rate !== undefined && { learningRate: rate }) }
}

/** A float32 tensor of exactly `shape`; without one, there must be none. */
function floatTensor(
  path: string,
  tensors: ReadonlyMap<string, SafeTensor>,
  name: string,
  shape: readonly number[] | undefined,
): Float32Array | undefined {
  const tensor = tensors.get(name)
  const described = (dtype: string, sizes: readonly number[]) => `${dtype} [${sizes.join(', ')}]`
  const wanted = shape ? described('F32', shape) : 'no such tensor: the manifest has none'
  const received = tensor ? described(tensor.dtype, tensor.shape) : 'no such tensor'
  if (tensor ? wanted !== received : shape) throw expected('invalid_data', `${path}: tensor '${name}'`, wanted, received)
  return tensor && new Float32Array(tensor.data.slice().buffer)
}
