/** @file Scores of real samples and rules that choose sets of them: float64, in the data set's order, deterministic. */
export { type Craig, craig } from './craig.js'
export { type EpochWindow, lossConverge, lossInit, ScoreMean, windowMean } from './epoch-window.js'
export { ForgettingRun, type ForgettingState, forgettingScore, type NeverLearned } from './forgetting.js'
export { type GradMatch, type GradMatchOptions, gradMatch } from './grad-match.js'
export type { GradientFactors } from './gradient-factors.js'
export { type GradientNorms, gradientNorms } from './grand.js'
export { type HerdOptions, herd } from './herding.js'
export { type KCenter, type KCenterOptions, kCenterGreedy } from './k-center.js'
export { type Clusters, type KMeansOptions, kMeans } from './k-means.js'
export { type GradientBatch, lastLayerGradients } from './last-layer-gradients.js'
export { type LogitBatch, type LogitScoreName, type ScoreLogitsOptions, scoreLogits } from './logits.js'
export type { Matrix } from './matrix.js'
export { medianDistance } from './moderate.js'
export type { WeightedPick } from './pick.js'
export {
  type ClusterPrototypicalityOptions,
  classPrototypicality,
  clusterPrototypicality,
  type FeatureDistance,
  type PrototypicalityOptions,
} from './prototypicality.js'
export { type ScoreName, scoreInfo, scoreNames } from './registry.js'
export type { Score, ScoreInput } from './score.js'
export { drawUniform } from './uniform.js'
