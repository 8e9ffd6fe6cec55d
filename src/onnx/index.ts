/** @file ONNX models: looked at, loaded and run. */
export { type LoadOptions, OnnxClassifier, type PixelNormalization, readModelFile } from './classifier.js'
export { RuntimeProcess, runtimePath } from './runtime-process.js'
