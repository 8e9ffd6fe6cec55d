/** @file What passes between the distillation loop, the evaluators and the shell (CLI, report, embedding program). Types only. */
import type { AnyDataset } from '../data/any-dataset.js'
import type { Dataset } from '../data/dataset.js'
import type { Whitening } from '../data/whitening.js'
import type { Parametrisation } from '../distill/parametrise.js'
import type { Plan } from '../engine/compile/program.js'
import type { DType, TypedArray } from '../engine/tensor/dtype.js'
import type { Shape } from '../engine/tensor/shape.js'
import type { ExpertStore } from '../experts/store.js'
import type { Network } from '../nn/module.js'
import type { DataSchedule } from '../schedule/data-schedule.js'
import type { Teacher } from '../teachers/teacher.js'

/** The part of a device that the shell handles; the engine's Device satisfies it. */
export interface DeviceHandle {
  /** Instruction set or architecture in use. */
  readonly isa?: string
  readonly threads?: number
  readonly precision?: string
  close(): void | Promise<void>
}

/** Settings of a distillation run. Everything but method and ipc has a default: that of the preset. */
/** Part `index` of `of`, counted from 1. */
export interface Shard {
  readonly index: number
  readonly of: number
}

export interface DistillSettings {
  /** Registry name of the method, for example 'dm'. */
  readonly method: string
  /** Synthetic images per class, >= 1. */
  readonly ipc: number
  /** Outer steps. */
  readonly iterations?: number
  /** Real images drawn per class and step; classes with fewer images use all they have. */
  readonly realBatch?: number
  /** Learning rate of the synthetic pixels. */
  readonly imageLr?: number
  /** Start from real images, from normal noise, or from real images that experts classify right (methods of trajectory matching). */
  readonly init?: 'real' | 'noise' | 'predicted'
  /** Augmentation applied to real and synthetic images alike: 'none', 'dsa', or a list such as 'color_crop_flip'. */
  readonly augment?: string
  /** Registry name of the network, for example 'convnet', or a network of your own; the run's record keeps its name. */
  readonly network?: string | Network
  /** Seed of every random draw of the run. */
  readonly seed?: number
  /**
   * What a loss or an image that is not finite leads to. 'stop' (default): the run fails with `not_finite`, its last checkpoint stays.
   * 'rollback': it goes back to the last hundredth step with half the learning rates of the outer step, three times at most.
   */
  readonly onDivergence?: OnDivergence
  /**
   * Leaves out, step by step, real samples whose effect on the synthetic images is among the smallest or the largest (BiLP, arXiv
   * 2305.18381). For methods that match class means or gradients, under a network without batch statistics.
   */
  readonly dynamic?: DynamicPruning
  /**
   * Classes that a step computes at once, a divisor of their number: fewer take less memory, and other bits. Default: all where they fit 4 GiB,
   * else so many that they fit 512 MiB. For 'dm', 'datadam' and 'atom' without batch norm.
   */
  readonly classGroup?: number
  /**
   * Distils this part of the classes only; `mergeRuns` puts the parts together to the bits of the whole run. For 'dm', 'datadam' and 'atom'
   * without batch norm, and without dynamic pruning or going back.
   */
  readonly shard?: Shard
  /** Published settings that everything not given is taken from, such as 'paper' or 'code'; default: the method's first. */
  readonly preset?: string
  /** The method's own options by name, such as `{ lambda: 0.02 }`. An unknown name is an error that lists the known ones. */
  readonly methodOptions?: Readonly<Record<string, number | string | readonly number[] | null>>
}

