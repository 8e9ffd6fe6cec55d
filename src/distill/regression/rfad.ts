/** @file RFAD (arXiv 2210.12067): KIP with the kernel of random finite convolutional networks, redrawn at every step. */
import { AludelError } from '../../errors.js'
import { defineRegressionMethod } from '../method.js'
import { countUpTo, notNegative, oneOf, positive } from '../method-options.js'
import { validationImages } from './held-out.js'
import {
  type LabelChoice,
  type LabelLoss,
  labelChoices,
  labelLosses,
  type ValidationOptions,
  validationOf,
  validationOptions,
} from './label-settings.js'

type RfadOptions = ValidationOptions & {
  readonly networks: number
  readonly weightVariance: number
  readonly biasVariance: number
  readonly ridge: number
  readonly labels: LabelChoice
  readonly loss: LabelLoss
  readonly scaleLr: number
  readonly transformLr: number
  readonly validateNetworks: number
}

export const rfad = defineRegressionMethod<RfadOptions>({
  name: 'rfad',
  doc: 'Random feature approximation of KIP: ridge regression on features of fresh random networks (2210.12067)',
  presets: {
    code: {
      doc: 'the released code (yolky/RFAD)',
      settings: (context) => ({
        ...{
          iterations: 100_000,
          realBatch: 5120,
          imageLr: 1e-3,
          imageMomentum: 0.9,
          init: 'real',
          augment: 'none',
          network: 'convnet-nn-w256',
        },
        options: {
          ...{ networks: 8, weightVariance: 2, biasVariance: 0.01, ridge: 5e-3 },
          ...{ labels: 'learned', loss: 'platt-ce', scaleLr: 0.01, transformLr: 5e-5 },
          ...{ validateEvery: 40, validateNetworks: 16, validateImages: validationImages(context), patience: 1000 },
        },
      }),
    },
  },
  options: {
    networks: countUpTo(256, 'random networks of a step, whose features stand side by side'),
    weightVariance: positive('W² of the last layer: what the kernel of the features is multiplied by'),
    biasVariance: notNegative('b² of the last layer: what is added to the kernel'),
    ridge: positive('c: lambda = c tr(K) / n'),
    labels: oneOf(labelChoices, 'fixed: centred one-hot rows; learned: moved as the images are'),
    loss: oneOf(labelLosses, 'of the answers to real images: platt-ce and half-mse are the published ones'),
    transformLr: notNegative('learning rate of the matrix that images are multiplied by, which starts as the identity; 0: there is none'),
    scaleLr: notNegative("learning rate of tau, the learned temperature of loss 'platt-ce'"),
    ...validationOptions,
    validateNetworks: countUpTo(256, 'random networks under which held-out images are answered, the same every time'),
  },
  resolve(options, { name, state }) {
    if (state.length === 0) return options
    const todo = "take one without, such as 'convnet-nn'"
    throw new AludelError(
      'invalid_option',
      `network: a random network of rfad has no statistics of its own, and ${name} has batch norm: ${todo}`,
    )
  },
  // images are X T; K = W² Phi Phi^T / d + b²; lambda = c tr(K_ss)/n; P = K_ts (K_ss + lambda I)^-1 Y_s; L = CE(exp(tau) P) or 1/2 mean((P - Y_t)^2); AdaBelief
  regression: ({ networks, weightVariance, biasVariance, ridge, labels, loss, scaleLr, transformLr, ...own }) => ({
    targets: 'labels',
    source: { kind: 'random', features: { networks, weightVariance, biasVariance } },
    ridge: { c: ridge, scale: 'meanTrace', detach: false },
    loss,
    ...{ logScale: 0, logScaleLr: scaleLr },
    ...(transformLr > 0 && { transform: { lr: transformLr } }),
    learnedLabels: labels === 'learned',
    ...{ labelScale: 'one', labelMargin: false, mirrored: false },
    ...validationOf(own, own.validateNetworks),
    ...{ optimiser: 'adabelief', lrEnd: 1, draws: 'shuffled' },
  }),
})
