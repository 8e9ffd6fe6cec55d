/** @file ONNX models: looked at, loaded and run. */
export { type ClassifierOutputs, type LoadOptions, OnnxClassifier, readModelFile } from './classifier.js'
export { describeModel, type ModelDescription } from './describe-model.js'
export { type EncoderOptions, OnnxEncoder } from './encoder.js'
export type { PixelNormalization } from './normalization.js'
export { otherImages } from './ports.js'
export { RuntimeProcess, runtimePath } from './runtime-process.js'