/** Settings of a run without labels. Everything but method and n has a default: that of the preset. */
export interface RepresentationRunSettings {
  /** Registry name of the method: 'krr-st'. */
  readonly method: string
  /** Synthetic images, at most as many as the data set has. */
  readonly n: number
  readonly iterations?: number
  /** Real images of a step. */
  readonly realBatch?: number
  /** Learning rate of images and targets. */
  readonly imageLr?: number
  /** Of real images: 'none', 'crop', 'flip' or 'crop_flip', one draw for each image. */
  readonly augment?: string
  /** As in DistillSettings; its last layer has as many outputs as the teacher's representations have numbers. */
  readonly network?: string | Network
  readonly seed?: number
  /** As in DistillSettings. */
  readonly onDivergence?: OnDivergence
  readonly preset?: string
  readonly methodOptions?: DistillSettings['methodOptions']
}

export interface RepresentationOptions<D extends DeviceHandle = DeviceHandle>
  extends RepresentationRunSettings,
    Pick<DistillOptions<D>, 'device' | 'signal' | 'checkpoints' | 'checkpointEvery'> {
  /** A frozen encoder of images of the data's size, from `openTeacher`. */
  readonly teacher: Teacher
}

export interface DistillOptions<D extends DeviceHandle = DeviceHandle> extends DistillSettings {
  readonly device: D
  /**
   * Optimises latents z in place of pixels: every step sees `parametrise.apply(z)`, and so does the set at the end. Default: the pixels
   * themselves. The run's record keeps its name only, so repeat such a run from the program that defines it.
   */
  readonly parametrise?: Parametrisation
  /** Trained experts, from `openExperts(dir)`: what 'mtt', 'ftd', 'tesla', 'datm' and 'pad' match. They must be of this data and network. */
  readonly experts?: ExpertStore
  /**
   * Real batches are drawn from the rows of the schedule's epoch that an iteration is in, for example `await padSchedule(…)`: of methods that
   * take real images in their steps. Default: from all rows.
   */
  readonly schedule?: DataSchedule
  /** Iterations of one epoch of the schedule, >= 1. Default: a hundredth of `iterations`, rounded up. */
  readonly scheduleEvery?: number
  /** Aborts at the next step boundary: iteration and `result` reject with AbortError. */
  readonly signal?: AbortSignal
  /**
   * Where the state of the run is kept, for example `checkpointStore('runs/dm-10/checkpoints')`. A run continues from the newest
   * checkpoint there, to the same bits as if it had never ended; an empty store starts it from step 0. Rejects with `incompatible` when
   * the checkpoint is of other settings, data, instruction set or compiled plan; `iterations` and `onDivergence` may differ.
   */
  readonly checkpoints?: CheckpointStore
  /** Steps between checkpoints, >= 1. Default: by time, the first after 15 s, then so that saving takes at most a hundredth of the time. */
  readonly checkpointEvery?: number
}

export type OnDivergence = 'stop' | 'rollback'

/** Settings of dynamic pruning; the source fixes none of the values, so the defaults are ours. */
export interface DynamicPruning {
  /** Share of the effects' distribution that is dropped at its lower end, in [0, 1); default 0.1. Both shares together are below 1. */
  readonly betaLow?: number
  /** And at its upper end; default 0.1. */
  readonly betaHigh?: number
  /** Steps from one look at the effects to the next, >= 1; default 5. Of gradient methods matching steps; default 40. */
  readonly every?: number
  /** Random directions along which an effect is measured, 1 to 256; default 8. */
  readonly probes?: number
  /** Thresholds from running moments under a normal assumption (default), or by rank within each class batch. */
  readonly mode?: 'moments' | 'rank'
  /** Running moments that forget (default), or that weigh every effect alike. */
  readonly statistics?: 'ema' | 'cumulative'
  /** Weight of the newest batch under 'ema', in (0, 1]; default 0.1. */
  readonly momentum?: number
  /** One distribution for all classes (default), or one each. */
  readonly scope?: 'global' | 'class'
}

/** A tensor of a run's state, read from the device: row-major. */
export interface StateTensor {
  readonly dtype: DType
  readonly shape: Shape
  readonly data: TypedArray
}

