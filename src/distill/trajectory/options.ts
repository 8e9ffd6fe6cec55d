/** @file The options that all methods of trajectory matching share: N, M, the range of start epochs, rates, gate, mask, gradient and labels. */
import { AludelError, expected } from '../../errors.js'
import { checkStartEpochs, type StartEpochs } from '../../schedule/start-epoch.js'
import { count, countOrAll, notNegative, type OptionSpec, type OptionSpecs, oneOf, orNone, positive } from '../method-options.js'
import { type MaskRule, maskWanted, parseMask } from './mask.js'

export const gradientKinds = ['exact', 'tesla'] as const
export const labelKinds = ['hard', 'soft', 'teacher'] as const
export type GradientKind = (typeof gradientKinds)[number]
export type LabelKind = (typeof labelKinds)[number]

export type TrajectoryOptions = {
  /** N: steps of the student on synthetic images. */
  readonly innerSteps: number
  /** M: epochs of the expert that they are to match. */
  readonly expertEpochs: number
  /** T-, the first epoch to start from. */
  readonly minStartEpoch: number
  /** T, the exclusive bound of the start at iteration 0. */
  readonly startEpoch: number
  /** T+, the bound that it grows to. */
  readonly maxStartEpoch: number
  /** Iteration at which it is there; null where the range does not grow. */
  readonly expansionEnd: number | null
  /** Synthetic images of one step; null, or more than there are, for all of them. */
  readonly synBatch: number | null
  /** Learning rate of label logits; null where labels are not learned. */
  readonly labelLr: number | null
  readonly labelMomentum: number
  /** Learning rate of the student's learning rate. */
  readonly lrLr: number
  readonly lrMomentum: number
  /** eta0: the student's learning rate at iteration 0. */
  readonly startLr: number
  /** Loss above which an iteration changes nothing; null for no such bound. */
  readonly threshold: number | null
  /** 'none', 'depth:A' or 'loss:A'. */
  readonly mask: string
  readonly gradient: GradientKind
  readonly labels: LabelKind
  /** Decay of the average of the images; null without one. */
  readonly emaDecay: number | null
}

const whole = (doc: string, wanted: string, least: number): OptionSpec<number> => ({
  doc,
  wanted,
  parse: (value) => (Number.isSafeInteger(value) && (value as number) >= least ? (value as number) : undefined),
})

const share = (doc: string): OptionSpec<number> => ({
  doc,
  wanted: 'a number in [0, 1)',
  parse: (value) => (typeof value === 'number' && value >= 0 && value < 1 ? value : undefined),
})

export const trajectoryOptionSpecs: OptionSpecs<TrajectoryOptions> = {
  innerSteps: whole(
    'N: SGD steps of the student on synthetic images in one iteration',
    'a whole number >= 1 of steps on synthetic images (N); epochs of the expert (M) are expertEpochs',
    1,
  ),
  expertEpochs: whole(
    'M: epochs of the expert, from its start to the parameters that the student is to reach',
    'a whole number >= 1 of epochs of the expert (M); steps on synthetic images (N) are innerSteps',
    1,
  ),
  minStartEpoch: whole('T-: the first epoch of the expert that the student starts from; 0 is its initialisation', 'a whole number >= 0', 0),
  startEpoch: count('T: the exclusive bound of the start epoch at iteration 0'),
  maxStartEpoch: count('T+: the exclusive bound that it grows to'),
  expansionEnd: orNone(count('iteration at which the bound is T+; none: it is T+ from the beginning')),
  synBatch: countOrAll('synthetic images of one step'),
  labelLr: orNone(positive('learning rate of the label logits; none where they are not learned')),
  labelMomentum: share('momentum of the label logits'),
  lrLr: notNegative("learning rate of the student's learning rate"),
  lrMomentum: share("momentum of the student's learning rate"),
  startLr: positive("eta0: the student's learning rate at iteration 0"),
  threshold: orNone(positive('a loss above it changes nothing; none: every loss counts')),
  mask: {
    doc: 'parameters that the loss leaves out: none, the first of the flat order (depth:A), or those of the smallest differences (loss:A)',
    wanted: maskWanted,
    parse: (value) => (parseMask(value) ? (value as string) : undefined),
  },
  gradient: oneOf(gradientKinds, "exact, or TESLA's approximation, which loses how an image moves the gradients of later steps"),
  labels: oneOf(labelKinds, "classes, learned logits, or the logits of each iteration's target network"),
  emaDecay: orNone(
    share('decay of the average of the images over the iterations, which the set is then made of; none: the images themselves'),
  ),
}

/** The options as the iterations take them. */
export interface TrajectorySettings extends Omit<TrajectoryOptions, 'mask'> {
  readonly mask: MaskRule
}

export const trajectorySettings = (options: TrajectoryOptions): TrajectorySettings => ({
  ...options,
  mask: parseMask(options.mask) as MaskRule,
})

export const startEpochs = (
  options: Pick<TrajectoryOptions, 'minStartEpoch' | 'startEpoch' | 'maxStartEpoch' | 'expansionEnd'>,
): StartEpochs => ({
  min: options.minStartEpoch,
  start: options.startEpoch,
  max: options.maxStartEpoch,
  expansionEnd: options.expansionEnd ?? 1,
  sequential: options.expansionEnd !== null,
})

/**
 * Fits a preset's range of start epochs and its labels to what the caller set. Throws `invalid_option` for an empty range, and where labels
 * and their rate do not go together.
 */
export function resolveTrajectory<O extends TrajectoryOptions>(options: O, given: ReadonlySet<string>): O {
  const { maxStartEpoch, labels } = options
  const within = (name: 'startEpoch' | 'minStartEpoch', most: number) => (given.has(name) ? options[name] : Math.min(options[name], most))
  const startEpoch = within('startEpoch', maxStartEpoch)
  const minStartEpoch = within('minStartEpoch', startEpoch - 1)
  const range = { minStartEpoch, startEpoch, maxStartEpoch }
  checkStartEpochs('minStartEpoch, startEpoch, maxStartEpoch', startEpochs({ ...options, ...range }))
  if (labels === 'soft' && options.labelLr === null)
    throw expected('invalid_option', 'labelLr', "a number > 0 beside labels 'soft', which are learned", null)
  if (labels !== 'soft' && given.has('labelLr') && options.labelLr !== null)
    throw new AludelError('invalid_option', `labelLr: labels '${labels}' are not learned; leave it out, or set labels=soft`)
  return { ...options, ...range, labelLr: labels === 'soft' ? options.labelLr : null }
}
