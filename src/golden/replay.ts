/** @file Replays golden cases: finds what a case is by its content, runs it through every engine, and reports tensor by tensor. */
import { isAugmentation, replayAugmentation } from './augmentation.js'
import { findCases, type GoldenCase, type UnreadableCase } from './case-file.js'
import { type Check, passes } from './compare.js'
import { isDifficulty, replayDifficulty } from './difficulty.js'
import type { GoldenEngine } from './engines.js'
import { isForward, replayForward } from './forward.js'
import { isGradientMatching, replayGradientMatching } from './gradient-matching.js'
import { isGradientSteps, replayGradientSteps } from './gradient-steps.js'
import { isGsamInputs, isGsamOutputs, replayGsamInputs, replayGsamOutputs } from './gsam.js'
import { isInfiniteNetwork, replayInfiniteNetwork } from './infinite-network.js'
import {
  isKrrTrajectory,
  isOuterStep,
  isPoolSchedule,
  isPoolStep,
  replayKrrTrajectory,
  replayOuterStep,
  replayPoolSchedule,
  replayPoolStep,
} from './krr-st.js'
import { isLabelMargin, replayLabelMargin } from './label-margin.js'
import { isAttentionMatching, isDistributionMatching, replayAttentionMatching, replayDistributionMatching } from './matching.js'
import { isNetwork, replayNetwork } from './networks.js'
import { isOptimizers, replayOptimizers } from './optimizers.js'
import { isOuterUpdates, replayOuterUpdates } from './outer-updates.js'
import { isRidge, replayRidge } from './ridge.js'
import { isScheduler, replayScheduler } from './scheduler.js'
import { isGeometry, replayGeometry } from './selection-geometry.js'
import { isNetworkScores, replayNetworkScores } from './selection-network.js'
import { isImagenetSubsets, isPruning, replayImagenetSubsets, replayPruning } from './selection-rules.js'
import { isEpochLosses, isForgetting, isLogitScores, replayEpochLosses, replayForgetting, replayLogitScores } from './selection-scores.js'
import { isSslLosses, replaySslLosses } from './ssl-losses.js'
import { isHessianVector, replayHessianVector } from './trajectory.js'
import { isTreatmentEffect, replayTreatmentEffect } from './treatment-effect.js'
import { isTreatmentTrace, replayTreatmentTrace } from './treatment-trace.js'
import { isUnrollInputs, isUnrollResults, replayUnrollInputs, replayUnrollResults } from './unroll.js'
import { isFittedZca, isZca, replayFittedZca, replayZca } from './zca.js'

interface Kind {
  readonly matches: (golden: GoldenCase) => boolean
  readonly replay: (golden: GoldenCase, engine: GoldenEngine) => Promise<Check[]>
}

const kinds: readonly Kind[] = [
  { matches: isNetwork, replay: replayNetwork },
  { matches: isForward, replay: replayForward },
  { matches: isAugmentation, replay: replayAugmentation },
  { matches: isDistributionMatching, replay: replayDistributionMatching },
  { matches: isAttentionMatching, replay: replayAttentionMatching },
  { matches: isGradientSteps, replay: replayGradientSteps },
  { matches: isGradientMatching, replay: replayGradientMatching },
  { matches: isHessianVector, replay: replayHessianVector },
  { matches: isGsamInputs, replay: replayGsamInputs },
  { matches: isGsamOutputs, replay: replayGsamOutputs },
  { matches: isUnrollInputs, replay: replayUnrollInputs },
  { matches: isUnrollResults, replay: replayUnrollResults },
  { matches: isInfiniteNetwork, replay: replayInfiniteNetwork },
  { matches: isLabelMargin, replay: replayLabelMargin },
  { matches: isOptimizers, replay: replayOptimizers },
  { matches: isOuterUpdates, replay: replayOuterUpdates },
  { matches: isZca, replay: replayZca },
  { matches: isFittedZca, replay: replayFittedZca },
  { matches: isTreatmentEffect, replay: replayTreatmentEffect },
  { matches: isTreatmentTrace, replay: replayTreatmentTrace },
  { matches: isNetworkScores, replay: replayNetworkScores },
  { matches: isScheduler, replay: replayScheduler },
  { matches: isDifficulty, replay: replayDifficulty },
  { matches: isLogitScores, replay: replayLogitScores },
  { matches: isEpochLosses, replay: replayEpochLosses },
  { matches: isForgetting, replay: replayForgetting },
  { matches: isGeometry, replay: replayGeometry },
  { matches: isPruning, replay: replayPruning },
  { matches: isRidge, replay: replayRidge },
  { matches: isOuterStep, replay: replayOuterStep },
  { matches: isPoolStep, replay: replayPoolStep },
  { matches: isKrrTrajectory, replay: replayKrrTrajectory },
  { matches: isPoolSchedule, replay: replayPoolSchedule },
  { matches: isImagenetSubsets, replay: replayImagenetSubsets },
  { matches: isSslLosses, replay: replaySslLosses },
]

export interface CaseResult {
  readonly name: string
  /** A case fails when one of its tensors does, or when it cannot be read or run. */
  readonly outcome: 'passed' | 'failed' | 'skipped'
  readonly checks: readonly Check[]
  /** Why it was skipped, or the error that ended it. */
  readonly reason?: string
}

export async function replayCase(golden: GoldenCase | UnreadableCase, engines: readonly GoldenEngine[]): Promise<CaseResult> {
  const { name } = golden
  if ('error' in golden) return { name, outcome: 'failed', checks: [], reason: golden.error.message }
  const kind = kinds.find(({ matches }) => matches(golden))
  if (!kind) return { name, outcome: 'skipped', checks: [], reason: 'no method here computes this kind of case yet' }
  const checks: Check[] = []
  try {
    for (const engine of engines) checks.push(...(await kind.replay(golden, engine)))
  } catch (error) {
    return { name, outcome: 'failed', checks, reason: (error as Error).message }
  }
  if (checks.length === 0) return { name, outcome: 'failed', checks, reason: 'the case holds nothing to compare' }
  return { name, outcome: checks.every(passes) ? 'passed' : 'failed', checks }
}

/** All cases under `folder`, one by one. Throws `not_found` when there is no such folder. */
export async function* replayFolder(folder: string, engines: readonly GoldenEngine[]): AsyncGenerator<CaseResult> {
  for (const golden of findCases(folder)) yield await replayCase(golden, engines)
}

/** The lines printed for one case: one for each tensor, and one more when it was skipped or broke off. */
export function describeResult({ name, outcome, checks, reason }: CaseResult): string[] {
  const lines = checks.map(
    (check) => `${passes(check) ? 'ok' : 'FAIL'} ${name} ${check.tensor} err=${check.error.toExponential(2)} tol=${check.tolerance}`,
  )
  if (outcome === 'skipped') lines.push(`skip ${name}: ${reason}`)
  else if (reason !== undefined) lines.push(`FAIL ${name}: ${reason}`)
  return lines
}