/** Everything that a run's later steps depend on, and what it may be continued with. */
export interface Checkpoint {
  readonly config: RunConfig
  /** What of the data its content hash in `config` does not cover. */
  readonly data: Pick<Dataset, 'classes' | 'mean' | 'std' | 'flip'>
  /** The compiled programs of the run, by name: bits are equal only under equal plans. */
  readonly plans: Readonly<Record<string, Plan>>
  /** `step` (steps completed), `rollbacks`, and what the method declares. */
  readonly counters: Readonly<Record<string, number>>
  readonly tensors: Readonly<Record<string, StateTensor>>
  /** Wall-clock seconds spent so far. */
  readonly seconds: number
}

export interface LoadedCheckpoint {
  readonly checkpoint: Checkpoint
  /** What was wrong with newer checkpoints that could not be read, one sentence each. */
  readonly damaged: readonly string[]
}

export interface CheckpointStore {
  /** Durable when the promise resolves; whatever happens before, the checkpoint saved before can still be loaded. */
  save(checkpoint: Checkpoint): Promise<void>
  /** The newest checkpoint that can be read; undefined when there is none. Throws `invalid_data` when there are some and none can be read. */
  load(): Promise<LoadedCheckpoint | undefined>
}

export interface StartEvent {
  readonly type: 'start'
  readonly iterations: number
  readonly classes: number
  /** Every setting, resolved: what a repetition of the run needs. */
  readonly config: RunConfig
  /** Arena bytes of the planned step, when known. */
  readonly plannedBytes?: number
  /** Steps completed before, and rollbacks made, by a run that continues from a checkpoint. */
  readonly step?: number
  readonly rollbacks?: number
  readonly plans?: Readonly<Record<string, Plan>>
}

export interface StepEvent {
  readonly type: 'step'
  /** Steps completed so far, 1-based. */
  readonly step: number
  readonly iterations: number
  readonly loss: number
  /** Wall-clock seconds since the start of the run, without the time between an end and its continuation. */
  readonly seconds: number
  /** Real and synthetic images through the network per second, since the last event. */
  readonly imagesPerSecond: number
  /** Of trajectory matching: the loss was above the threshold, and nothing was changed. */
  readonly skipped?: boolean
  /** Of trajectory matching: the learned rate after the step. */
  readonly learningRate?: number
  /** Of trajectory matching: the rate would have become 0 or less, and was kept. */
  readonly guarded?: boolean
  /** Of kernel ridge regression. */
  readonly regression?: RegressionRecord
  /** Of a step after which held-out real images were answered. */
  readonly validation?: ValidationRecord
}

/** How the set answers the held-out real images, by kernel ridge regression under networks that stay the same. */
export interface ValidationRecord {
  /** The method's loss, by which the best set is chosen. */
  readonly loss: number
  /** In per cent. */
  readonly accuracy: number
  /** Steps after which the loss was the lowest so far. */
  readonly bestStep: number
}

/** How a step's closed-form solution was found, and how far what is learned has moved from its start. */
export interface RegressionRecord {
  /** Lambda, as it was used. */
  readonly ridge: number
  /** As a share of the trace of the kernel matrix. */
  readonly ridgeShare: number
  /** Largest pivot of the Cholesky factor over the smallest: an estimate of the condition number from below. */
  readonly condition: number
  /** ||M A - Y|| / ||Y|| */
  readonly residual: number
  /** Times that the ridge was raised by 10 because the matrix was not positive definite. */
  readonly tries: number
  /** Root mean square of the change of pixels, and of targets; and of the targets themselves. */
  readonly imageDrift: number
  readonly targetDrift: number
  readonly targetNorm: number
  /** Of solved labels: singular directions of the kernel between real and synthetic images that were not cut off. */
  readonly directions?: number
}

/** Work before the first step, such as the training of a pool of networks. */
export interface WarmUpEvent {
  readonly type: 'warm-up'
  readonly done: number
  readonly total: number
}

export interface DoneEvent {
  readonly type: 'done'
  /** Steps completed. */
  readonly step: number
  readonly iterations: number
  readonly seconds: number
  /** True when `stop()` ended the run before its last iteration. */
  readonly stopped: boolean
}

