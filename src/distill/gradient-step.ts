/**
 * @file One matching step of a gradient method as a program that is replayed once per class: both sides' parameter gradients, their
 * distance, its second-order pixel gradient, momentum SGD. Classes share only the network, so one class is in memory at a time.
 */
import { thetaSize } from '../augment/dsa.js'
import { type BoundProgram, bindProgram, type NamedInput } from '../engine/bound-program.js'
import { augment, broadcast, grad, isFiniteMask, reshape, select, sum, type Value } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { initialize, initialState, type Network, type Parameters } from '../nn/module.js'
import { sgdUpdate } from '../optim/sgd.js'
import type { RowSource } from '../preprocess/row-source.js'
import { classGradients } from './matching/gradient-distance.js'
import type { ClassBatch, GradientMethod } from './method.js'
import type { MethodOptions } from './method-options.js'

export interface GradientShape {
  readonly network: Network
  /** Rows of the resident data set. */
  readonly rows: RowSource
  readonly classes: number
  readonly ipc: number
  /** Real images of a class and step. */
  readonly realBatch: number
  /** Whether some class has fewer images than realBatch, so that rows are padded. */
  readonly padded: boolean
  readonly augmented: boolean
}

/** Names of a network's tensors in a program, where they must not meet the program's own names. */
export const parameterKey = (name: string): string => `parameter:${name}`
export const stateKey = (name: string): string => `state:${name}`

/** Parameters and running statistics of one network as inputs, or as shapes of the arrays behind them. */
export const networkInputs = ({ parameters, state }: Network): Record<string, { readonly shape: readonly number[] }> =>
  Object.fromEntries([
    ...parameters.map(({ name, shape }) => [parameterKey(name), { shape: [1, ...shape] }]),
    ...state.map(({ name, shape }) => [stateKey(name), { shape: [1, ...shape] }]),
  ])

export const parametersOf = ({ parameters }: Network, values: Readonly<Record<string, Value>>): Parameters =>
  Object.fromEntries(parameters.map(({ name }) => [name, values[parameterKey(name)]]))

export const stateOf = ({ state }: Network, values: Readonly<Record<string, Value>>): Parameters =>
  Object.fromEntries(state.map(({ name }) => [name, values[stateKey(name)]]))

export const parametersAsOutputs = (parameters: Parameters): Record<string, Value> => withKeys(parameters, parameterKey)
export const stateAsOutputs = (state: Parameters): Record<string, Value> => withKeys(state, stateKey)

const withKeys = (values: Parameters, key: (name: string) => string): Record<string, Value> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [key(name), value]))

/** Draws the network of iteration `iteration`, the counter of its bits, and clears its running statistics. */
export function networkDraw(device: Device, network: Network): BoundProgram {
  return bindProgram(device, {
    inputs: { key: { shape: [2], dtype: 'u32' } },
    outputs: Object.fromEntries(Object.keys(networkInputs(network)).map((name) => [name, {}])),
    step: 'iteration',
    build: (v) => ({
      ...parametersAsOutputs(initialize(network, { key: v.key, counter: v.iteration })),
      ...stateAsOutputs(initialState(network)),
    }),
  })
}

/** Moves the running statistics by one batch of real images, not augmented; the parameters stay. */
export function statisticsUpdate(
  device: Device,
  network: Network,
  sizes: { rows: RowSource; batch: number; padded: boolean },
): BoundProgram {
  const { rows, batch, padded } = sizes
  return bindProgram<string, string>(device, {
    inputs: {
      ...networkInputs(network),
      ...rows.inputs,
      index: { shape: [batch], dtype: 'i32' },
      ...(padded ? { weights: { shape: [1, batch] } } : {}),
    },
    outputs: Object.fromEntries(network.state.map(({ name }) => [stateKey(name), { donate: stateKey(name) }])),
    build: (v) => movedStatistics(network, v, rows.gather(v, v.index), padded ? v.weights : undefined),
  })
}

