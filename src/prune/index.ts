/** @file Pruning: which real samples stay, as a sealed record that every stage reads; score files of this package and of BiLP. */
export type { Amount, AmountRule } from './amount.js'
export { type BilpScores, exportBilpScores, importBilpScores } from './bilp-file.js'
export { openDataset } from './open-dataset.js'
export type { CcsOptions, FeatureOrder, Order, ScoreOrder, SelectOptions, SelectRule } from './options.js'
export type { ScoreDescription, ScoredData } from './provenance.js'
export { describeScores, readScores, type ScoreFile, scoresOf, writeScores } from './score-file.js'
export { type RaisedCount, type Selection, selectSamples } from './select.js'
export { applySubset, createSubset, readSubset, type Subset, writeSubset } from './subset.js'
