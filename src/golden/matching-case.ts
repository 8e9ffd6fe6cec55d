/** @file What the matching cases share: the network and images of a case, in the engine's layout, and the two sides of a step. */
import type { ClassBatch } from '../distill/method.js'
import { reshape, type Value } from '../engine/index.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import type { Network } from '../nn/module.js'
import type { Norm } from '../nn/networks/conv-net.js'
import { augmentStages, type ChainLink, stageInputs, thetaStages } from './augmentation.js'
import type { GoldenCase } from './case-file.js'
import type { Inputs } from './engines.js'
import { fieldAt, numberAt, tensorAt } from './fields.js'
import { buildNetwork, type GoldenNetwork, parametersOf, weightInputs } from './network.js'
import type { GoldenTensor } from './tensor.js'

type Sizes4 = readonly [number, number, number, number]
export type Values = Readonly<Record<string, Value>>

export function networkOf(golden: GoldenCase): GoldenNetwork {
  const n = (name: string) => numberAt(golden, 'net', name)
  return buildNetwork({
    depth: n('depth'),
    width: n('width'),
    height: n('height'),
    widthPixels: n('width_px'),
    channels: n('in_channels'),
    classes: n('num_classes'),
    norm: fieldAt(golden, 'net', 'norm') as Norm,
    eps: n('norm_eps'),
  })
}

export const weightsOf = (golden: GoldenCase, net: GoldenNetwork): Inputs =>
  weightInputs(net, ({ name, layout }) => tensorAt(golden, layout === 'conv' ? 4 : layout === 'linear' ? 2 : 1, 'weights', name))

/** NCHW images of a case as [N, H, W, C]. */
export function images({ shape, data }: GoldenTensor): GoldenTensor {
  const [n, c, h, w] = shape as Sizes4
  return { shape: [n, h, w, c], data: nchwToNhwc(data, [n, c, h, w]) }
}

/** [..., N, H, W, C] results in the files' order. */
export function toNchw({ shape, data }: GoldenTensor): GoldenTensor {
  const [n, h, w, c] = shape.slice(-4) as unknown as Sizes4
  return { shape: [n, c, h, w], data: nhwcToNchw(data, [n, h, w, c]) }
}

export const withGroup = (x: Value): Value => reshape(x, [1, ...x.shape])

function classInputs(prefix: string, classes: number, perClass: number): Inputs {
  const index = Float64Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))
  return {
    [`${prefix}Index`]: { shape: [classes * perClass], data: index, dtype: 'i32' },
    [`${prefix}Counts`]: { shape: [classes, 1], data: new Float64Array(classes).fill(perClass) },
  }
}

function thetaInputs(golden: GoldenCase, prefix: string, perClass: number): Inputs {
  const chains = fieldAt(golden, 'params', 'chain_of_class') as readonly (readonly ChainLink[])[] | undefined
  if (!chains) return {}
  const size = { height: numberAt(golden, 'net', 'height'), width: numberAt(golden, 'net', 'width_px') }
  const rows = chains.flatMap((chain) => Array<readonly ChainLink[]>(perClass).fill(chain))
  return stageInputs(prefix, thetaStages(rows, size))
}

/** A case with a real and a synthetic batch. */
export interface MatchingCase {
  readonly net: GoldenNetwork
  readonly classes: number
  readonly synthetic: GoldenTensor
  readonly inputs: Inputs
  /** The case's network, whatever parameters it is given: methods draw their own, the case's weights take their place. */
  readonly network: (values: Values) => Network
  readonly batch: (values: Values, side: 'real' | 'syn') => ClassBatch
}

export const hasBothSides = (golden: GoldenCase): boolean =>
  fieldAt(golden, 'inputs', 'real') !== undefined && fieldAt(golden, 'inputs', 'syn') !== undefined

export function readMatching(golden: GoldenCase): MatchingCase {
  const net = networkOf(golden)
  const [classes, perClass, ipc] = ['num_classes', 'real_per_class', 'ipc'].map((name) => numberAt(golden, 'inputs', name))
  const synthetic = images(tensorAt(golden, 4, 'inputs', 'syn'))
  const inputs: Inputs = {
    syn: synthetic,
    real: images(tensorAt(golden, 4, 'inputs', 'real')),
    key: { shape: [2], data: new Float64Array(2), dtype: 'u32' },
    step: { shape: [1], data: new Float64Array(1), dtype: 'u32' },
    ...classInputs('real', classes, perClass),
    ...classInputs('syn', classes, ipc),
    ...thetaInputs(golden, 'realTheta', perClass),
    ...thetaInputs(golden, 'synTheta', ipc),
    ...weightsOf(golden, net),
  }
  return {
    net,
    classes,
    synthetic,
    inputs,
    network(values) {
      const fixed = parametersOf(net, values)
      return { ...net.network, apply: (_, ...rest) => net.network.apply(fixed, ...rest) }
    },
    batch: (values, side) => ({
      images: withGroup(augmentStages(values[side], values, `${side}Theta`)),
      classIndex: values[`${side}Index`],
      counts: values[`${side}Counts`],
    }),
  }
}

/** The context of a method's loss. */
export const lossContext = ({ network, batch, classes }: MatchingCase, values: Values) => ({
  network: network(values),
  key: values.key,
  step: values.step,
  classes,
  real: batch(values, 'real'),
  synthetic: batch(values, 'syn'),
})
