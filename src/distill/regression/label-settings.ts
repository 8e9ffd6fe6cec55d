/** @file What the iterations of FRePo, KIP and RFAD go by: where features come from, what is solved, what moves and how. */
import type { Ridge } from '../../ridge/ridge.js'
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
  /** Real images of a step: as many of each class, or the next of a shuffled pass over all of them. */
  readonly draws: 'balanced' | 'shuffled'
}
