/** @file Evaluation of synthetic sets. */
export { evaluate } from './evaluate.js'
export { type HerdingOptions, herdingSet } from './herding-set.js'
export { type NearestReal, nearestReal } from './nearest-real.js'
export { type EvaluateModelOptions, evaluateModel, type ModelAccuracy } from './onnx-accuracy.js'
export { randomRealSet } from './random-real.js'
export type { TrainingOptions, TrainingSource } from './train-networks.js'
export { type TrainedModel, trainModels } from './trained-models.js'
