/** @file The outer step of FRePo, KIP and RFAD: answers of a ridge solution on the synthetic images to real ones, their loss, and the gradient of what is learned. */
import { add, cast, concat, grad, matmul, oneHot, reshape, reverse, stopGradient, type Value } from '../../engine/index.js'
import type { Network, Parameters } from '../../nn/module.js'
import { kernelRidgeSolve, type Ridge, ridgeHead, ridgeLoss } from '../../ridge/index.js'
import { centred } from './centred.js'
import { type InfiniteNetwork, infiniteKernel, infiniteKernelOf } from './infinite-network.js'
import { labelMargin } from './label-margin.js'
import type { KernelSource, LabelLoss, LabelRegression } from './label-settings.js'
import { features } from './outer-step.js'
import { drawNetworks, randomAnswers, randomFeatures } from './random-features.js'

export interface LabelBatch {
  /** X_s [n, H, W, C] and Y_s f32 [n, k]. */
  readonly images: Value
  readonly targets: Value
  /** f32 [H W C, H W C]: what X_s is multiplied by; absent where it is taken as it is. */
  readonly transform?: Value
  /** X_t [m, H, W, C] and its classes i32 [m]. */
  readonly real: Value
  readonly classes: Value
  /** tau, f32 []. */
  readonly logScale: Value
  /** Of kernels of random networks: what draws them, u32 [2] and u32 [1]. */
  readonly draw: { readonly key: Value; readonly counter: Value }
  /** Of features of the pool: the network of the step, [1, ...shape] each. */
  readonly frozen: { readonly parameters: Parameters; readonly state: Parameters }
}

export interface LabelGradients {
  /** f32 [] */
  readonly loss: Value
  readonly images: Value
  readonly transform?: Value
  readonly targets?: Value
  readonly logScale?: Value
  /** Of the solution, f64 [6]: see `kernelRidgeSolve`. */
  readonly info: Value
}

/** Rows of pixels, f64 [rows, H W C]. */
export const flatRows = (images: Value): Value =>
  cast(reshape(images, [images.shape[0], images.shape.slice(1).reduce((a, b) => a * b)]), 'f64')

/** Images [n, H, W, C] times a matrix over their pixels. */
export function transformed(images: Value, transform: Value | undefined): Value {
  if (!transform) return images
  return reshape(matmul(reshape(images, [images.shape[0], transform.shape[0]]), transform, { precision: 'f32' }), images.shape)
}

/** P = K_ts (K_ss + lambda I)^-1 Y_s [m, k]: f64 under the kernel of an infinite network, f32 on features. */
export function answersOf(
  { network, source }: { network: Network; source: KernelSource },
  { images, targets, real, draw, frozen }: LabelBatch,
  ridge: Ridge,
) {
  if (source.kind === 'random') {
    const networks = drawNetworks(network, source.features, draw)
    const { weights, info } = ridgeHead(randomFeatures({ network, networks }, source.features, images), targets, ridge)
    return { answers: randomAnswers({ network, networks }, source.features, real, weights), info }
  }
  if (source.kind === 'pool') {
    const own = { network, ...frozen }
    const { weights, info } = ridgeHead(features(own, images), targets, ridge)
    return { answers: matmul(stopGradient(features(own, real)), weights, { precision: 'f32' }), info }
  }
  return kernelAnswers(source.network, { images, targets, real }, ridge)
}

/** The same under the kernel of an infinite network alone. */
export function kernelAnswers(
  network: InfiniteNetwork,
  { images, targets, real }: Pick<LabelBatch, 'images' | 'targets' | 'real'>,
  ridge: Ridge,
) {
  const synthetic = flatRows(images)
  const { coefficients, info } = kernelRidgeSolve(infiniteKernelOf(network, synthetic), cast(targets, 'f64'), ridge)
  return { answers: matmul(infiniteKernel(network, flatRows(real), synthetic), coefficients), info }
}

/** Loss of the answers [m, k] to images of `classes`, f64 []. */
export function fitOf(loss: LabelLoss, answers: Value, { classes, logScale }: Pick<LabelBatch, 'classes' | 'logScale'>): Value {
  const k = answers.shape[1]
  if (loss === 'ce') return ridgeLoss(answers, oneHot(classes, k), { ce: 1 })
  return loss === 'platt-ce' ? ridgeLoss(answers, oneHot(classes, k), loss, { logScale }) : ridgeLoss(answers, centred(classes, k), loss)
}

/** `network` is what random features are of. */
export function labelGradients(network: Network, batch: LabelBatch, settings: LabelRegression): LabelGradients {
  const { images, transform, targets, real, classes, logScale } = batch
  const { mirrored, learnedLabels } = settings
  const both = (x: Value, other: Value): Value => (mirrored ? concat([x, other]) : x)
  const shown = transformed(images, transform)
  const side = { ...batch, images: both(shown, reverse(shown, [2])), targets: both(targets, targets) }
  const { answers, info } = answersOf({ network, source: settings.source }, { ...side, real }, settings.ridge)
  const fit = cast(fitOf(settings.loss, answers, { classes, logScale }), 'f32')
  const loss = learnedLabels && settings.labelMargin ? add(fit, labelMargin(targets)) : fit
  const learned = {
    images,
    ...(transform && { transform }),
    ...(learnedLabels && { targets }),
    ...(settings.loss === 'platt-ce' && { logScale }),
  }
  const gradients = grad(loss, Object.values(learned))
  return { loss, info, ...Object.fromEntries(Object.keys(learned).map((name, i) => [name, gradients[i]])) } as LabelGradients
}