/** The run diverged and goes on from an earlier step: events of later steps come again. */
export interface RollbackEvent {
  readonly type: 'rollback'
  /** Steps completed after going back. */
  readonly to: number
  /** Rollbacks so far, this one included. */
  readonly rollbacks: number
  /** Learning rate of the pixels from here on. */
  readonly imageLr: number
  /** The same of what else the outer step learns by, such as transformLr, scaleLr, labelLr and lrLr; absent where there is nothing else. */
  readonly rates?: Readonly<Record<string, number>>
  /** What was not finite, and at which step. */
  readonly reason: string
}

/** Something the user should know; the run goes on. */
export interface NoticeEvent {
  readonly type: 'notice'
  readonly message: string
}

/** A look at the effects of the real samples of a step's batch. */
export interface PruningEvent {
  readonly type: 'pruning'
  /** The step that it served, 1-based. */
  readonly step: number
  /** Of a gradient method, whose steps match several times: the matching step, 1-based, counted from the run's start. */
  readonly matching?: number
  /** Real samples drawn and, of them, used. */
  readonly drawn: number
  readonly used: number
  /** Classes of which all samples were masked, so that all were used. */
  readonly fallbacks: number
  /** Samples of the data set that are masked from here on. */
  readonly masked: number
}

export type RunEvent = StartEvent | WarmUpEvent | StepEvent | PruningEvent | RollbackEvent | NoticeEvent | DoneEvent

/** A running distillation: iterate it for events, await `result` for the images. */
export interface DistillRun<S = SyntheticSet> extends AsyncIterable<RunEvent> {
  /** The set after the last step; after `stop()`, the set reached. Rejects with the error that ended the run. */
  readonly result: Promise<S>
  /** Finishes the step at hand, then ends the run as if it had been its last. Does nothing on an ended run. */
  stop(): void
}

/** Resolved settings: JSON values only, so that they can be stored and compared. */
export type RunConfig = Readonly<Record<string, string | number | boolean | null | readonly number[] | readonly string[]>>

export interface SyntheticSetFields {
  /** Normalised pixels in NHWC order: (value/255 - mean) / std, whitened after that where there is a whitening. */
  readonly images: Float32Array
  /** [M, H, W, C]; images of one class stand together, classes in order. */
  readonly shape: readonly [number, number, number, number]
  /** One class index per image. */
  readonly labels: Int32Array
  readonly classes: readonly string[]
  /** Per channel, of pixels in [0, 1]. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** Whether a mirrored image keeps its class. */
  readonly flip: boolean
  /** Name and content hash of the data the set was made from. */
  readonly source: { readonly name: string; readonly split: string; readonly sha256: string }
  readonly config: RunConfig
  /** Row of the source data set each image started from, -1 where there is none. */
  readonly sourceIds?: Int32Array
  /** The ZCA whitening that the pixels are under; test images need the same one. */
  readonly whitening?: Whitening
  /** Learned labels, [M, classes]: logits, whose softmax is what a network is to answer. `labels` stay the classes of the images. */
  readonly labelLogits?: Float32Array
  /**
   * Learned labels, [M, classes]: what a network is to answer, in place of probabilities, as centred one-hot rows are; trained towards by squared
   * errors. A set has these or `labelLogits`, not both.
   */
  readonly targets?: Float32Array
  /** Learned rate > 0 of plain SGD on the set, float32. */
  readonly learningRate?: number
}

export interface SyntheticSet extends SyntheticSetFields {
  /**
   * Writes data.safetensors, manifest.json, preview.png and, of a whitened set, zca.safetensors into `dir` (created if absent), each one atomically.
   * Throws `io` naming the file when the system refuses, `invalid_option` for a path that is none.
   */
  save(dir: string): Promise<void>
}

