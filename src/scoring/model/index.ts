/** @file Scores by ONNX classifiers: a streamed pass, its continuation, and shards joined. */
export type { GivenClassMap } from './class-map.js'
export { type MergeScoresOptions, mergeScores } from './merge-scores.js'
export { type ResumeModelOptions, resumeScoreModel, type ScoreModelOptions, type ScoringWatch, scoreModel } from './score-model.js'
export { modelKinds } from './settings.js'
