/** @file Scoring a data set by networks, and the directories that scores are kept in. */
export type { FeatureFile } from './feature-file.js'
export {
  type GivenClassMap,
  type MergeScoresOptions,
  mergeScores,
  type ResumeModelOptions,
  resumeScoreModel,
  type ScoreModelOptions,
  type ScoringWatch,
  scoreModel,
} from './model/index.js'
export type { ScoreDatasetOptions, ScoringProgress } from './options.js'
export { type ScoredDataset, scoreDataset } from './score-dataset.js'
export { readKind as readScoreDirectory, type ScoresRecord, type ScoresSource } from './score-directory.js'
