/** @file Public API. */
export {
  type AnyDataset,
  type ArrayOptions,
  type Cifar100Options,
  cifar10,
  cifar100,
  createDataset,
  type Dataset,
  type DatasetInput,
  type DatasetPart,
  fashionMnist,
  type HoldOut,
  type ImageFolderOptions,
  type ImagenetClass,
  type ImagenetSubset,
  type ImageReading,
  idx,
  imageFolder,
  imagenetSubset,
  imagenetSubsetNames,
  mnist,
  type NpzOptions,
  npz,
  type OpenOptions,
  type PackOptions,
  type PackProgress,
  type PackRecord,
  type PixelRows,
  packSplit,
  type Sample,
  type SampleSource,
  tinyImagenet,
  verifyPack,
  type WhitenedPixels,
  type Whitening,
  type ZcaOrder,
} from './data/index.js'
export {
  type ArrayInput,
  type ArrayView,
  type AttentionMatch,
  type AttentionMatchOptions,
  attentionMatch,
  type DirectOptions,
  type Elements,
  el2n,
  type KernelRidgeOptions,
  kernelRidge,
  type PerSampleLoss,
  type PerSampleLossOptions,
  perSampleLoss,
  type RidgeBatch,
  type RidgeLossOptions,
  type RidgeLossResult,
  type RidgeSolution,
} from './direct/index.js'
export {
  distill,
  distillRepresentations,
  type KernelAccuracy,
  type KernelAccuracyOptions,
  kernelAccuracy,
  methodNames,
} from './distill/index.js'
export type { Parametrisation, ParametrisedStart } from './distill/parametrise.js'
export {
  type BoundProgram,
  type BoundProgramSpec,
  bindProgram,
  type NamedInput,
  type NamedOutput,
} from './engine/bound-program.js'
export * as engine from './engine/index.js'
export type { DeviceArray } from './engine/runtime/array.js'
export type { Device, DeviceOptions } from './engine/runtime/device.js'
export { type OpenDeviceOptions, openDevice } from './engine/runtime/open-device.js'
export { AbortError, AludelError, type ErrorCode } from './errors.js'
export {
  type EvaluateModelOptions,
  evaluate,
  evaluateModel,
  type HerdingOptions,
  herdingSet,
  kCenterSet,
  type ModelAccuracy,
  modelTeacher,
  type NetworkTeacherOptions,
  networkTeacher,
  randomRealSet,
  type ScoredSetOptions,
  scoredSet,
  subsetSet,
  type Teacher,
  type TrainedModel,
  type TrainingImages,
  type TrainingOptions,
  type TrainingSource,
  trainModels,
  withSoftLabels,
} from './evaluate/index.js'
export * from './experiment/index.js'
export * from './experts/index.js'
export { type ExportedSet, type ExportSetOptions, exportSet, type SetFormat } from './export/export-set.js'
export { loadNetwork, saveNetwork } from './export/network-file.js'
export { exportOnnx, type NetworkTensors, type OnnxDescription } from './export/onnx/export-network.js'
export * from './nas/index.js'
export type { Applied, ApplyOptions, DropoutDraws, MapShape, Network, ParameterSpec, Parameters, StateSpec } from './nn/module.js'
export { initialize, initialState, parameterCount } from './nn/module.js'
export { type AlexNetOptions, alexNet } from './nn/networks/alex-net.js'
export {
  type ConvBnOptions,
  type ConvFrepoOptions,
  type ConvNetOptions,
  type ConvRfadOptions,
  convBn,
  convFrepo,
  convNet,
  convRfad,
} from './nn/networks/conv-net.js'
export { type LeNetOptions, leNet } from './nn/networks/le-net.js'
export { type MlpOptions, mlp } from './nn/networks/mlp.js'
export { type MobileNetOptions, mobileNet } from './nn/networks/mobile-net.js'
export { evaluationPools, networkByName, networkNames } from './nn/networks/registry.js'
export { type PaddedResNetOptions, paddedResNet, type ResNet18Options, resNet18 } from './nn/networks/res-net.js'
export { type Vgg11Options, vgg11 } from './nn/networks/vgg.js'
export { type VitOptions, vit } from './nn/networks/vit.js'
export { type PhasePlan, type PlanOptions, planRun, type RunPlan } from './plan/plan.js'
export { planRepresentations, type RepresentationPlan, type RepresentationPlanOptions } from './plan/representations.js'
export { fitZca, readWhitening, type WhitenOptions, whiten, type ZcaOptions } from './preprocess/index.js'
export * from './pretrain/index.js'
export * from './prune/index.js'
export { checkRecipe, override, type Recipe, recipeByName, recipeJsonSchema, recipeNames, recipeSchema } from './recipes/index.js'
export * as ridge from './ridge/index.js'
export * from './schedule/index.js'
export * from './scores/index.js'
export * from './scoring/index.js'
export {
  assessTeacher,
  openTeacher,
  type QualityOptions,
  type Teacher as RepresentationTeacher,
  type TeacherOptions,
  type TeacherQuality,
  type TeacherRecord,
} from './teachers/index.js'
export * from './transfer/index.js'
