/** @file ONNX models: looked at, loaded and run. */
export { type ClassifierOutputs, type LoadOptions, OnnxClassifier, type PixelNormalization, readModelFile } from './classifier.js'
export { describeModel, type ModelDescription } from './describe-model.js'
export { RuntimeProcess, runtimePath } from './runtime-process.js'
