/** @file One step of a network of the pool on all synthetic images towards their targets: mean squared error, batch norm by the batch, SGD or Adam. */
import { div, grad, reshape, square, sub, sum, type Value } from '../../engine/index.js'
import type { Network, Parameters } from '../../nn/module.js'
import { adamwUpdate } from '../../optim/adamw.js'
import type { MomentState } from '../../optim/moments.js'
import { sgdUpdate } from '../../optim/sgd.js'

/** 'mse': mean of squared errors over all elements; 'half-mse': mean over rows of half the squared distance. */
export const innerLosses = ['mse', 'half-mse'] as const
export type InnerLoss = (typeof innerLosses)[number]

export type InnerOptimiser =
  | {
      readonly kind: 'sgd'
      readonly lr: number
      readonly momentum: number
      /** Added to the gradient of every parameter, biases and norms too. */
      readonly weightDecay: number
    }
  | { readonly kind: 'adam'; readonly lr: number }

/** Moments of a network's parameters, by the names of `momentNames`. */
export type Moments = Readonly<Record<string, Value>>

/** A network with the state of its optimiser. */
export interface PoolMember {
  /** [1, ...shape] each. */
  readonly parameters: Parameters
  /** Running statistics of batch norm. */
  readonly state: Parameters
  readonly moments: Moments
}

const velocity = (name: string): string => `velocity:${name}`
const squares = (name: string): string => `squares:${name}`
const weights = ['meanWeight', 'squareWeight'] as const

/** Shapes of the moments that an optimiser keeps of a network, by name; zeros are those of a fresh one. */
export function momentShapes({ parameters }: Network, { kind }: InnerOptimiser): Record<string, readonly number[]> {
  const per = (key: (name: string) => string) => parameters.map(({ name, shape }) => [key(name), [1, ...shape]] as const)
  if (kind === 'sgd') return Object.fromEntries(per(velocity))
  return Object.fromEntries([...per(velocity), ...per(squares), ...weights.map((name) => [name, []] as const)])
}

/** loss of answers [rows, k] against targets [rows, k]. */
export function innerLoss(kind: InnerLoss, answers: Value, targets: Value): Value {
  const [rows, k] = targets.shape
  return div(sum(square(sub(answers, targets))), kind === 'mse' ? rows * k : 2 * rows)
}

/** The network after one step on images [rows, H, W, C] towards targets [rows, k], and the loss before it, f32 []. */
export function innerStep(
  network: Network,
  member: PoolMember,
  { images, targets }: { readonly images: Value; readonly targets: Value },
  { optimiser, loss: kind }: { readonly optimiser: InnerOptimiser; readonly loss: InnerLoss },
): PoolMember & { readonly loss: Value } {
  const { parameters, state, moments } = member
  const names = network.parameters.map(({ name }) => name)
  const applied = network.apply(parameters, reshape(images, [1, ...images.shape]), { mode: 'train', state })
  const loss = innerLoss(kind, reshape(applied.logits, targets.shape), targets)
  const gradients = grad(
    loss,
    names.map((name) => parameters[name]),
  )
  const next = names.map((name, i) => {
    const moved = moveParameter(parameters[name], gradients[i], name, moments, optimiser)
    return { name, ...moved }
  })
  return {
    loss,
    parameters: Object.fromEntries(next.map(({ name, parameter }) => [name, parameter])),
    state: applied.state,
    moments: Object.assign({}, ...next.map((moved) => moved.moments)),
  }
}

function moveParameter(parameter: Value, gradient: Value, name: string, moments: Moments, optimiser: InnerOptimiser) {
  if (optimiser.kind === 'sgd') {
    const next = sgdUpdate(parameter, moments[velocity(name)], gradient, optimiser)
    return { parameter: next.parameter, moments: { [velocity(name)]: next.velocity } }
  }
  const { meanWeight, squareWeight } = moments
  const state: MomentState = { mean: moments[velocity(name)], square: moments[squares(name)], meanWeight, squareWeight }
  const next = adamwUpdate(parameter, gradient, state, { lr: optimiser.lr })
  const { mean, square: nextSquare, ...nextWeights } = next.state
  return { parameter: next.parameter, moments: { [velocity(name)]: mean, [squares(name)]: nextSquare, ...nextWeights } }
}
