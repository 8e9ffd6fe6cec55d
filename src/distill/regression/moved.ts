/** @file Tensors that an outer optimiser moves, with their moments as the state of a run names them. */
import type { Operand, Value } from '../../engine/index.js'
import { adabeliefUpdate } from '../../optim/adabelief.js'
import { adamwUpdate } from '../../optim/adamw.js'
import { lambUpdate } from '../../optim/lamb.js'
import type { MomentState, MomentUpdate } from '../../optim/moments.js'
import type { OuterOptimiser } from './label-settings.js'

/** Names of a tensor and of its moments. */
export interface MovedNames extends Readonly<Record<keyof MomentState, string>> {
  readonly tensor: string
}

const named = (tensor: string, mean = `${tensor}Velocity`): MovedNames => ({
  ...{ tensor, mean, square: `${tensor}Squares` },
  ...{ meanWeight: `${tensor}MeanWeight`, squareWeight: `${tensor}SquareWeight` },
})

/** Images, whose mean gradient is the loop's own `velocity`; learned labels; tau of Platt's loss; RFAD's matrix. */
export const imageNames = named('images', 'velocity')
export const targetNames = named('targets')
export const logScaleNames = named('logScale')
export const transformNames = named('transform')

const moments = ['mean', 'square', 'meanWeight', 'squareWeight'] as const

/** Shapes of the moments of a tensor of `shape`. */
export const momentShapes = (names: MovedNames, shape: readonly number[]): Record<string, readonly number[]> =>
  Object.fromEntries(moments.map((moment) => [names[moment], moment.endsWith('Weight') ? [] : shape]))

type Values = Readonly<Record<string, Value>>

/** Tensor and moments after a step, by their names. */
export function move(names: MovedNames, values: Values, gradient: Value, { optimiser, lr }: { optimiser: OuterOptimiser; lr: Operand }) {
  const state = Object.fromEntries(moments.map((moment) => [moment, values[names[moment]]])) as unknown as MomentState
  const update = { adam: adamwUpdate, lamb: lambUpdate, adabelief: adabeliefUpdate }[optimiser]
  const next: MomentUpdate = update(values[names.tensor], gradient, state, { lr })
  return { [names.tensor]: next.parameter, ...Object.fromEntries(moments.map((moment) => [names[moment], next.state[moment]])) }
}