/** The running statistics after one pass over images [N, H, W, C] in train mode; `v` holds the network. */
export function movedStatistics(
  network: Network,
  v: Readonly<Record<string, Value>>,
  images: Value,
  rowWeights?: Value,
): Record<string, Value> {
  const options = { mode: 'train', state: stateOf(network, v), ...(rowWeights ? { rowWeights } : {}) } as const
  return stateAsOutputs(network.apply(parametersOf(network, v), grouped(images), options).state)
}

/** Inputs of a program that is replayed once per class: the network, both sides' batches, and their augmentation where there is one. */
export function classInputs({ network, rows, classes, ipc, realBatch, padded, augmented }: GradientShape): Record<string, NamedInput> {
  const slots = { count: classes }
  return {
    ...networkInputs(network),
    images: { shape: [ipc, ...network.input], slots },
    ...rows.inputs,
    realIndex: { shape: [realBatch], dtype: 'i32', slots },
    realLabels: { shape: [realBatch], dtype: 'i32', slots },
    realCount: { shape: [1], slots },
    syntheticLabels: { shape: [ipc], dtype: 'i32', slots },
    syntheticCount: { shape: [1], slots },
    ...(padded ? { realWeights: { shape: [realBatch], slots } } : {}),
    ...(augmented ? { theta: { shape: [thetaSize], slots } } : {}),
  }
}

export interface ClassStep {
  readonly method: GradientMethod
  readonly options: MethodOptions
  readonly imageLr: number
  readonly imageMomentum: number
}

/** Replay c updates the images of class c; `images`, `velocity`, `loss` and the draws have one slot per class. */
export function gradientStep(device: Device, step: ClassStep, shape: GradientShape): BoundProgram {
  const { network, rows, classes, padded, augmented } = shape
  const slots = { count: classes }
  const inputs = classInputs(shape)
  return bindProgram<string, string>(device, {
    inputs: { ...inputs, velocity: inputs.images },
    outputs: { images: { donate: 'images', slots }, velocity: { donate: 'velocity', slots }, loss: { slots } },
    build(v) {
      // One theta row for the class: both sides get the same operation with the same parameters (siamese).
      const view = (x: Value) => grouped(augmented ? augment(x, broadcast(reshape(v.theta, [1, thetaSize]), [x.shape[0], thetaSize])) : x)
      const real: ClassBatch = {
        images: view(rows.gather(v, v.realIndex)),
        classIndex: v.realLabels,
        counts: v.realCount,
        ...(padded ? { rowWeights: v.realWeights } : {}),
      }
      const synthetic: ClassBatch = { images: view(v.images), classIndex: v.syntheticLabels, counts: v.syntheticCount }
      return classUpdate(step, network, v, { real, synthetic })
    },
  })
}

/** Loss and updated images of one class. `v` holds the network, `images` (what the synthetic side is made from) and `velocity`. */
export function classUpdate(
  { method, options, imageLr, imageMomentum }: ClassStep,
  network: Network,
  v: Readonly<Record<string, Value>>,
  sides: { readonly real: ClassBatch; readonly synthetic: ClassBatch },
): { readonly images: Value; readonly velocity: Value; readonly loss: Value } {
  const frozen = network.state.length > 0 ? stateOf(network, v) : undefined
  const gradientsOf = (batch: ClassBatch) => classGradients(network, parametersOf(network, v), batch, 1, frozen).gradients
  const loss = sum(method.distance(network, gradientsOf(sides.synthetic), gradientsOf(sides.real), options))
  const [gradient] = grad(loss, [v.images])
  const next = sgdUpdate(v.images, v.velocity, gradient, { lr: imageLr, momentum: imageMomentum })
  // A loss that is not finite leaves the images as they were.
  const finite = isFiniteMask(loss)
  return { images: select(finite, next.parameter, v.images), velocity: select(finite, next.velocity, v.velocity), loss }
}

/** [N, H, W, C] -> [1, N, H, W, C]: one network. */
const grouped = (x: Value): Value => reshape(x, [1, ...x.shape])
