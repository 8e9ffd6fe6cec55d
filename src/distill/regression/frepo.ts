/** @file FRePo (arXiv 2206.00719): the last layer of partly trained networks is solved for, images and labels learn through it. */
import { defineRegressionMethod } from '../method.js'
import { count, notNegative, oneOf, positive } from '../method-options.js'
import { type LabelChoice, type LabelLoss, labelChoices, labelLosses } from './label-settings.js'

const switches = ['on', 'off'] as const
type Switch = (typeof switches)[number]

type FrepoOptions = {
  readonly poolModels: number
  readonly poolSteps: number
  readonly networkLr: number
  readonly ridge: number
  readonly labels: LabelChoice
  readonly loss: LabelLoss
  readonly labelMargin: Switch
  readonly mirrored: Switch
  readonly lrEnd: number
}

/** Off for digits and MNIST-like data, CIFAR-100 and Tiny-ImageNet from 10 images a class on, and ImageNet at 64 pixels. */
function isMirrored(data: string, ipc: number, [height]: readonly number[]): boolean {
  if (/mnist|usps/.test(data)) return false
  if (/cifar100|tiny/.test(data)) return ipc < 10
  return !(/^imagenet(64)?$/.test(data) && height === 64)
}

export const frepo = defineRegressionMethod<FrepoOptions>({
  name: 'frepo',
  doc: 'Feature regression with pooling: ridge regression on features of a pool of partly trained networks (2206.00719)',
  presets: {
    code: {
      doc: 'the released code (yongchaoz/FRePo); mirrored images where the code has them',
      settings: ({ ipc, image, data = '' }) => ({
        ...{
          iterations: 500_000,
          realBatch: 1024,
          imageLr: 3e-4,
          imageMomentum: 0.9,
          init: 'real',
          augment: 'none',
          network: 'conv-frepo',
        },
        options: {
          ...{ poolModels: 10, poolSteps: 100, networkLr: 3e-4, ridge: 1e-6, labels: 'learned', loss: 'half-squares' },
          ...{ labelMargin: 'on', mirrored: isMirrored(data, ipc, image) ? 'on' : 'off', lrEnd: 0.1 },
        },
      }),
    },
  },
  options: {
    poolModels: count('l: networks of the pool'),
    poolSteps: count('Z: a network of the pool that has taken more training steps is drawn anew'),
    networkLr: positive('rate of Adam, which trains the networks of the pool on the synthetic images'),
    ridge: positive('c: lambda = c tr(K) / n'),
    labels: oneOf(labelChoices, 'fixed: centred one-hot rows over sqrt(k / 10); learned: moved as the images are'),
    loss: oneOf(labelLosses, 'of the answers to real images: half-squares is the published one'),
    labelMargin: oneOf(switches, 'on: learned labels keep their largest ahead of the second, by 1/k at most'),
    mirrored: oneOf(switches, 'on: mirrored images stand beside the synthetic ones in every step, with the same labels'),
    lrEnd: notNegative('rate of the last step as a share of imageLr, reached along a cosine'),
  },
  // lambda = c tr(K_ss)/n; P = Phi_t Phi_s^T (K_ss + lambda I)^-1 Y_s; L = mean_i 1/2 |P_i - y_i|^2 + label margin; LAMB on X_s and Y_s
  regression: (options) => ({
    targets: 'labels',
    source: {
      kind: 'pool',
      pool: {
        ...{ models: options.poolModels, maxSteps: options.poolSteps + 1, counter: 'reset', start: 'staggered' },
        ...{ optimiser: { kind: 'adam', lr: options.networkLr }, loss: 'half-mse' },
      },
    },
    ridge: { c: options.ridge, scale: 'meanTrace', detach: false },
    loss: options.loss,
    ...{ logScale: 0, logScaleLr: 0.01 },
    learnedLabels: options.labels === 'learned',
    labelScale: 'frepo',
    labelMargin: options.labelMargin === 'on',
    mirrored: options.mirrored === 'on',
    ...{ optimiser: 'lamb', lrEnd: options.lrEnd, draws: 'shuffled' },
  }),
})
