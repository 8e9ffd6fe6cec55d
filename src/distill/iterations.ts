/** @file What the outer loop repeats, whatever kind of method it runs. */
import type { DeviceArray } from '../engine/runtime/array.js'

export interface IterationRange {
  readonly first: number
  readonly n: number
  readonly signal?: AbortSignal
}

/** The iterations of one run on its device: programs, arrays, and the draws that feed them. */
export interface Iterations {
  /** Arena bytes of the largest program. */
  readonly plannedBytes: number
  /** Images through the network, real and synthetic, in one iteration. */
  readonly imagesPerIteration: number
  /** Most iterations that one call runs. */
  readonly most: number
  /**
   * All that one iteration hands to the next: elements class-major, NHWC. Everything else follows from the seed and the number of the
   * iteration, so a run goes on from any iteration when these two hold what they held there.
   */
  readonly state: { readonly images: DeviceArray; readonly velocity: DeviceArray }
  /**
   * Runs iterations [first, first + n) and returns their losses. Rejects with AbortError between two replays of a program, and with
   * `not_finite` where the method can say more about such a loss than its number.
   */
  run(range: IterationRange): Promise<readonly number[]>
  dispose(): void
}
