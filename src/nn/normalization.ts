/** @file Normalisation layers: instance, group, layer and batch norm with PyTorch's defaults, fused with ReLU and pooling where possible. */
import {
  add,
  avgPool2d,
  div,
  full,
  maximum,
  mul,
  normActPool,
  reciprocal,
  relu,
  reshape,
  rsqrt,
  square,
  sub,
  sum,
  type Value,
} from '../engine/index.js'
import { AludelError, expected } from '../errors.js'
import type { ApplyOptions, MapShape, ParameterSpec, Parameters, StateSpec } from './module.js'

export const norms = ['none', 'instance', 'batch', 'layer', 'group'] as const
export type Norm = (typeof norms)[number]

/** Added to every variance. */
const eps = 1e-5
/** How running statistics move. */
export interface RunningRule {
  /** Weight of the newest batch. */
  readonly momentum: number
  /** Whether its variance is divided by n - 1. */
  readonly unbiased: boolean
}

const pytorch: RunningRule = { momentum: 0.1, unbiased: true }
/** Flax's BatchNorm with `momentum=0.1`, which is the share that the old statistics keep. */
export const flaxTenth: RunningRule = { momentum: 0.9, unbiased: false }

/** Channel groups of 'group', as in the DC lineage. */
const channelGroups = 4

/** What follows the normalisation and may be computed in the same pass. */
export interface AfterNorm {
  readonly relu: boolean
  /** 2: average pooling over 2x2 windows. */
  readonly pool: 0 | 2
}

export interface NormPass {
  readonly parameters: Parameters
  readonly options: ApplyOptions
  /** Receives the updated running statistics. */
  readonly nextState: Record<string, Value>
}

export interface NormLayer {
  readonly parameters: readonly ParameterSpec[]
  readonly state: readonly StateSpec[]
  /** x: [G, N, H, W, C] of the layer's map. */
  apply(x: Value, pass: NormPass, after: AfterNorm): Value
}

/**
 * A normalisation of maps [H, W, C]; parameters `NAME.gamma` (which starts with the value `scale`) and `NAME.beta`, state `NAME.mean` and
 * `NAME.variance` (batch norm), which move by `running`.
 */
export function normLayer(name: string, kind: Norm, map: MapShape, scale = 1, running = pytorch): NormLayer {
  const [, , channels] = map
  if (!norms.includes(kind)) throw expected('invalid_option', `${name} norm`, `one of ${norms.join(', ')}`, kind)
  if (kind === 'none') return { parameters: [], state: [], apply: (x, _, after) => finish(x, after) }
  if (kind === 'group' && channels % channelGroups !== 0) {
    throw expected('invalid_option', `${name} width`, `a multiple of ${channelGroups} channels for group norm`, channels)
  }
  const [shape, layout] = kind === 'layer' ? ([map, 'map'] as const) : ([[channels], 'vector'] as const)
  const parameters: ParameterSpec[] = [
    { name: `${name}.gamma`, shape, layout, init: { kind: 'constant', value: scale } },
    { name: `${name}.beta`, shape, layout, init: { kind: 'constant', value: 0 } },
  ]
  const state: StateSpec[] = [
    { name: `${name}.mean`, shape: [channels], initial: 0 },
    { name: `${name}.variance`, shape: [channels], initial: 1 },
  ]
  return {
    parameters,
    state: kind === 'batch' ? state : [],
    apply(x, pass, after) {
      const [gamma, beta] = parameters.map((p) => pass.parameters[p.name])
      if (kind === 'instance') return normActPool(x, gamma, beta, { kind, eps, ...after }).y
      if (kind === 'group') return normActPool(x, gamma, beta, { kind, groups: channelGroups, eps, ...after }).y
      if (kind === 'layer') return finish(layerNorm(x, gamma, beta), after)
      if (pass.options.mode === 'eval') return finish(frozenBatchNorm(x, gamma, beta, runningOf(name, pass.options)), after)
      return trainBatchNorm(name, x, [gamma, beta], pass, { ...after, ...running })
    },
  }
}

function finish(x: Value, { relu: active, pool }: AfterNorm): Value {
  const y = active ? relu(x) : x
  return pool === 2 ? avgPool2d(y, { window: 2 }) : y
}

/** PyTorch's LayerNorm over (C, H, W): scale and shift have an element of their own for every position. */
function layerNorm(x: Value, gamma: Value, beta: Value): Value {
  const [groups, , ...map] = x.shape
  const perChannel = [groups, map[2]]
  const { y } = normActPool(x, full(perChannel, 1), full(perChannel, 0), { kind: 'group', groups: 1, eps })
  return add(mul(y, reshape(gamma, [groups, 1, ...map])), reshape(beta, [groups, 1, ...map]))
}

interface Running {
  readonly mean: Value
  readonly variance: Value
}

function runningOf(name: string, { state = {} }: ApplyOptions): Running {
  const [mean, variance] = [state[`${name}.mean`], state[`${name}.variance`]]
  if (!mean || !variance) {
    throw new AludelError(
      'invalid_option',
      `${name}: expected state '${name}.mean' and '${name}.variance' in apply's options; pass the state of training`,
    )
  }
  return { mean, variance }
}

function frozenBatchNorm(x: Value, gamma: Value, beta: Value, { mean, variance }: Running): Value {
  const perChannel = (v: Value) => reshape(v, [x.shape[0], 1, 1, 1, x.shape[4]])
  const scale = mul(gamma, rsqrt(add(variance, eps)))
  // The mean is taken off first: folding it into the shift would cancel where it is large.
  return add(mul(sub(x, perChannel(mean)), perChannel(scale)), perChannel(beta))
}

/** Normalises by the batch; where the state is given, moves it towards the batch's mean and variance. */
function trainBatchNorm(
  name: string,
  x: Value,
  [gamma, beta]: readonly Value[],
  pass: NormPass,
  { momentum, unbiased, ...after }: AfterNorm & RunningRule,
): Value {
  const { rowWeights, state } = pass.options
  const { y, mean, rstd } = normActPool(x, gamma, beta, { kind: 'batch', eps, ...after, ...(rowWeights ? { rowWeights } : {}) })
  if (!state) return y
  const old = runningOf(name, pass.options)
  const [, rows, height, width] = x.shape
  // The op gives 1/sqrt(biased variance + eps); rounding may leave a constant channel just below zero.
  const biased = maximum(sub(reciprocal(square(rstd)), eps), 0)
  const moved = (from: Value, to: Value) => add(mul(from, 1 - momentum), mul(to, momentum))
  pass.nextState[`${name}.mean`] = moved(old.mean, mean)
  pass.nextState[`${name}.variance`] = moved(
    old.variance,
    unbiased ? mul(biased, unbiasing(rows * height * width, height * width, rowWeights)) : biased,
  )
  return y
}

/** n / (n - 1) for the n elements behind a variance, per group where padded rows do not count. */
function unbiasing(elements: number, perRow: number, rowWeights: Value | undefined): Value | number {
  if (!rowWeights) return elements / Math.max(elements - 1, 1)
  const counted = mul(sum(rowWeights, { axes: [1] }), perRow)
  return reshape(div(counted, maximum(sub(counted, 1), 1)), [rowWeights.shape[0], 1])
}
