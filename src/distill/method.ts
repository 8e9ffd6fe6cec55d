/** @file What a method is: its defaults and its loss, traced once. It never opens files, draws unseeded randomness or knows the device. */
import type { Value } from '../engine/index.js'
import type { Network } from '../nn/module.js'

/** One side of a step: images and what tells their classes apart. */
export interface ClassBatch {
  /** Augmented images, [1, N, H, W, C]. */
  readonly images: Value
  /** Class of each row, i32 [N]. */
  readonly classIndex: Value
  /** Rows per class as they truly are, f32 [classes, 1]; padded rows do not count. */
  readonly counts: Value
  /** 0/1 validity of rows, f32 [N, 1]; absent when every row is valid. */
  readonly rowWeights?: Value
}

export interface LossContext {
  readonly network: Network
  /** u32 [2]: the run's key. */
  readonly key: Value
  /** u32 [1]: the step, which addresses the step's random network. */
  readonly step: Value
  readonly classes: number
  readonly real: ClassBatch
  readonly synthetic: ClassBatch
}

export interface MethodDefaults {
  readonly iterations: number
  readonly realBatch: number
  readonly imageLr: number
  readonly imageMomentum: number
  readonly init: 'real' | 'noise'
  readonly augment: string
}

export interface Method {
  readonly name: string
  /** One sentence and the source. */
  readonly doc: string
  readonly defaults: (ipc: number) => MethodDefaults
  /** Scalar loss of one step; the loop differentiates it with respect to the synthetic pixels. */
  readonly loss: (context: LossContext) => Value
}

export const defineMethod = (method: Method): Method => method
