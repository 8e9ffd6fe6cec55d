/**
 * @file The programs of trajectory matching. Forward and reverse step are replayed over a ring of parameter slots: forward step i reads slot
 * i and writes slot i + 1; reverse replay i works at step N - 1 - i. So an iteration holds N + 1 copies of the parameters and the graph of
 * one step, however long the unroll is.
 */

import { thetaSize } from '../../augment/dsa.js'
import type { Own } from '../../engine/all-or-nothing.js'
import { type BoundProgram, bindProgram, type NamedInput } from '../../engine/bound-program.js'
import { concat, full, reshape, type Value } from '../../engine/index.js'
import type { Device } from '../../engine/runtime/device.js'
import type { Network, Parameters } from '../../nn/module.js'
import type { KeptElements } from './mask.js'
import { type Kept, matchingLoss } from './matching-loss.js'
import type { GradientKind, LabelKind } from './options.js'
import { type OuterRates, type OuterState, outerUpdate } from './outer-update.js'
import { forwardStep, type Minibatch, parameterNames, reverseStep, type StudentShape } from './student-step.js'

export interface TrajectoryShape extends Omit<StudentShape, 'labels'> {
  readonly innerSteps: number
  readonly labels: LabelKind
  readonly gradient: GradientKind
  /** A mask that is known beforehand, or 'given' where each iteration brings its own. */
  readonly kept: KeptElements | 'given'
  readonly rates: OuterRates
}

export interface TrajectoryPrograms {
  readonly forward: BoundProgram
  readonly match: BoundProgram
  readonly reverse: BoundProgram
  readonly update: BoundProgram
  /** Where labels are those of the target network. */
  readonly teacher?: BoundProgram
}

type Values = Readonly<Record<string, Value>>
type Inputs = Record<string, NamedInput>

/** Numbers in `outcome`, in order. */
export const outcomeNames = ['loss', 'denominator', 'applied', 'guarded', 'learningRate'] as const

const withPrefix = <T>(prefix: string, values: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]))

export const parameterPrefix = 'parameter:'
export const nextPrefix = 'next:'
export const startPrefix = 'start:'
export const endPrefix = 'end:'
export const targetPrefix = 'target:'
export const lamPrefix = 'lam:'
export const maskPrefix = 'mask:'

const parameterInputs = (network: Network, prefix: string, slots?: NamedInput['slots']): Inputs =>
  Object.fromEntries(network.parameters.map(({ name, shape }) => [prefix + name, { shape: [1, ...shape], ...(slots && { slots }) }]))

const parametersOf = (network: Network, values: Values, prefix: string): Parameters =>
  Object.fromEntries(parameterNames(network).map((name) => [name, values[prefix + name]]))

const isSoft = ({ labels }: TrajectoryShape): boolean => labels !== 'hard'
const studentShape = (shape: TrajectoryShape): StudentShape => ({ ...shape, labels: isSoft(shape) ? 'soft' : 'hard' })
const imagesShape = ({ network, images }: TrajectoryShape) => [images, ...network.input]
const labelsShape = ({ network, images }: TrajectoryShape) => [images, network.classes]
const learnsLabels = ({ labels }: TrajectoryShape): boolean => labels === 'soft'

function minibatchInputs(shape: TrajectoryShape, at: { readonly mul: number; readonly add: number }): Inputs {
  const { innerSteps, batch, images, augmented, padded } = shape
  const slots = { count: innerSteps, ...at }
  return {
    images: { shape: imagesShape(shape) },
    ...(isSoft(shape) ? { labelLogits: { shape: labelsShape(shape) } } : { labels: { shape: [images], dtype: 'i32' as const } }),
    learningRate: { shape: [] },
    index: { shape: [batch], dtype: 'i32', slots },
    ...(padded ? { weights: { shape: [batch], slots } } : {}),
    ...(augmented ? { theta: { shape: [batch, thetaSize], slots } } : {}),
  }
}

