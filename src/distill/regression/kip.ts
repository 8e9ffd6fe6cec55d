/** @file KIP (arXiv 2011.00050): images, and labels if wanted, that kernel ridge regression under an infinitely wide network learns the data from. */
import { AludelError } from '../../errors.js'
import { defineRegressionMethod } from '../method.js'
import { countUpTo, notNegative, oneOf, positive } from '../method-options.js'
import { validationImages } from './held-out.js'
import { type KernelKind, kernelKinds } from './infinite-network.js'
import {
  type LabelLoss,
  labelLosses,
  type SolvableLabelChoice,
  solvableLabelChoices,
  type ValidationOptions,
  validationOf,
  validationOptions,
} from './label-settings.js'

type KipOptions = ValidationOptions & {
  readonly kernel: KernelKind
  readonly depth: number
  readonly weightVariance: number
  readonly biasVariance: number
  readonly ridge: number
  readonly labels: SolvableLabelChoice
  readonly labelCut: number
  readonly loss: LabelLoss
}

export const kip = defineRegressionMethod<KipOptions>({
  name: 'kip',
  doc: 'Kernel inducing points: ridge regression under the kernel of an infinitely wide network (2011.00050)',
  presets: {
    code: {
      doc: 'the released notebook (google-research, kip/KIP.ipynb)',
      settings: (context) => ({
        ...{ iterations: 1000, realBatch: 5000, imageLr: 0.04, imageMomentum: 0.9, init: 'real', augment: 'none', network: 'convnet' },
        options: {
          ...{ kernel: 'ntk', depth: 1, weightVariance: 2, biasVariance: 0.01, ridge: 1e-6 },
          ...{ labels: 'fixed', labelCut: 1e-6, loss: 'half-mse' },
          ...{ validateEvery: 0, validateImages: validationImages(context), patience: 1000 },
        },
      }),
    },
  },
  options: {
    kernel: oneOf(kernelKinds, 'ntk: the network trained to its end; nngp: its last layer alone'),
    depth: countUpTo(100, 'hidden layers of the fully connected ReLU network'),
    weightVariance: positive('W²: variance of the weights times their fan-in'),
    biasVariance: notNegative('b²: variance of the biases'),
    ridge: positive('c: lambda = c tr(K) / n'),
    labels: oneOf(
      solvableLabelChoices,
      'fixed: centred one-hot rows; learned: moved as the images are; solve: the images stay, and the best labels for them are solved for',
    ),
    labelCut: positive('of solved labels: singular values of K_ts below this share of the largest count as 0'),
    loss: oneOf(labelLosses, 'of the answers to real images: half-mse is the published one'),
    ...validationOptions,
  },
  resolve(options) {
    if (options.labels !== 'solve') return options
    if (options.validateEvery > 0) {
      const todo = "leave validateEvery out, or take labels 'learned'"
      throw new AludelError('invalid_option', `kip validateEvery: labels are solved for at the last step alone: ${todo}`)
    }
    if (options.loss === 'half-mse') return options
    const todo = "leave the loss out, or take labels 'learned'"
    throw new AludelError(
      'invalid_option',
      `kip loss: labels are solved for by least squares, and ${options.loss} is another loss: ${todo}`,
    )
  },
  // lambda = c tr(K_ss)/n; P = K_ts (K_ss + lambda I)^-1 Y_s; L = 1/2 mean((P - Y_t)^2); Adam on X_s (and Y_s)
  regression: ({ kernel, depth, weightVariance, biasVariance, ridge, labels, labelCut, loss, ...own }) => ({
    targets: 'labels',
    source: { kind: 'infinite', network: { kernel, depth, weightVariance, biasVariance } },
    ridge: { c: ridge, scale: 'meanTrace', detach: false },
    loss,
    ...{ logScale: 0, logScaleLr: 0.01 },
    learnedLabels: labels === 'learned',
    ...(labels === 'solve' && { solved: { cut: labelCut } }),
    ...{ labelScale: 'one', labelMargin: false, mirrored: false },
    ...validationOf(own, 1),
    ...{ optimiser: 'adam', lrEnd: 1, draws: 'balanced' },
  }),
})
