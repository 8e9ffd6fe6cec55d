/** @file What the iterations of FRePo, KIP and RFAD go by: where features come from, what is solved, what moves and how. */
import type { Ridge } from '../../ridge/ridge.js'
import { count, countOrZero, type OptionSpecs } from '../method-options.js'
import type { InfiniteNetwork } from './infinite-network.js'
import type { RandomFeatures } from './random-features.js'
import type { PoolSettings } from './settings.js'

export const labelChoices = ['fixed', 'learned'] as const
export type LabelChoice = (typeof labelChoices)[number]

/** What the labels of KIP may be besides: solved for, with the images as they are. */
export const solvableLabelChoices = [...labelChoices, 'solve'] as const
export type SolvableLabelChoice = (typeof solvableLabelChoices)[number]

export const outerOptimisers = ['adam', 'lamb', 'adabelief'] as const
export type OuterOptimiser = (typeof outerOptimisers)[number]

/** `ridgeLoss` of the answers to real images: squared errors from centred one-hot rows, or cross-entropies of their classes; 'ce' has the temperature 1. */
export const labelLosses = ['mse', 'half-mse', 'half-squares', 'platt-ce', 'ce'] as const
export type LabelLoss = (typeof labelLosses)[number]

/** What the kernel is made of. */
export type KernelSource =
  | { readonly kind: 'infinite'; readonly network: InfiniteNetwork }
  | { readonly kind: 'random'; readonly features: RandomFeatures }
  | { readonly kind: 'pool'; readonly pool: PoolSettings }

/** How the set is measured on the way, on real images that are held out. */
export interface ValidationSettings {
  /** Steps from one to the next. */
  readonly every: number
  /** Random networks, the same every time; those of an infinite one have no number. */
  readonly networks: number
  /** Images of a class that are held out. */
  readonly perClass: number
  /** Steps without a lower loss that end the run; 0: none do. */
  readonly patience: number
}

/** Options of methods that validate; `validateEvery` 0: they do not. */
export type ValidationOptions = { readonly validateEvery: number; readonly validateImages: number; readonly patience: number }

export const validationOptions: OptionSpecs<ValidationOptions> = {
  validateEvery: countOrZero('steps between two looks at held-out real images, of which the best one gives the set; 0: none are held out'),
  validateImages: count('images of a class that are held out'),
  patience: countOrZero('steps without a lower loss on them that end the run; 0: it goes on to its last step'),
}

/** `networks`: random ones that held-out images are answered under. */
export const validationOf = (
  { validateEvery: every, validateImages: perClass, patience }: ValidationOptions,
  networks: number,
): Pick<LabelRegression, 'validation'> => (every > 0 ? { validation: { every, networks, perClass, patience } } : {})

/** Images with classes: targets are centred one-hot rows, those of the synthetic images may be learned. */
export interface LabelRegression {
  readonly targets: 'labels'
  readonly source: KernelSource
  readonly ridge: Ridge
  readonly loss: LabelLoss
  /** Of 'platt-ce': tau, where it starts. */
  readonly logScale: number
  /** And its learning rate. */
  readonly logScaleLr: number
  /** Images are multiplied by a learned matrix [H W C, H W C], which starts as the identity; the set has the products. */
  readonly transform?: { readonly lr: number }
  readonly learnedLabels: boolean
  /** Images stay, and labels are solved for; singular values of K_ts below `cut` times the largest count as 0. */
  readonly solved?: { readonly cut: number }
  /** Labels start as centred one-hot rows, under 'frepo' divided by sqrt(k / 10). */
  readonly labelScale: 'one' | 'frepo'
  /** Adds `labelMargin` of the learned labels to the loss. */
  readonly labelMargin: boolean
  /** Mirrored images stand beside the synthetic ones, with the same labels. */
  readonly mirrored: boolean
  readonly optimiser: OuterOptimiser
  /** The rate after the last step as a share of the first, along a cosine; 1: it stays. */
  readonly lrEnd: number
  readonly validation?: ValidationSettings
  /** Real images of a step: as many of each class, or the next of a shuffled pass over all of them. */
  readonly draws: 'balanced' | 'shuffled'
}
