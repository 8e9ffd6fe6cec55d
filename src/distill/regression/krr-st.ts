/** @file KRR-ST (arXiv 2310.06511): images without labels and representations that a self-supervised teacher gives them, by kernel ridge regression. */
import { initSpaces } from '../../experiment/representation-set.js'
import { rateForOutputs } from '../../optim/output-rate.js'
import { ridgeScales } from '../../ridge/ridge.js'
import { defineRepresentationMethod } from '../method.js'
import { count, notNegative, type OptionSpec, oneOf, positive } from '../method-options.js'
import { innerLosses } from './inner-step.js'
import { poolCounters, poolStarts } from './pool-schedule.js'
import { type TeacherRegression, targetScalings, teacherTables } from './settings.js'

const innerOptimisers = ['sgd', 'adam'] as const
const ridgeGradients = ['detached', 'attached'] as const

export type KrrStOptions = {
  readonly ridge: number
  readonly ridgeScale: (typeof ridgeScales)[number]
  readonly ridgeGradient: (typeof ridgeGradients)[number]
  readonly poolModels: number
  readonly poolSteps: number
  readonly poolCounter: (typeof poolCounters)[number]
  readonly poolStart: (typeof poolStarts)[number]
  readonly innerOptimiser: (typeof innerOptimisers)[number]
  readonly innerLr: number
  readonly innerMomentum: number
  readonly innerWeightDecay: number
  readonly innerLoss: (typeof innerLosses)[number]
  readonly weightDecay: number
  readonly lrEnd: number
  readonly initSpace: TeacherRegression['initSpace']
  readonly targetScaling: TeacherRegression['targetScaling']
  readonly padding: number
  readonly teacherTable: TeacherRegression['teacherTable']
}

const share = (doc: string): OptionSpec<number> => ({
  doc,
  wanted: 'a number in [0, 1)',
  parse: (value) => (typeof value === 'number' && value >= 0 && value < 1 ? value : undefined),
})

const mostPadding = 64

/** Settings of the released code; the pool is 'reset', its evident intent. */
const released: KrrStOptions = {
  ...{ ridge: 1e-6, ridgeScale: 'trace', ridgeGradient: 'detached' },
  ...{ poolModels: 10, poolSteps: 1000, poolCounter: 'reset', poolStart: 'trained' },
  ...{ innerOptimiser: 'sgd', innerLr: 0.1, innerMomentum: 0.9, innerWeightDecay: 1e-3, innerLoss: 'mse' },
  ...{ weightDecay: 0, lrEnd: 1e-3, initSpace: 'raw', targetScaling: 'none', padding: 4, teacherTable: 'auto' },
}

export const krrSt = defineRepresentationMethod<KrrStOptions>({
  name: 'krr-st',
  doc: 'Kernel ridge regression on self-supervised targets: images and representations of a frozen teacher, no labels (2310.06511)',
  presets: {
    code: {
      doc: 'the released code: its defaults, and the learning rates of its commands by image size; the counter of the pool is reset',
      settings({ image: [height], outputs = 512 }) {
        const small = height <= 32
        const settings = { iterations: 160_000, realBatch: 1024, imageLr: small ? 1e-4 : 1e-5, imageMomentum: 0.9, init: 'real' } as const
        return {
          ...settings,
          augment: 'crop_flip',
          network: 'conv-bn',
          options: { ...released, innerLr: rateForOutputs(released.innerLr, outputs) },
        }
      },
    },
  },
  options: {
    ridge: positive('c of the ridge c tr(K), or what ridgeScale says'),
    ridgeScale: oneOf(ridgeScales, 'what c is multiplied by: the trace of K, its mean, or nothing'),
    ridgeGradient: oneOf(ridgeGradients, 'whether the ridge is a constant of the gradient'),
    poolModels: count('l: networks of the pool'),
    poolSteps: count('Z: inner steps after which a network is drawn anew'),
    poolCounter: oneOf(poolCounters, 'the counter of a network that is drawn anew begins at 0, or stays as in the released code'),
    poolStart: oneOf(poolStarts, 'networks of a fresh pool are trained for 1 to Z - 1 steps, or untrained with counters spread evenly'),
    innerOptimiser: oneOf(innerOptimisers, 'what trains a network of the pool'),
    innerLr: positive('learning rate of an inner step; default 0.1, less in proportion where targets have fewer than 512 numbers'),
    innerMomentum: share('momentum of an inner step of sgd'),
    innerWeightDecay: notNegative('weight decay of an inner step of sgd, on every parameter'),
    innerLoss: oneOf(innerLosses, 'mean squared error over all elements, or half the squared distance per row'),
    weightDecay: notNegative('decoupled weight decay of images and targets'),
    lrEnd: share('learning rate after the last step, as a share of the first'),
    initSpace: oneOf(initSpaces, 'images start as pixels in [0, 1] as they are, or normalised as real ones'),
    targetScaling: oneOf(targetScalings, 'targets as the teacher gives them, or divided by one standard deviation; undone in the set'),
    padding: {
      doc: 'black pixels around a real image before a crop of its own size is taken',
      wanted: `a whole number from 0 to ${mostPadding}`,
      parse: (value) =>
        Number.isSafeInteger(value) && (value as number) >= 0 && (value as number) <= mostPadding ? (value as number) : undefined,
    },
    teacherTable: oneOf(teacherTables, "keep the teacher's answers for every image and crop: where it pays, always or never"),
  },
  // L = mean((Phi_t Phi_s^T (Phi_s Phi_s^T + lambda I)^-1 Y_s - g(X_t))^2), in X_s and Y_s
  representation: (options): TeacherRegression => ({
    ridge: { c: options.ridge, scale: options.ridgeScale, detach: options.ridgeGradient === 'detached' },
    pool: {
      models: options.poolModels,
      maxSteps: options.poolSteps,
      counter: options.poolCounter,
      start: options.poolStart,
      optimiser:
        options.innerOptimiser === 'sgd'
          ? { kind: 'sgd', lr: options.innerLr, momentum: options.innerMomentum, weightDecay: options.innerWeightDecay }
          : { kind: 'adam', lr: options.innerLr },
      loss: options.innerLoss,
    },
    weightDecay: options.weightDecay,
    lrEnd: options.lrEnd,
    initSpace: options.initSpace,
    targetScaling: options.targetScaling,
    padding: options.padding,
    teacherTable: options.teacherTable,
  }),
})