const minibatchOf = ({ images, labels, labelLogits, index, weights, theta }: Values): Minibatch => ({
  images,
  labels: labels ?? labelLogits,
  index,
  ...(weights && { weights }),
  ...(theta && { theta }),
})

function forwardProgram(device: Device, shape: TrajectoryShape): BoundProgram {
  const { network, innerSteps } = shape
  const ring = { count: innerSteps + 1, mul: 1 }
  return bindProgram<string, string>(device, {
    inputs: { ...minibatchInputs(shape, { mul: 1, add: 0 }), ...parameterInputs(network, parameterPrefix, { ...ring, add: 0 }) },
    outputs: Object.fromEntries(parameterNames(network).map((name) => [nextPrefix + name, { slots: { ...ring, add: 1 } }])),
    build: (v) =>
      withPrefix(nextPrefix, forwardStep(studentShape(shape), parametersOf(network, v, parameterPrefix), minibatchOf(v), v.learningRate)),
  })
}

/** Parameters whose mask is a tensor. */
export const maskedNames = (network: Network, kept: TrajectoryShape['kept']): string[] =>
  parameterNames(network).filter((name) => kept === 'given' || typeof kept[name] !== 'string')

/** Loss and first cotangent, from the first and the last slot of the ring; clears what the sweep back adds up. */
function matchProgram(device: Device, shape: TrajectoryShape): BoundProgram {
  const { network, innerSteps, kept } = shape
  const slot = (add: number) => ({ count: innerSteps + 1, mul: 0, add })
  const masked = maskedNames(network, kept)
  const masks = Object.fromEntries(
    network.parameters.flatMap(({ name, shape }) => (masked.includes(name) ? [[maskPrefix + name, { shape: [1, ...shape] }]] : [])),
  )
  const inputs = {
    ...parameterInputs(network, startPrefix, slot(0)),
    ...parameterInputs(network, endPrefix, slot(innerSteps)),
    ...parameterInputs(network, targetPrefix),
    ...masks,
  }
  const gradients = Object.keys(sweepInputs(shape))
  return bindProgram<string, string>(device, {
    inputs,
    outputs: Object.fromEntries(['loss', 'denominator', ...gradients].map((name) => [name, {}])),
    build(v) {
      const side = (prefix: string) => parametersOf(network, v, prefix)
      const rule: Kept = Object.fromEntries(
        parameterNames(network).map((name) => [
          name,
          masked.includes(name) ? v[maskPrefix + name] : (kept as Record<string, 'all' | 'none'>)[name],
        ]),
      )
      const sides = { start: side(startPrefix), end: side(endPrefix), target: side(targetPrefix) }
      const { loss, denominator, cotangents } = matchingLoss(network, sides, rule)
      return {
        ...{ loss, denominator, ...withPrefix(lamPrefix, cotangents) },
        ...{ gradX: full(imagesShape(shape), 0), gradLr: full([], 0) },
        ...(learnsLabels(shape) && { gradY: full(labelsShape(shape), 0) }),
      }
    },
  })
}

/** What the sweep back carries, by name. */
const sweepInputs = (shape: TrajectoryShape): Inputs => ({
  ...parameterInputs(shape.network, lamPrefix),
  gradX: { shape: imagesShape(shape) },
  gradLr: { shape: [] },
  ...(learnsLabels(shape) ? { gradY: { shape: labelsShape(shape) } } : {}),
})

function reverseProgram(device: Device, shape: TrajectoryShape): BoundProgram {
  const { network, innerSteps, gradient } = shape
  const back = { mul: -1, add: innerSteps - 1 }
  const carried = sweepInputs(shape)
  // TESLA's cotangent stays what it is
  const moved = Object.keys(carried).filter((name) => gradient === 'exact' || !name.startsWith(lamPrefix))
  return bindProgram<string, string>(device, {
    inputs: {
      ...minibatchInputs(shape, back),
      ...parameterInputs(network, parameterPrefix, { count: innerSteps + 1, ...back }),
      ...carried,
    },
    outputs: Object.fromEntries(moved.map((name) => [name, { donate: name }])),
    build(v) {
      const { cotangents, images, labels, lr } = reverseStep(studentShape(shape), gradient, parametersOf(network, v, parameterPrefix), {
        minibatch: minibatchOf(v),
        lr: v.learningRate,
        sweep: { cotangents: parametersOf(network, v, lamPrefix), images: v.gradX, lr: v.gradLr, ...(v.gradY && { labels: v.gradY }) },
      })
      const lam = gradient === 'exact' ? withPrefix(lamPrefix, cotangents) : {}
      return { ...lam, gradX: images, gradLr: lr, ...(labels && { gradY: labels }) }
    },
  })
}

