/** @file What a method is: its presets, its options and its mathematics, traced once. It never opens files, draws unseeded randomness or knows the device. */
import type { Value } from '../engine/index.js'
import { expected } from '../errors.js'
import type { Applied, Network, Parameters } from '../nn/module.js'
import type { MethodOptions, OptionSpecs } from './method-options.js'
import type { LabelRegression } from './regression/label-settings.js'
import type { TeacherRegression } from './regression/settings.js'
import type { TrajectorySettings } from './trajectory/options.js'

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

/** Class means of row features of both sides, [classes, D] each; `taps`: whether the features read ReLU maps. */
export type ClassMeanPairs = (
  context: LossContext,
  options: { readonly taps: boolean },
) => (rows: (applied: Applied) => Value) => readonly [Value, Value]

export interface LossContext {
  readonly network: Network
  /** u32 [2]: the run's key. */
  readonly key: Value
  /** u32 [1]: the step, which addresses the step's random network. */
  readonly step: Value
  readonly classes: number
  readonly real: ClassBatch
  readonly synthetic: ClassBatch
  /** Where the class means come from, when not from a pass of both sides through the network. */
  readonly means?: ClassMeanPairs
}

/** What the images start from; 'predicted': real ones that the experts classify right. */
export type InitKind = 'real' | 'noise' | 'predicted'

export interface MethodDefaults {
  readonly iterations: number
  /** 0 where a method takes no real images in its steps. */
  readonly realBatch: number
  readonly imageLr: number
  readonly imageMomentum: number
  readonly init: InitKind
  readonly augment: string
  /** Registry name of the network that images are matched under. */
  readonly network: string
}

/** What published settings vary with. */
export interface PresetContext {
  /** Of methods without classes all images. */
  readonly ipc: number
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  /** Name of the data set, as its reader gives it; absent where none is at hand. */
  readonly data?: string
  /** Classes of the data set, and images of the smallest; absent where no data set is at hand. */
  readonly classes?: number
  readonly smallest?: number
  /** Numbers of a target, where targets are representations. */
  readonly outputs?: number
}

/** A published set of settings, complete: general settings and the method's own options. */
export interface Preset<O extends MethodOptions = MethodOptions> {
  /** Where the values come from. */
  readonly doc: string
  settings(context: PresetContext): MethodDefaults & { readonly options: O }
}

interface MethodBase<O extends MethodOptions> {
  readonly name: string
  /** One sentence and the source. */
  readonly doc: string
  /** By name; the first one is the default. */
  readonly presets: Readonly<Record<string, Preset<O>>>
  readonly options: OptionSpecs<O>
  /**
   * Settles what depends on other options or on the network, before anything runs; `given` holds the names that the caller set.
   * Throws `invalid_option` for a combination that makes no sense.
   */
  resolve?(options: O, network: Network, given: ReadonlySet<string>): O
}

/** A method whose iteration is one step with a loss of its own. */
export interface LossMethod<O extends MethodOptions = MethodOptions> extends MethodBase<O> {
  /** Scalar loss of one step; the loop differentiates it with respect to the synthetic pixels. */
  loss(context: LossContext, options: O): Value
}

/** How the network of one iteration is trained between matching steps. */
export interface NetworkSchedule {
  /** Matching steps of one iteration. */
  readonly outerLoop: number
  /** Epochs on the synthetic images after each of them but the last. */
  readonly innerLoop: number
  readonly networkLr: number
  /** Synthetic images of one training step; null = all of them. */
  readonly trainBatch: number | null
  /** Real images per class that fix batch-norm statistics before each matching step. */
  readonly statisticsBatch: number
}

/** A method that matches parameter gradients, class by class, while each iteration's network is trained on the synthetic images. */
export interface GradientMethod<O extends MethodOptions = MethodOptions> extends MethodBase<O> {
  /** Distance of each class from gradients [classes, ...shape], f32 [classes]; the loop differentiates it in the synthetic pixels. */
  distance(network: Network, synthetic: Parameters, real: Parameters, options: O): Value
  schedule(options: O): NetworkSchedule
}

/** A method that matches stretches of the training of experts: it says what of its options the iterations go by. */
export interface TrajectoryMethod<O extends MethodOptions = MethodOptions> extends MethodBase<O> {
  trajectory(options: O): TrajectorySettings
}

/** A method of kernel ridge regression: it says what of its options the iterations go by. */
export interface RegressionMethod<O extends MethodOptions = MethodOptions> extends MethodBase<O> {
  regression(options: O): LabelRegression
}

/** A method that reads no labels: it learns a teacher's representations by kernel ridge regression. */
export interface RepresentationMethod<O extends MethodOptions = MethodOptions> extends MethodBase<O> {
  representation(options: O): TeacherRegression
}

export type Method<O extends MethodOptions = MethodOptions> =
  | LossMethod<O>
  | GradientMethod<O>
  | TrajectoryMethod<O>
  | RegressionMethod<O>
  | RepresentationMethod<O>

export const defineMethod = <O extends MethodOptions>(method: LossMethod<O>): LossMethod<O> => method
export const defineTrajectoryMethod = <O extends MethodOptions>(method: TrajectoryMethod<O>): TrajectoryMethod<O> => method
export const defineRepresentationMethod = <O extends MethodOptions>(method: RepresentationMethod<O>): RepresentationMethod<O> => method
export const defineRegressionMethod = <O extends MethodOptions>(method: RegressionMethod<O>): RegressionMethod<O> => method
export const defineGradientMethod = <O extends MethodOptions>(method: GradientMethod<O>): GradientMethod<O> => method

/** A preset by name, the first one when no name is given. Throws `not_found` with the known names. */
export function presetByName(method: Method, name = Object.keys(method.presets)[0]): { readonly name: string; readonly preset: Preset } {
  if (typeof name !== 'string' || !Object.hasOwn(method.presets, name)) {
    throw expected('not_found', `preset of ${method.name}`, `one of ${Object.keys(method.presets).join(', ')}`, name)
  }
  return { name, preset: method.presets[name] }
}
