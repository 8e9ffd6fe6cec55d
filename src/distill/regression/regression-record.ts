/** @file What a step of kernel ridge regression tells of its solution and of how far images and targets have moved. */
import type { RegressionRecord } from '../../experiment/types.js'
import { checkRidgeReport, ridgeReport } from '../../ridge/report.js'
import { ridgeInfo } from '../../ridge/ridge.js'

/** Places in the drift of a step: images and targets after it, the norm of the targets, images and targets before it. */
const drift = { images: 0, targets: 1, targetNorm: 2, imagesBefore: 3, targetsBefore: 4 } as const
export const driftNumbers = 5

/** From `info` of `ridgeHead` and the drift that the outer program puts out. */
export const regressionRecord = (info: ArrayLike<number>, moved: ArrayLike<number>): RegressionRecord => ({
  ridge: info[ridgeInfo.ridge],
  ridgeShare: info[ridgeInfo.share],
  condition: info[ridgeInfo.largestPivot] / info[ridgeInfo.smallestPivot],
  residual: info[ridgeInfo.residual],
  tries: info[ridgeInfo.failedTries],
  imageDrift: moved[drift.images],
  targetDrift: moved[drift.targets],
  targetNorm: moved[drift.targetNorm],
})

/** Pixels and targets that have moved this far (root mean square) have diverged: what fails then fails for that. */
const mostDrift = 1e6

export interface SolvedStep {
  readonly n: number
  readonly step: number
  /** Groups of equal rows among the images. */
  readonly equal: readonly (readonly number[])[]
}

/** Throws `not_positive_definite` where no ridge of the ladder was large enough, unless images or targets had diverged before the step. */
export function checkSolved(info: ArrayLike<number>, moved: ArrayLike<number>, { n, step, equal }: SolvedStep): void {
  const report = ridgeReport(info)
  // NaN or infinity in the features, of a network of the pool that diverged: the loss tells it as a divergence
  if (!Number.isFinite(report.smallestPivot)) return
  if (!(moved[drift.imagesBefore] < mostDrift && moved[drift.targetsBefore] < mostDrift)) return
  const todo = 'give a larger ridge (on the command line --set ridge=…), or take images that repeat out'
  checkRidgeReport(`step ${step + 1}: kernel of the synthetic images`, report, n, equal, todo)
}
