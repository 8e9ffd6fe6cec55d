/** @file What the outer loop repeats, whatever kind of method it runs. */
import type { Plan } from '../engine/compile/program.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Shape } from '../engine/tensor/shape.js'
import type { PruningEvent, RegressionRecord, ValidationRecord } from '../experiment/types.js'
import type { ClassRange } from './shard.js'
import type { StateDeclaration } from './state.js'

/** All that one iteration hands to the next: the loop's own pixels, class-major and NHWC, and their momentum; beside them the extra state. */
export type IterationState = Readonly<Record<string, DeviceArray>> & {
  readonly images: DeviceArray
  readonly velocity: DeviceArray
}

export interface IterationRange {
  readonly first: number
  readonly n: number
  readonly signal?: AbortSignal
  /** Hears of looks at the real samples, before the losses of their steps are known. */
  readonly onPruning?: (event: PruningEvent) => void
  /** Hears what became of an iteration, before its loss is known. */
  readonly onOutcome?: (iteration: number, outcome: StepOutcome) => void
}

/** What an iteration of trajectory matching, or of kernel ridge regression, tells beside its loss. */
export interface StepOutcome {
  /** The loss was above the threshold, or not finite: nothing was changed. */
  readonly skipped?: boolean
  /** The learning rate would have become 0 or less, and was kept. */
  readonly guarded?: boolean
  /** The student's learning rate after the iteration. */
  readonly learningRate?: number
  readonly regression?: RegressionRecord
  readonly validation?: ValidationRecord
}

/** Work before the first iteration. */
export interface BeginOptions {
  /** Iterations completed. */
  readonly step: number
  /** Hears how far the work is, between two pieces of it, when the state may be saved; false ends it. */
  readonly look: (progress: { readonly done: number; readonly total: number }) => Promise<boolean>
  readonly signal?: AbortSignal
}

/** Programs and inputs of a run's iterations, and the draws that feed them: all follow from the settings and the number of the iteration. */
export interface Iterations {
  /** Plans of the programs by name. */
  readonly plans: Readonly<Record<string, Plan>>
  /** Images through the network, real and synthetic, in one iteration. */
  readonly imagesPerIteration: number
  /** Floating-point operations of one iteration. */
  readonly flopsPerIteration: number
  /** Of `begin` on a fresh state; default none. */
  readonly flopsBefore?: number
  /** Most iterations that one call runs. */
  readonly most: number
  /** Shape of both tensors of the state, however the class-major pixels are grouped in it. */
  readonly stateShape: Shape
  /** Classes that are distilled; the images of others mean nothing afterwards. Default all. */
  readonly ownClasses?: ClassRange
  /** What the run keeps beside the pixels and their momentum, by name; `load` reads it. */
  readonly extraState?: StateDeclaration['tensors']
  /** Rates of the outer step beside that of the pixels, as they are after rollbacks. */
  readonly rates?: Readonly<Record<string, number>>
  /** Counters that the loop keeps beside its own. */
  readonly extraCounters?: StateDeclaration['counters']
  /** Completed steps of the set that is the result, which the state has (`bestArrays`); absent or 0: where the run is. */
  readonly bestStep?: number
  /** Whether a run that has done so many steps is over before its last one. */
  isOver?(step: number): boolean
  /** Takes over the extra state as it is on the device: at the start, and after the run went back. */
  load?(state: IterationState): Promise<void>
  /** Brings a fresh state to where the first iteration begins, in place; goes on where an earlier call ended. */
  begin?(state: IterationState, options: BeginOptions): Promise<void>
  /**
   * Runs iterations [first, first + n) on a state, in place, and returns their losses. A loss that is not finite ends the call early: the
   * state is then past its use. An abort rejects with AbortError and ends the call between two replays of a program.
   */
  run(state: IterationState, range: IterationRange): Promise<readonly number[]>
  dispose(): void
}
