/** @file GraNd: the norm of a sample's gradient in all parameters, as ops: each sample is a group of its own, with the parameters repeated. */
import { add, broadcast, grad, reshape, softmaxCe, sqrt, square, sum, type Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import type { Network, Parameters } from '../nn/module.js'
import type { Score } from './score.js'

export const grand: Score = {
  name: 'grand',
  easy: 'low',
  input: 'gradients',
  source:
    'Paul et al., 2107.07075: ||gradient|| in all parameters, averaged over runs; at initialisation it does not reproduce (2303.14753)',
}

export interface GradientNorms {
  /** ||gradient|| of each sample, [n]. */
  readonly norm: Value
  /** Squared norms by parameter, [n] each; `norm` is the root of their sum. */
  readonly squares: Parameters
}

/**
 * Norms of the gradients of each sample's cross-entropy (Paul et al., 2107.07075) inside a trace. `parameters` and `state` carry the group
 * axis G = 1, images [n, H, W, C], labels i32 [n]. Gradients of convolutions and linear layers are reduced where they are made; none of n times
 * parameters is stored. Networks with running statistics are scored by them: a sample alone has none. Throws `invalid_option` when they are
 * missing.
 */
export function gradientNorms(network: Network, parameters: Parameters, images: Value, labels: Value, state?: Parameters): GradientNorms {
  const { names, gradients } = gradientsOfSamples(network, parameters, images, labels, state)
  const squares = gradients.map((gradient) => sum(square(gradient), { axes: gradient.shape.map((_, axis) => axis).slice(1) }))
  return {
    norm: sqrt(squares.reduce((total, one) => add(total, one))),
    squares: Object.fromEntries(names.map((name, i) => [name, squares[i]])),
  }
}

/** Gradients of each sample's cross-entropy by parameter, [n, …] each; the rest as `gradientNorms`. */
export function gradientsOfSamples(
  network: Network,
  parameters: Parameters,
  images: Value,
  labels: Value,
  state?: Parameters,
): { readonly names: readonly string[]; readonly gradients: readonly Value[] } {
  if (network.state.length > 0 && !state)
    throw new AludelError('invalid_option', `gradientNorms: network '${network.name}' has running statistics; give them as state`)
  const n = images.shape[0]
  const overSamples = (x: Value): Value => broadcast(x, [n, ...x.shape.slice(1)])
  const names = network.parameters.map(({ name }) => name)
  const repeated = names.map((name) => overSamples(parameters[name]))
  const named = Object.fromEntries(names.map((name, i) => [name, repeated[i]]))
  const statistics = state && Object.fromEntries(Object.entries(state).map(([name, value]) => [name, overSamples(value)]))
  const frozen = statistics && { mode: 'eval' as const, state: statistics }
  const { logits } = network.apply(named, reshape(images, [n, 1, ...network.input]), frozen)
  const { loss } = softmaxCe(logits, reshape(labels, [n, 1]))
  // samples share no copy of a parameter: the gradient of the sum is every sample's own
  return { names, gradients: grad(sum(loss), repeated) }
}
