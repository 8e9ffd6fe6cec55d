/** @file The step of every matching method as one program: gather, augment, loss, pixel gradient, momentum SGD, guarded against NaN. */
import { thetaSize } from '../augment/dsa.js'
import { type BoundProgram, bindProgram, type NamedInput } from '../engine/bound-program.js'
import { augment, gather, grad, isFiniteMask, reshape, select, type Value } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { sgdUpdate } from '../optim/sgd.js'
import type { RowSource } from '../preprocess/row-source.js'
import type { ClassBatch, LossMethod } from './method.js'
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
  /** Whether some class has fewer images than realBatch, so that rows are padded. */
  readonly padded: boolean
}

/** Inputs by name; state is `images` and `velocity`, both updated in place. `loss` has one row per slot. */
export function buildMatchingStep(
  device: Device,
  settings: ResolvedSettings & { readonly method: LossMethod },
  shape: StepShape,
): BoundProgram {
  const { method, methodOptions, network, ipc, augment: policy, imageLr, imageMomentum } = settings
  const { rows, image, classes, realRows, padded } = shape
  const syntheticRows = classes * ipc
  const slots = { count: chunkSlots }
  const augmented = policy.operations.length > 0
  const inputs: Record<string, NamedInput> = {
    images: { shape: [syntheticRows, ...image] },
    velocity: { shape: [syntheticRows, ...image] },
    ...rows.inputs,
    key: { shape: [2], dtype: 'u32' },
    realIndex: { shape: [realRows], dtype: 'i32', slots },
    realClass: { shape: [realRows], dtype: 'i32' },
    syntheticClass: { shape: [syntheticRows], dtype: 'i32' },
    realCounts: { shape: [classes, 1] },
    syntheticCounts: { shape: [classes, 1] },
    ...(padded ? { realWeights: { shape: [realRows, 1] } } : {}),
    ...(augmented ? { theta: { shape: [classes, thetaSize], slots } } : {}),
  }
  return bindProgram(device, {
    inputs,
    outputs: { images: { donate: 'images' }, velocity: { donate: 'velocity' }, loss: { slots } },
    step: 'step',
    build(v) {
      // One theta row a class: its real and synthetic images get the same operation with the same parameters (siamese).
      const view = (x: Value, classIndex: Value) => (augmented ? augment(x, gather(v.theta, classIndex)) : x)
      const real: ClassBatch = {
        images: grouped(view(rows.gather(v, v.realIndex), v.realClass)),
        classIndex: v.realClass,
        counts: v.realCounts,
        ...(padded ? { rowWeights: v.realWeights } : {}),
      }
      const synthetic: ClassBatch = {
        images: grouped(view(v.images, v.syntheticClass)),
        classIndex: v.syntheticClass,
        counts: v.syntheticCounts,
      }
      const loss = method.loss({ network, key: v.key, step: v.step, classes, real, synthetic }, methodOptions)
      const [gradient] = grad(loss, [v.images])
      const next = sgdUpdate(v.images, v.velocity, gradient, { lr: imageLr, momentum: imageMomentum })
      // A loss that is not finite leaves the images as they were, so that the last good state can be saved.
      const finite = isFiniteMask(loss)
      return { images: select(finite, next.parameter, v.images), velocity: select(finite, next.velocity, v.velocity), loss }
    },
  })
}

/** [N, H, W, C] -> [1, N, H, W, C]: one network. */
const grouped = (x: Value): Value => reshape(x, [1, ...x.shape])
