/** @file What passes between the distillation loop, the evaluators and the shell (CLI, report, embedding program). Types only. */
import type { Dataset } from '../data/dataset.js'
import type { Network } from '../nn/module.js'

/** The part of a device that the shell handles; the engine's Device satisfies it. */
export interface DeviceHandle {
  /** Instruction set or architecture in use. */
  readonly isa?: string
  readonly threads?: number
  close(): void | Promise<void>
}

/** Settings of a distillation run. Everything but method and ipc has a default: that of the preset. */
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
  /** Start from real images or from normal noise. */
  readonly init?: 'real' | 'noise'
  /** Augmentation applied to real and synthetic images alike: 'none', 'dsa', or a list such as 'color_crop_flip'. */
  readonly augment?: string
  /** Registry name of the network, for example 'convnet', or a network of your own; the run's record keeps its name. */
  readonly network?: string | Network
  /** Seed of every random draw of the run. */
  readonly seed?: number
  /** Published settings that everything not given is taken from, such as 'paper' or 'code'; default: the method's first. */
  readonly preset?: string
  /** The method's own options by name, such as `{ lambda: 0.02 }`. An unknown name is an error that lists the known ones. */
  readonly methodOptions?: Readonly<Record<string, number | string | readonly number[] | null>>
}

export interface DistillOptions<D extends DeviceHandle = DeviceHandle> extends DistillSettings {
  readonly device: D
  /** Aborts at the next step boundary: iteration and `result` reject with AbortError. */
  readonly signal?: AbortSignal
}

export interface StartEvent {
  readonly type: 'start'
  readonly iterations: number
  readonly classes: number
  /** Every setting, resolved: what a repetition of the run needs. */
  readonly config: RunConfig
  /** Arena bytes of the planned step, when known. */
  readonly plannedBytes?: number
}

export interface StepEvent {
  readonly type: 'step'
  /** Steps completed so far, 1-based. */
  readonly step: number
  readonly iterations: number
  readonly loss: number
  /** Wall-clock seconds since the start of the run. */
  readonly seconds: number
  /** Real and synthetic images through the network per second, since the last event. */
  readonly imagesPerSecond: number
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

export type RunEvent = StartEvent | StepEvent | DoneEvent

/** A running distillation: iterate it for events, await `result` for the images. */
export interface DistillRun extends AsyncIterable<RunEvent> {
  /** The set after the last step; after `stop()`, the set reached. Rejects with the error that ended the run. */
  readonly result: Promise<SyntheticSet>
  /** Finishes the step at hand, then ends the run as if it had been its last. Does nothing on an ended run. */
  stop(): void
}

/** Resolved settings: JSON values only, so that they can be stored and compared. */
export type RunConfig = Readonly<Record<string, string | number | boolean | null | readonly number[] | readonly string[]>>

export interface SyntheticSetFields {
  /** Normalised pixels in NHWC order: (value/255 - mean) / std. */
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
}

export interface SyntheticSet extends SyntheticSetFields {
  /**
   * Writes data.safetensors, manifest.json and preview.png into `dir` (created if absent), each one atomically.
   * Throws `io` naming the file when the system refuses, `invalid_option` for a path that is none.
   */
  save(dir: string): Promise<void>
}

export interface EvaluationSettings {
  /** The networks to train on the set: registry names, or networks of your own. */
  readonly networks: readonly (string | Network)[]
  /** Networks trained from scratch per entry (default 5). */
  readonly repeats?: number
  readonly epochs?: number
  /** As in DistillSettings. */
  readonly augment?: string
  readonly seed?: number
}

export interface EvaluateOptions<D extends DeviceHandle = DeviceHandle> extends EvaluationSettings {
  readonly test: Dataset
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
}
