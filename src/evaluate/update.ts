/** @file What an optimiser keeps of networks that are trained together, and the step that it takes: SGD with momentum, or AdamW. */
import type { Value } from '../engine/index.js'
import type { Network } from '../nn/module.js'
import { adamwUpdate } from '../optim/adamw.js'
import { sgdUpdate } from '../optim/sgd.js'
import type { TrainingRule } from './protocol.js'

const velocityKey = (name: string): string => `velocity:${name}`
const squaresKey = (name: string): string => `squares:${name}`
/** 1 - beta1^t and 1 - beta2^t of Adam, one for all networks. */
const [meanWeight, squareWeight] = ['weight:mean', 'weight:squares']

/** Shapes of what is kept of `groups` networks, by names in the program; all of it starts as zeros. */
export function momentShapes(network: Network, groups: number, { optimiser, momentum }: TrainingRule): Record<string, readonly number[]> {
  const per = (key: (name: string) => string) => network.parameters.map(({ name, shape }) => [key(name), [groups, ...shape]] as const)
  if (optimiser === 'adamw')
    return Object.fromEntries([...per(velocityKey), ...per(squaresKey), ...[meanWeight, squareWeight].map((name) => [name, []] as const)])
  return momentum > 0 ? Object.fromEntries(per(velocityKey)) : {}
}

/** A parameter after a step, and its moments by their names; `values` are those of the program. */
export function updated(
  name: string,
  parameter: Value,
  gradient: Value,
  values: Readonly<Record<string, Value>>,
  { optimiser, momentum, weightDecay }: TrainingRule,
): { readonly parameter: Value; readonly moments: Readonly<Record<string, Value>> } {
  const { lr } = values
  if (optimiser === 'adamw') {
    const own = { mean: values[velocityKey(name)], square: values[squaresKey(name)] }
    const state = { ...own, meanWeight: values[meanWeight], squareWeight: values[squareWeight] }
    const next = adamwUpdate(parameter, gradient, state, { lr, weightDecay })
    const { mean, square, ...weights } = next.state
    const moments = { [velocityKey(name)]: mean, [squaresKey(name)]: square }
    return { parameter: next.parameter, moments: { ...moments, [meanWeight]: weights.meanWeight, [squareWeight]: weights.squareWeight } }
  }
  const next = sgdUpdate(parameter, values[velocityKey(name)] ?? gradient, gradient, { lr, momentum, weightDecay })
  return { parameter: next.parameter, moments: momentum > 0 ? { [velocityKey(name)]: next.velocity } : {} }
}
