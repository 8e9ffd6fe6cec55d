/** @file Which stretch of a list of samples, easiest first, PAD's expert trajectories train on in each epoch (arXiv 2408.03360). */
import { wholeNumber } from '../arguments.js'
import { expected } from '../errors.js'

/** Epochs count from 0. Shares are of a class, or of all samples where the scope is global. */
export interface PadRule {
  /** IR: share of the easiest samples in epoch 0, in (0, 1]. */
  readonly initialRatio: number
  /** AEE: the epoch by which the hardest samples have been added, linearly from epoch 0. */
  readonly addEndEpoch: number
  /** RM1: after this epoch the easiest `r1` are left out. */
  readonly removeMiddle: number
  /** RM2: after this epoch the easiest `r2` are left out. */
  readonly removeEnd: number
  /** In [0, 1). */
  readonly r1: number
  /** In [0, 1). */
  readonly r2: number
}

/** Published for CIFAR-10: Table 7 (initialRatio, addEndEpoch) and the command of the authors' README. */
export const padCifar10: PadRule = { initialRatio: 0.75, addEndEpoch: 20, removeMiddle: 40, removeEnd: 60, r1: 0.1, r2: 0.2 }

/** For CIFAR-100 and Tiny ImageNet: Table 7 for the first two numbers; what is removed is published nowhere and is that of CIFAR-10. */
export const padManyClasses: PadRule = { ...padCifar10, addEndEpoch: 40 }

/** Throws `invalid_option` naming the number that cannot be, or epochs that are not in order. */
export function checkPadRule(what: string, { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2 }: PadRule): void {
  if (!(initialRatio > 0 && initialRatio <= 1)) throw expected('invalid_option', `${what}: initialRatio`, 'a share in (0, 1]', initialRatio)
  for (const [name, share] of Object.entries({ r1, r2 })) {
    if (!(share >= 0 && share < 1)) throw expected('invalid_option', `${what}: ${name}`, 'a share in [0, 1)', share)
  }
  const epochs = { addEndEpoch, removeMiddle, removeEnd }
  for (const [name, epoch] of Object.entries(epochs)) wholeNumber(`${what}: ${name}`, epoch, 0)
  if (addEndEpoch <= removeMiddle && removeMiddle <= removeEnd) return
  const order = 'addEndEpoch <= removeMiddle <= removeEnd'
  throw expected('invalid_option', what, order, Object.values(epochs).join(', '), 'samples are added before others are removed')
}

/**
 * [begin, end) of `count` samples, easiest first, that `epoch` trains on. Counts are truncated products of doubles, evaluated from left to
 * right as in the authors' code: 0.7 + 0.3 * 4 / 12 of 20 samples are 15, not 16.
 */
export function padStretch(rule: PadRule, epoch: number, count: number): readonly [begin: number, end: number] {
  const { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2 } = rule
  if (epoch <= addEndEpoch) return [0, Math.trunc(addedShare(initialRatio, addEndEpoch, epoch) * count)]
  if (epoch <= removeMiddle) return [0, count]
  return [Math.trunc((epoch <= removeEnd ? r1 : r2) * count), count]
}

/** Nothing is to be added where the adding ends with epoch 0. */
const addedShare = (initialRatio: number, addEndEpoch: number, epoch: number): number =>
  addEndEpoch === 0 ? 1 : Math.min(1, initialRatio + ((1 - initialRatio) * epoch) / addEndEpoch)
