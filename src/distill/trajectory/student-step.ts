/**
 * @file One step of the student, the network that is trained on the synthetic set: plain SGD on a minibatch of it, and the same step swept
 * backwards by the graph's own second order (trajectory matching, MTT 2203.11932; one step's graph at a time, so memory does not grow with
 * the number of steps).
 */
import {
  addAll,
  augment,
  div,
  dot,
  gather,
  grad,
  greater,
  mul,
  reshape,
  scatterAdd,
  softmax,
  softmaxCe,
  sub,
  sum,
  type Value,
} from '../../engine/index.js'
import type { Network, Parameters } from '../../nn/module.js'

export interface StudentShape {
  readonly network: Network
  /** Synthetic images, M. */
  readonly images: number
  /** Places of a minibatch. */
  readonly batch: number
  /** Classes, or logits whose softmax is the target. */
  readonly labels: 'hard' | 'soft'
  readonly augmented: boolean
  /** Whether some minibatch is short: the places beyond it have weight 0. */
  readonly padded: boolean
}

/** The synthetic set and the rows of it that a step takes. */
export interface Minibatch {
  /** [M, H, W, C] */
  readonly images: Value
  /** Classes, i32 [M], or label logits, f32 [M, K]. */
  readonly labels: Value
  /** i32 [batch] */
  readonly index: Value
  /** 1 / rows at the places of rows and 0 beyond, f32 [batch]; where minibatches are padded. */
  readonly weights?: Value
  /** Augmentation of every place, f32 [batch, 8]; where there is one. */
  readonly theta?: Value
}

interface InnerGradient {
  /** Mean cross-entropy of the minibatch. */
  readonly loss: Value
  /** Of all parameters, in the network's order. */
  readonly gradients: readonly Value[]
  /** Images and labels of the places, before augmentation and softmax: what mixed derivatives are taken in. */
  readonly rows: Value
  readonly rowLabels: Value
}

export const parameterNames = ({ parameters }: Network): string[] => parameters.map(({ name }) => name)

/** The mean cross-entropy of a minibatch and its gradient in all parameters [1, ...shape]. */
export function innerGradient(shape: StudentShape, parameters: Parameters, minibatch: Minibatch): InnerGradient {
  const { network, batch, labels } = shape
  const { images, index, weights, theta } = minibatch
  const rows = gather(images, index)
  const rowLabels = gather(minibatch.labels, index)
  const seen = theta ? augment(rows, theta) : rows
  // Rows of weight 0 are padding: batch statistics leave them out too.
  const padding = weights ? { rowWeights: greater(reshape(weights, [1, batch]), 0) } : {}
  const { logits } = network.apply(parameters, reshape(seen, [1, ...seen.shape]), padding)
  const target = labels === 'soft' ? softmax(rowLabels) : rowLabels
  const each = softmaxCe(reshape(logits, [batch, network.classes]), target).loss
  const loss = weights ? sum(mul(each, weights)) : div(sum(each), batch)
  const gradients = grad(
    loss,
    parameterNames(network).map((name) => parameters[name]),
  )
  return { loss, gradients, rows, rowLabels }
}

/** theta_{i+1} = theta_i - lr g_i: no momentum, no weight decay. `lr` is f32 []. */
export function forwardStep(shape: StudentShape, parameters: Parameters, minibatch: Minibatch, lr: Value): Parameters {
  const { gradients } = innerGradient(shape, parameters, minibatch)
  return Object.fromEntries(parameterNames(shape.network).map((name, i) => [name, sub(parameters[name], mul(gradients[i], lr))]))
}

/** What the sweep back carries from step to step. */
export interface Sweep {
  /** lam: d loss / d theta after the step, by parameter. */
  readonly cotangents: Parameters
  /** d loss / d images, f32 [M, H, W, C]: adds up over the steps that an image is used in. */
  readonly images: Value
  /** d loss / d label logits, f32 [M, K]; where they are learned. */
  readonly labels?: Value
  /** d loss / d lr, f32 [] */
  readonly lr: Value
}

/**
 * One step backwards, from theta_i, the parameters that step i began with:
 * gX[batch_i] -= lr d<g_i, lam>/dX, gY alike, g_lr -= <lam, g_i>, lam -= lr d<g_i, lam>/dtheta.
 * 'tesla' (2211.10586) leaves the last of these out: it keeps lam, and with it loses how an image moves the gradients of later steps.
 */
export function reverseStep(
  shape: StudentShape,
  gradient: 'exact' | 'tesla',
  parameters: Parameters,
  { minibatch, lr, sweep }: { readonly minibatch: Minibatch; readonly lr: Value; readonly sweep: Sweep },
): Sweep {
  const names = parameterNames(shape.network)
  const { gradients, rows, rowLabels } = innerGradient(shape, parameters, minibatch)
  const along = addAll(names.map((name, i) => dot(gradients[i], sweep.cotangents[name])))
  const { labels } = sweep
  const mixedIn = labels ? [rows, rowLabels] : [rows]
  const wanted = gradient === 'exact' ? [...mixedIn, ...names.map((name) => parameters[name])] : mixedIn
  const derivatives = grad(along, wanted)
  const added = (sum: Value, mixed: Value) => sub(sum, scatterAdd(mul(mixed, lr), minibatch.index, shape.images))
  const hessian = derivatives.slice(mixedIn.length)
  const moved = () => Object.fromEntries(names.map((name, i) => [name, sub(sweep.cotangents[name], mul(hessian[i], lr))]))
  return {
    cotangents: gradient === 'exact' ? moved() : sweep.cotangents,
    images: added(sweep.images, derivatives[0]),
    ...(labels && { labels: added(labels, derivatives[1]) }),
    lr: sub(sweep.lr, along),
  }
}