/**
 * How networks are trained to be measured. 'dc': SGD lr 0.01, x 0.1 half way, the last weights are tested. 'glad': lr 0.001 (VGG-11 0.0001)
 * with a linear warm-up and a cosine, the moving average of the weights (0.995 an epoch) is tested. 'trajectory': as 'dc', but at the learned
 * rate of the set (0.01 without one) and, under soft labels, in batches of 128. 'frepo', 'kip': Adam 3e-4 with a warm-up and a cosine, by half
 * the squared distance from targets or centred one-hot rows, for steps that follow from the number of images, or of classes. 'rfad': SGD at
 * a constant rate for 20,000 steps, by the squared distance of f(x) - f0(x) from scaled targets, f0 being the network as it was drawn.
 */
export type ProtocolName = 'dc' | 'glad' | 'trajectory' | 'frepo' | 'kip' | 'rfad'

export type LabelKind = 'soft' | 'hard'

export interface EvaluationSettings {
  /**
   * The networks to train on the set: registry names, names of evaluation pools, or networks of your own. The pool 'unseen' adds a result of
   * that name, the mean over its networks.
   */
  readonly networks: readonly (string | Network)[]
  /** Networks trained from scratch per entry (default 5). */
  readonly repeats?: number
  /** Default 'trajectory' for a set with a learned rate, 'frepo', 'kip' and 'rfad' for sets of these methods, else 'dc'. Accuracies of different protocols are not comparable. */
  readonly protocol?: ProtocolName
  /**
   * 'soft': towards the set's targets by squared errors, or towards the softmax of its label logits, or towards the answers of a teacher that stand beside it as `softLabels`; an error
   * for a set without either. 'hard': towards the classes, whatever the set has. Default: 'soft' where there are some.
   */
  readonly labels?: LabelKind
  readonly epochs?: number
  /** As in DistillSettings. */
  readonly augment?: string
  readonly seed?: number
  /**
   * Who computes the test accuracies: 'onnx' exports the networks to ONNX Runtime (the optional package onnxruntime-node), 'engine' is this
   * package, 'auto' (default) takes ONNX Runtime where it is installed and the network has an ONNX form.
   */
  readonly inference?: 'auto' | 'onnx' | 'engine'
}

export interface EvaluateOptions<D extends DeviceHandle = DeviceHandle> extends EvaluationSettings {
  readonly test: AnyDataset
  readonly device: D
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: EvaluationProgress) => void
  /** Called with each entry's accuracies as soon as its networks are measured, in order: an abort later does not lose them. */
  readonly onResult?: (result: EvaluationResult) => void | Promise<void>
}

export interface EvaluationProgress {
  readonly network: string
  /** Epochs completed of this entry's networks: those of networks that train one after the other add up. */
  readonly epoch: number
  readonly epochs: number
  readonly loss?: number
  /** Once trained, networks are measured in ONNX Runtime: images classified so far, of all that they will see. */
  readonly testing?: { readonly images: number; readonly total: number }
}

/** Test accuracies of one network, in per cent. */
export interface EvaluationResult {
  readonly network: string
  readonly mean: number
  /** Standard deviation over the networks (population form, as the field reports it). */
  readonly std: number
  readonly n: number
  readonly values: readonly number[]
  /** 95 % confidence interval of the mean (Student's t over the n networks); null for a single network. */
  readonly interval: readonly [number, number] | null
  /** Mean accuracy of the test images of each class; null for a class without any. */
  readonly perClass: readonly (number | null)[]
  /** Who computed the test accuracies; absent in records of earlier versions. */
  readonly inference?: 'onnx' | 'engine'
  /** How the networks were trained; absent in records of earlier versions. */
  readonly training?: TrainingRecord
}

export interface TrainingRecord {
  readonly protocol: ProtocolName
  readonly labels: LabelKind
  /** Highest learning rate. */
  readonly learningRate: number
  /** Rows of a step. */
  readonly batch: number
  /** Of protocol 'rfad': what labels were multiplied by, and the decay towards the weights of the start. */
  readonly labelScale?: number
  readonly weightDecay?: number
}
