/** @file What a step of kernel ridge regression tells of its solution and of how far images and targets have moved. */
import { AludelError } from '../../errors.js'
import type { RegressionRecord } from '../../experiment/types.js'
import { mostRidgeTries, ridgeInfo } from '../../ridge/ridge.js'

/** From `info` of `ridgeHead` and the drift that the outer program puts out. */
export const regressionRecord = (info: ArrayLike<number>, drift: ArrayLike<number>): RegressionRecord => ({
  ridge: info[ridgeInfo.ridge],
  ridgeShare: info[ridgeInfo.share],
  condition: info[ridgeInfo.largestPivot] / info[ridgeInfo.smallestPivot],
  residual: info[ridgeInfo.residual],
  tries: info[ridgeInfo.failedTries],
  imageDrift: drift[0],
  targetDrift: drift[1],
  targetNorm: drift[2],
})

/** Pixels and targets that have moved this far (root mean square) have diverged: what fails then fails for that. */
const mostDrift = 1e6

export interface SolvedStep {
  readonly n: number
  readonly step: number
  /** Of the step before; absent where there is none. */
  readonly before: RegressionRecord | undefined
}

/** Throws `not_positive_definite` where no ridge of the ladder was large enough, unless images or targets have diverged. */
export function checkSolved(info: ArrayLike<number>, { n, step, before }: SolvedStep): void {
  if (!(info[ridgeInfo.failedTries] >= mostRidgeTries)) return
  // NaN or infinity in the features, of a network of the pool that diverged: the loss tells it as a divergence
  if (!Number.isFinite(info[ridgeInfo.smallestPivot])) return
  if (before && !(before.imageDrift < mostDrift && before.targetDrift < mostDrift)) return
  const last = before ? `ridge / trace ${before.ridgeShare}, condition ${before.condition} at the step before` : 'at the first step'
  const todo = 'raise the ridge (--set ridge=…), or look at the weights of the network and for images that are the same'
  const what = `step ${step + 1}: the kernel matrix of ${n} synthetic images is not positive definite, with a ridge raised five times either`
  throw new AludelError('not_positive_definite', `${what} (${last}); ${todo}`)
}
