/** @file The step of every matching method as one program: gather, augment, loss, pixel gradient, momentum SGD, guarded against NaN. */
import { thetaSize } from '../augment/dsa.js'
import { type BoundProgram, bindProgram, type NamedInput } from '../engine/bound-program.js'
import { augment, gather, grad, isFiniteMask, reshape, select, type Value } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { sgdUpdate } from '../optim/sgd.js'
import type { RowSource } from '../preprocess/row-source.js'
import { applyTo, classMeans } from './matching/class-means.js'
import type { ClassBatch, ClassMeanPairs, LossMethod } from './method.js'
import type { ResolvedSettings } from './settings.js'

/** Steps whose draws are uploaded together; a replay reads row step mod this. */
export const chunkSlots = 16

export interface StepShape {
  /** Rows of the resident data set. */
  readonly rows: RowSource
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  readonly classes: number
  /** Rows of the real batch: classes x realBatch. */
  readonly realRows: number
  /** Whether rows of the real batch may count nothing: some class has fewer images than realBatch, or a step leaves some out. */
  readonly padded: boolean
  /** Given when a step runs as so many replays over groups of classes, replay by replay a group of the same `classes`. */
  readonly groups?: number
  /** Classes [first, end) that are wanted; what only the others need is not computed. Default all. */
  readonly window?: readonly [first: number, end: number]
  /** Whether classes, counts and weights of the real rows differ from step to step. */
  readonly selected?: boolean
  /** Widths of the real rows' features [realRows, width] when those are given in place of the images. */
  readonly features?: readonly number[]
}

/** The batches of a step and what its loss needs beside them. */
interface StepSides {
  readonly real: ClassBatch
  readonly synthetic: ClassBatch
  readonly means?: ClassMeanPairs
}

/** Name of the i-th given features among the inputs. */
export const featuresKey = (i: number): string => `features${i}`

/** Inputs of a step that its batches are made of. */
export function batchInputs(
  settings: Pick<ResolvedSettings, 'ipc' | 'augment' | 'parametrise'>,
  shape: StepShape,
): Record<string, NamedInput> {
  const { rows, image, classes, realRows, padded, selected, features, groups } = shape
  const syntheticRows = classes * settings.ipc
  const slots = { count: groups ?? chunkSlots }
  const ofGroup = groups === undefined ? {} : { slots }
  const ofStep = selected ? { slots } : ofGroup
  return {
    images: { shape: [syntheticRows, ...(settings.parametrise?.shape ?? image)], ...ofGroup },
    ...(groups === undefined ? {} : { iteration: { shape: [1], dtype: 'u32' } }),
    key: { shape: [2], dtype: 'u32' },
    realClass: { shape: [realRows], dtype: 'i32', ...(selected ? { slots } : {}) },
    syntheticClass: { shape: [syntheticRows], dtype: 'i32' },
    realCounts: { shape: [classes, 1], ...ofStep },
    syntheticCounts: { shape: [classes, 1] },
    ...(padded ? { realWeights: { shape: [realRows, 1], ...ofStep } } : {}),
    ...(settings.augment.operations.length > 0 ? { theta: { shape: [classes, thetaSize], slots } } : {}),
    ...(features
      ? Object.fromEntries(features.map((width, i) => [featuresKey(i), { shape: [realRows, width] }]))
      : { ...rows.inputs, realIndex: { shape: [realRows], dtype: 'i32', ...(rows.gathered ? {} : { slots }) } }),
  }
}

/** How images of known classes are seen in a step: one theta row a class, its real and synthetic images alike (siamese). */
export const viewOf =
  (v: Readonly<Record<string, Value>>) =>
  (x: Value, classIndex: Value): Value =>
    grouped(v.theta ? augment(x, gather(v.theta, classIndex)) : x)

/** Both sides of a step; `pixels` turns the run's state into images where it is not those. */
export function batchesOf(
  v: Readonly<Record<string, Value>>,
  { rows, features }: Pick<StepShape, 'rows' | 'features'>,
  pixels: (state: Value) => Value = (state) => state,
): StepSides {
  const view = viewOf(v)
  const weights = v.realWeights ? { rowWeights: v.realWeights } : {}
  const batch = { classIndex: v.realClass, counts: v.realCounts, ...weights }
  const synthetic: ClassBatch = {
    images: view(pixels(v.images), v.syntheticClass),
    classIndex: v.syntheticClass,
    counts: v.syntheticCounts,
  }
  if (!features) return { real: { images: view(rows.gather(v, v.realIndex), v.realClass), ...batch }, synthetic }
  // No pass of the real side: its features are known. The batch's images are never looked at.
  const real: ClassBatch = { images: synthetic.images, ...batch }
  return { real, synthetic, means: givenFeatures(v, real) }
}

/** Class means of given features, in the order in which the loss asks for them, beside those of the synthetic images. */
const givenFeatures =
  (v: Readonly<Record<string, Value>>, real: ClassBatch): NonNullable<StepSides['means']> =>
  (context, options) => {
    const applied = applyTo(context, options)(context.synthetic)
    let next = 0
    return (rows) => [
      classMeans(v[featuresKey(next++)], real, context.classes),
      classMeans(rows(applied), context.synthetic, context.classes),
    ]
  }

/** Inputs by name; state is `images` (or the latents that stand for them) and `velocity`, both updated in place. `loss` has one row per slot. */
export function buildMatchingStep(
  device: Device,
  settings: ResolvedSettings & { readonly method: LossMethod },
  shape: StepShape,
): BoundProgram {
  const { method, methodOptions, network, imageLr, imageMomentum, parametrise } = settings
  const pixels = parametrise && ((z: Value) => parametrise.apply(z))
  const inputs = batchInputs(settings, shape)
  const slots = { count: shape.groups ?? chunkSlots }
  const ofGroup = shape.groups === undefined ? {} : { slots }
  return bindProgram<string, string, string>(device, {
    inputs: { ...inputs, velocity: inputs.images },
    outputs: { images: { donate: 'images', ...ofGroup }, velocity: { donate: 'velocity', ...ofGroup }, loss: { slots } },
    step: 'step',
    ...(shape.window && { options: { windows: rowsOfClasses(shape.window, settings.ipc, shape) } }),
    build(v) {
      const context = {
        network,
        key: v.key,
        step: v.iteration ?? v.step,
        classes: shape.classes,
        ...batchesOf(v, shape, pixels),
      }
      const loss = method.loss(context, methodOptions)
      const [gradient] = grad(loss, [v.images])
      const next = sgdUpdate(v.images, v.velocity, gradient, { lr: imageLr, momentum: imageMomentum })
      // A loss that is not finite leaves the images as they were, so that the last good state can be saved.
      const finite = isFiniteMask(loss)
      return { images: select(finite, next.parameter, v.images), velocity: select(finite, next.velocity, v.velocity), loss }
    },
  })
}

/** The rows of both batches that belong to classes [first, end), by the batch's size. */
const rowsOfClasses = ([first, end]: readonly [number, number], ipc: number, { classes, realRows }: StepShape) => {
  const perClass = realRows / classes
  return { [realRows]: [first * perClass, end * perClass], [classes * ipc]: [first * ipc, end * ipc] } as const
}

/** [N, H, W, C] -> [1, N, H, W, C]: one network. */
const grouped = (x: Value): Value => reshape(x, [1, ...x.shape])
