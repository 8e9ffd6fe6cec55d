/** @file The settings that each objective is trained with: solo-learn's for small images (ResNet-18, batch 256). */
import type { ViewPolicy } from './view-draws.js'

export const objectives = ['barlow-twins', 'simclr', 'byol', 'vicreg'] as const
export type Objective = (typeof objectives)[number]

export interface Recipe {
  /** Of a batch of 256; larger and smaller ones in proportion. */
  readonly lr: number
  readonly weightDecay: number
  /** Widths of the projector's layers; batch norm behind all but the last, where it has one. */
  readonly projector: readonly number[]
  readonly projectorNorm: boolean
  /** Widths of the predictor's layers; none where there is no predictor. */
  readonly predictor: readonly number[]
  readonly views: readonly [ViewPolicy, ViewPolicy]
}

/** Common to all. */
export const usual = { epochs: 1000, batch: 256, warmupEpochs: 10, warmupLr: 3e-5, momentum: 0.9, eta: 0.02 } as const

const view: ViewPolicy = {
  ...{ cropScale: [0.08, 1], jitter: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
  ...{ grayscale: 0.2, flip: 0.5, solarise: 0, blur: 0 },
}
const asymmetric = [view, { ...view, solarise: 0.2 }] as const
const strong: ViewPolicy = { ...view, brightness: 0.8, contrast: 0.8, saturation: 0.8, hue: 0.2, blur: 0.5 }
const solarised: ViewPolicy = { ...view, cropScale: [0.2, 1], solarise: 0.1 }

export const recipes: Readonly<Record<Objective, Recipe>> = {
  'barlow-twins': {
    ...{ lr: 0.3, weightDecay: 1e-4, projector: [2048, 2048, 2048], projectorNorm: true, predictor: [] },
    views: asymmetric,
  },
  simclr: { lr: 0.4, weightDecay: 1e-4, projector: [2048, 256], projectorNorm: false, predictor: [], views: [strong, strong] },
  byol: { lr: 1, weightDecay: 1e-5, projector: [4096, 256], projectorNorm: true, predictor: [4096, 256], views: asymmetric },
  vicreg: {
    ...{ lr: 0.3, weightDecay: 1e-4, projector: [2048, 2048, 2048], projectorNorm: true, predictor: [] },
    views: [solarised, solarised],
  },
}

/** Numbers of the losses. */
export const lossNumbers = {
  barlowTwins: { lambda: 0.0051, scale: 0.1 },
  simclr: { temperature: 0.2 },
  vicreg: { invariance: 25, variance: 25, covariance: 1, stdHalf: false },
  byol: { tau: 0.99 },
} as const

/** Learning rate of a step: linear from `warmupLr` over the warm-up, then a cosine to 0. */
export function learningRate(
  step: number,
  steps: number,
  { lr, warmupLr, warmup }: { lr: number; warmupLr: number; warmup: number },
): number {
  if (step < warmup) return warmupLr + ((lr - warmupLr) * step) / warmup
  return (lr * (1 + Math.cos((Math.PI * (step - warmup)) / Math.max(1, steps - warmup)))) / 2
}
