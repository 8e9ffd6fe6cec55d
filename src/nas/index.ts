/** @file Public surface of architecture search. */
export { nas, planNas } from './nas.js'
export { type NasBaseline, type NasOptions, type NasProgress, type NasSource, nasBaselines } from './options.js'
export type { NasPlan } from './plan.js'
export { type NasCell, type NasStore, openNasStore, readNasCells } from './record.js'
export type { NasPlanOptions } from './search.js'
export { type Architecture, architecturesOf, convNetSpace, type NasSpace } from './space.js'
export type { NasAccuracy, NasResult, NasSourceResult, RankCorrelation, RankedArchitecture } from './summary.js'