/** Tensors of the state beside the images, by name: those that the update reads and writes. */
export const stateShapes = (shape: TrajectoryShape): Record<string, readonly number[]> => ({
  images: imagesShape(shape),
  velocity: imagesShape(shape),
  ...(learnsLabels(shape) && { labelLogits: labelsShape(shape), labelVelocity: labelsShape(shape) }),
  learningRate: [],
  lrVelocity: [],
  ...(shape.rates.emaDecay !== null && { ema: imagesShape(shape) }),
})

function updateProgram(device: Device, shape: TrajectoryShape): BoundProgram {
  const state = stateShapes(shape)
  const gradients = Object.entries(sweepInputs(shape)).filter(([name]) => !name.startsWith(lamPrefix))
  return bindProgram<string, string>(device, {
    inputs: {
      ...Object.fromEntries(Object.entries(state).map(([name, own]) => [name, { shape: own }])),
      ...Object.fromEntries(gradients),
      loss: { shape: [] },
      denominator: { shape: [] },
    },
    outputs: { ...Object.fromEntries(Object.keys(state).map((name) => [name, { donate: name }])), outcome: {} },
    build(v) {
      const before: OuterState = {
        ...{ images: v.images, velocity: v.velocity, learningRate: v.learningRate, lrVelocity: v.lrVelocity },
        ...(learnsLabels(shape) && { labels: { logits: v.labelLogits, velocity: v.labelVelocity } }),
        ...(v.ema && { ema: v.ema }),
      }
      const gradient = { images: v.gradX, lr: v.gradLr, ...(v.gradY && { labels: v.gradY }) }
      const { loss, applied, guarded, labels, ...next } = outerUpdate(before, v.loss, gradient, shape.rates)
      const told: Record<(typeof outcomeNames)[number], Value> = {
        ...{ loss, denominator: v.denominator, applied, guarded, learningRate: next.learningRate },
      }
      return {
        ...next,
        ...(labels && { labelLogits: labels.logits, labelVelocity: labels.velocity }),
        outcome: concat(outcomeNames.map((name) => reshape(told[name], [1]))),
      }
    },
  })
}

/** Logits of the target network for the images as they are: softmax labels of the iteration (TESLA). */
function teacherProgram(device: Device, shape: TrajectoryShape): BoundProgram {
  const { network, images } = shape
  return bindProgram<string, string>(device, {
    inputs: { images: { shape: imagesShape(shape) }, ...parameterInputs(network, targetPrefix) },
    outputs: { labelLogits: {} },
    build: (v) => {
      const { logits } = network.apply(parametersOf(network, v, targetPrefix), reshape(v.images, [1, ...imagesShape(shape)]))
      return { labelLogits: reshape(logits, [images, network.classes]) }
    },
  })
}

export const trajectoryPrograms = (device: Device, own: Own, shape: TrajectoryShape): TrajectoryPrograms => ({
  forward: own(forwardProgram(device, shape)),
  match: own(matchProgram(device, shape)),
  reverse: own(reverseProgram(device, shape)),
  update: own(updateProgram(device, shape)),
  ...(shape.labels === 'teacher' && { teacher: own(teacherProgram(device, shape)) }),
})

/** Shapes of all arrays beside the state, by name and without slots: what each program binds. */
export const sweepShapes = (shape: TrajectoryShape): Record<string, readonly number[]> =>
  Object.fromEntries(Object.entries(sweepInputs(shape)).map(([name, input]) => [name, input.shape]))
