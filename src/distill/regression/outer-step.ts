/**
 * @file The outer step of KRR-ST (arXiv 2310.06511): the linear head of a network of the pool is replaced by its closed-form ridge solution on
 * the synthetic images and their targets, and both move so that this head answers as the teacher does on real images.
 */
import { add, concat, full, grad, matmul, mean, reshape, slice, square, sub, type Value } from '../../engine/index.js'
import type { Network, Parameters } from '../../nn/module.js'
import { adamwUpdate } from '../../optim/adamw.js'
import type { MomentState } from '../../optim/moments.js'
import { type Ridge, ridgeHead } from '../../ridge/ridge.js'

/** A frozen network: parameters [1, ...shape] and running statistics. */
export interface FrozenNetwork {
  readonly network: Network
  readonly parameters: Parameters
  readonly state: Parameters
}

/** Features [rows, d] of images [rows, H, W, C] in eval mode: the input of the last linear layer. */
export function features({ network, parameters, state }: FrozenNetwork, images: Value): Value {
  const { embedding } = network.apply(parameters, reshape(images, [1, ...images.shape]), { mode: 'eval', state })
  return reshape(embedding, embedding.shape.slice(1))
}

export interface OuterBatch {
  /** X_s [n, H, W, C] and Y_s [n, k]. */
  readonly images: Value
  readonly targets: Value
  /** X_t [m, H, W, C] and Y_t [m, k]: no gradient goes into them. */
  readonly real: Value
  readonly realTargets: Value
}

export interface OuterGradients {
  /** mean((P - Y_t)^2) over all m k elements, f32 []. */
  readonly loss: Value
  readonly images: Value
  readonly targets: Value
  /** P [m, k]. */
  readonly predictions: Value
  /** Of the solution, f64 [6]: see `ridgeHead`. */
  readonly info: Value
}

/**
 * L = mean((Phi_t W - Y_t)^2) with W = Phi_s^T (Phi_s Phi_s^T + lambda I)^-1 Y_s, and its gradients in X_s and Y_s. A column of ones stands
 * behind both features, so that the head has a bias; that of Phi_t is added to the product in place of it.
 */
export function outerGradients(frozen: FrozenNetwork, { images, targets, real, realTargets }: OuterBatch, ridge: Ridge): OuterGradients {
  const own = features(frozen, images)
  const [n, d] = own.shape
  const k = targets.shape[1]
  const { weights, info } = ridgeHead(concat([own, full([n, 1], 1)], 1), targets, ridge)
  const bias = slice(weights, [d, 0], [d + 1, k])
  const predictions = add(matmul(features(frozen, real), slice(weights, [0, 0], [d, k]), { precision: 'f32' }), bias)
  const loss = mean(square(sub(predictions, realTargets)))
  const [imageGradient, targetGradient] = grad(loss, [images, targets])
  return { loss, images: imageGradient, targets: targetGradient, predictions, info }
}

/** What AdamW moves, with its moments. */
export interface Moved {
  readonly parameter: Value
  readonly state: MomentState
}

/** AdamW on images and targets alike, at the rate `lr`, f32 []. */
export function outerUpdate(
  before: { readonly images: Moved; readonly targets: Moved },
  gradients: Pick<OuterGradients, 'images' | 'targets'>,
  { lr, weightDecay }: { readonly lr: Value; readonly weightDecay: number },
): { readonly images: Moved; readonly targets: Moved } {
  const step = ({ parameter, state }: Moved, gradient: Value): Moved => adamwUpdate(parameter, gradient, state, { lr, weightDecay })
  return { images: step(before.images, gradients.images), targets: step(before.targets, gradients.targets) }
}
