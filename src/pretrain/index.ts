/** @file Self-supervised pretraining of teachers. */
export { type PretrainedTeacher, pretrain } from './pretrain.js'
export { type Objective, objectives } from './recipes.js'
export type { PretrainOptions, PretrainProgress } from './settings.js'
