/** @file The part of the library that commands use, loaded when a command needs it: help and usage errors work without the addon. */
import type { Dataset, Split } from '../data/dataset.js'
import type { OpenOptions } from '../data/open.js'
import type { Whitening } from '../data/whitening.js'
import type { InitKind } from '../distill/method.js'
import type { Device } from '../engine/runtime/device.js'
import type { CudaLibrary, CudaSurvey, NativeBinding } from '../engine/runtime/native-types.js'
import type { OpenDeviceOptions } from '../engine/runtime/open-device.js'
import { AludelError } from '../errors.js'
import type {
  EvaluateModelOptions,
  FeatureSelection,
  HerdingOptions,
  ModelAccuracy,
  modelTeacher,
  NearestReal,
  NetworkTeacherOptions,
  Teacher,
  TrainedModel,
  TrainingImages,
  TrainingOptions,
  TrainingSource,
} from '../evaluate/index.js'
import type { RepresentationSet } from '../experiment/representation-set.js'
import type {
  DeviceHandle,
  DistillOptions,
  DistillRun,
  DistillSettings,
  EvaluateOptions,
  EvaluationResult,
  RepresentationOptions,
  SyntheticSet,
  SyntheticSetFields,
} from '../experiment/types.js'
import type { ExpertsOptions } from '../experts/settings.js'
import type { ExpertStore } from '../experts/store.js'
import type { ExportedSet, ExportSetOptions } from '../export/export-set.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { NasOptions, NasPlan, NasResult, NasStore } from '../nas/index.js'
import type { MapShape } from '../nn/module.js'
import type { PlanOptions, RunPlan } from '../plan/plan.js'
import type { RepresentationPlan, RepresentationPlanOptions } from '../plan/representations.js'
import type { ZcaOptions } from '../preprocess/index.js'
import type { PretrainedTeacher, PretrainOptions } from '../pretrain/index.js'
import { openDataset } from '../prune/index.js'
import type { ResumeModelOptions, ScoreModelOptions } from '../scoring/model/index.js'
import type { ScoresRecord } from '../scoring/score-directory.js'
import type { DirectoryOptions, ResumeOptions, WrittenScores } from '../scoring/score-to-directory.js'
import type { Teacher as Encoder, TeacherOptions as EncoderOptions, QualityOptions, TeacherQuality } from '../teachers/index.js'
import type { TransferCell, TransferOptions } from '../transfer/index.js'

/** A teacher by its path; the rest speaks of ONNX models. */
export interface EncoderChoice {
  readonly path: string
  readonly output?: string
  readonly normalization?: { readonly mean?: readonly number[]; readonly std?: readonly number[]; readonly scale?: number }
}

export type BackendState =
  | { readonly available: true; readonly isa: string; readonly isas: readonly string[] }
  | { readonly available: false; readonly reason: string }

/** GPUs of this machine; `driver` and `toolkit` are CUDA versions such as 13.0, null for none. */
export type CudaState =
  | {
      readonly available: true
      readonly driver: string
      readonly toolkit: string
      readonly devices: CudaSurvey['devices']
      /** What may be used beside the own kernels; none is needed. */
      readonly libraries: readonly CudaLibrary[]
    }
  | {
      readonly available: false
      readonly built: boolean
      readonly reason: string
      readonly driver: string | null
      readonly toolkit: string | null
    }

export type OnnxState =
  | { readonly available: true; readonly version: string; readonly providers: readonly string[] }
  | { readonly available: false; readonly reason: string }

export interface Library {
  openDataset(specification: string, split: Split, options?: OpenOptions): Promise<Dataset>
  fitZca(train: Dataset, options: Omit<ZcaOptions, 'device'> & { readonly device: DeviceHandle }): Promise<Whitening>
  whiten(dataset: Dataset, whitening: Whitening, device: DeviceHandle): Promise<Dataset>
  openDevice(options: OpenDeviceOptions): Promise<DeviceHandle>
  openExperts(dir: string): Promise<ExpertStore>
  distill(dataset: Dataset, options: DistillOptions): Promise<DistillRun>
  distillRepresentations(dataset: Dataset, options: RepresentationOptions): Promise<DistillRun<RepresentationSet>>
  /** A frozen encoder, for targets without labels. */
  openTeacher(path: string, options: Omit<EncoderOptions, 'device'> & { readonly device: DeviceHandle }): Promise<Encoder>
  assessTeacher(teacher: Encoder, data: Dataset, options: QualityOptions): Promise<TeacherQuality>
  /** Settings of a run that must be known before it begins; throws what `distill` throws for settings that do not fit the data. */
  checkSettings(
    dataset: Dataset,
    settings: DistillSettings & Pick<DistillOptions, 'schedule' | 'scheduleEvery' | 'experts'>,
  ): Promise<{ ipc: number; init: InitKind; seed: number; scheduleEvery: number | undefined }>
  evaluate(source: TrainingSource, options: EvaluateOptions): Promise<EvaluationResult[]>
  evaluateModel(model: string, options: Omit<EvaluateModelOptions, 'device'> & { readonly device: DeviceHandle }): Promise<ModelAccuracy>
  exportSet(set: SyntheticSet, options: ExportSetOptions): Promise<ExportedSet>
  /** Trains networks on a set and hands over each as an ONNX model. */
  trainModels(
    set: SyntheticSet,
    options: Omit<TrainingOptions, 'device'> & { readonly device: DeviceHandle },
    onModel: (model: TrainedModel) => Promise<void>,
  ): Promise<void>
  /** Random real images, redrawn for every network. */
  randomBaseline(train: Dataset, ipc: number, seed: number): Promise<(network: number) => SyntheticSet>
  /** Real images chosen by their features under one network trained on all of them. */
  featureBaselines(
    train: Dataset,
    ipc: number,
    names: readonly FeatureSelection[],
    options: Omit<HerdingOptions, 'device'> & { readonly device: DeviceHandle },
  ): Promise<Partial<Record<FeatureSelection, SyntheticSet>>>
  /** The real images of each class with the smallest scores. */
  scoredBaseline(train: Dataset, ipc: number, scores: Float64Array, score: string): Promise<SyntheticSet>
  /** All images of a data set as a set. */
  subsetSet(train: Dataset): Promise<SyntheticSet>
  modelTeacher(
    model: string,
    options: Omit<Parameters<typeof modelTeacher>[1], 'device'> & { readonly device: DeviceHandle },
  ): Promise<Teacher>
  networkTeacher(train: Dataset, options: Omit<NetworkTeacherOptions, 'device'> & { readonly device: DeviceHandle }): Promise<Teacher>
  withSoftLabels(set: SyntheticSetFields, teacher: Teacher): Promise<TrainingImages>
  nearestReal(images: Uint8Array, real: Dataset, device: DeviceHandle): Promise<NearestReal>
  scoreToDirectory(
    dir: string,
    train: Dataset,
    options: Omit<DirectoryOptions, 'device'> & { readonly device: DeviceHandle },
  ): Promise<WrittenScores>
  resumeScoring(
    dir: string,
    train: Dataset,
    options: Omit<ResumeOptions, 'device'> & { readonly device: DeviceHandle },
  ): Promise<WrittenScores | null>
  scoreModel(options: Omit<ScoreModelOptions, 'device'> & { readonly device: DeviceHandle }): Promise<ScoresRecord>
  resumeScoreModel(dir: string, options: Omit<ResumeModelOptions, 'device'> & { readonly device: DeviceHandle }): Promise<ScoresRecord>
  /** Weights of one network of the registry for images [H, W, C] and a number of classes. */
  loadNetwork(path: string, network: string, image: MapShape, classes: number): Promise<NetworkTensors>
  /** With `encoder`, a teacher by its path: opened for this, and disposed of. */
  transfer(
    set: RepresentationSet,
    options: Omit<TransferOptions, 'device' | 'teacher'> & { readonly device: DeviceHandle; readonly encoder?: EncoderChoice },
  ): Promise<TransferCell[]>
  nas(set: SyntheticSet, options: Omit<NasOptions, 'device'> & { readonly device: DeviceHandle }): Promise<NasResult>
  planNas(
    set: SyntheticSet,
    options: Omit<NasOptions, 'device' | 'store'> & { readonly device: DeviceHandle; readonly store: Pick<NasStore, 'find'> },
  ): Promise<NasPlan>
  /** Weights of one network of the registry each, for images of `train`. */
  loadNetworks(paths: readonly string[], network: string, train: Dataset): Promise<NetworkTensors[]>
  /** Throws what `trainExperts` would, before anything is trained. */
  checkExperts(train: Dataset, options: Omit<ExpertsOptions, 'device'> & { readonly device: DeviceHandle }): Promise<void>
  trainExperts(
    dir: string,
    train: Dataset,
    options: Omit<ExpertsOptions, 'device'> & { readonly device: DeviceHandle },
  ): Promise<ExpertStore>
  pretrain(
    dir: string,
    train: Dataset,
    options: Omit<PretrainOptions, 'device'> & { readonly device: DeviceHandle },
  ): Promise<PretrainedTeacher>
  planRun(dataset: Dataset, options: Omit<PlanOptions, 'device'> & { readonly device: DeviceHandle }): Promise<RunPlan>
  planRepresentations(
    dataset: Dataset,
    options: Omit<RepresentationPlanOptions, 'device'> & { readonly device: DeviceHandle },
  ): Promise<RepresentationPlan>
  backends(): Promise<{ readonly cpu: BackendState; readonly cuda: CudaState }>
  /** The version of ONNX Runtime and where it can compute, or why it is not there. */
  onnxRuntime(): Promise<OnnxState>
}

/** A device handle of this module is always the engine's Device: openDevice below is the only place that makes one. */
type EngineOptions<T> = Omit<T, 'device'> & { readonly device: Device }

export const library: Library = {
  openDataset,
  async fitZca(train, options) {
    const { fitZca } = await import('../preprocess/index.js')
    return fitZca(train, options as ZcaOptions)
  },
  async whiten(dataset, whitening, device) {
    const { whiten } = await import('../preprocess/index.js')
    return whiten(dataset, whitening, { device: device as Device })
  },
  async openDevice(options) {
    const { openDevice } = await import('../engine/runtime/open-device.js')
    return openDevice(options)
  },
  async openExperts(dir) {
    const { openExperts } = await import('../experts/index.js')
    return openExperts(dir)
  },
  async distill(dataset, options) {
    const { distill } = await import('../distill/index.js')
    return distill(dataset, options as EngineOptions<DistillOptions>)
  },
  async distillRepresentations(dataset, options) {
    const { distillRepresentations } = await import('../distill/index.js')
    return distillRepresentations(dataset, options as EngineOptions<RepresentationOptions>)
  },
  async openTeacher(path, options) {
    const { openTeacher } = await import('../teachers/index.js')
    return openTeacher(path, options as EncoderOptions)
  },
  async assessTeacher(teacher, data, options) {
    const { assessTeacher } = await import('../teachers/index.js')
    return assessTeacher(teacher, data, options)
  },
  async checkSettings(dataset, settings) {
    const { resolveSettings } = await import('../distill/settings.js')
    const { checkSchedule } = await import('../distill/scheduled-rows.js')
    const resolved = resolveSettings(dataset, settings)
    await checkSchedule(dataset, resolved)
    const { ipc, init, seed, schedule } = resolved
    return { ipc, init, seed, scheduleEvery: schedule?.every }
  },
  async evaluate(source, options) {
    const { evaluate } = await import('../evaluate/index.js')
    return evaluate(source, options as EngineOptions<EvaluateOptions>)
  },
  async evaluateModel(model, options) {
    const { evaluateModel } = await import('../evaluate/index.js')
    return evaluateModel(model, options as EvaluateModelOptions)
  },
  async exportSet(set, options) {
    const { exportSet } = await import('../export/export-set.js')
    return exportSet(set, options)
  },
  async trainModels(set, options, onModel) {
    const { trainModels } = await import('../evaluate/index.js')
    await trainModels(set, options as TrainingOptions, onModel)
  },
  async randomBaseline(train, ipc, seed) {
    const { randomRealSet } = await import('../evaluate/index.js')
    return (network) => randomRealSet(train, ipc, seed, network)
  },
  async featureBaselines(train, ipc, names, options) {
    const { featureCoresets } = await import('../evaluate/index.js')
    return featureCoresets('baselines', train, ipc, names, options as HerdingOptions)
  },
  async scoredBaseline(train, ipc, scores, score) {
    const { scoredSet } = await import('../evaluate/index.js')
    return scoredSet(train, ipc, scores, { score })
  },
  async subsetSet(train) {
    const { subsetSet } = await import('../evaluate/index.js')
    return subsetSet(train)
  },
  async modelTeacher(model, options) {
    const { modelTeacher } = await import('../evaluate/index.js')
    return modelTeacher(model, options as Parameters<typeof modelTeacher>[1])
  },
  async networkTeacher(train, options) {
    const { networkTeacher } = await import('../evaluate/index.js')
    return networkTeacher(train, options as NetworkTeacherOptions)
  },
  async withSoftLabels(set, teacher) {
    const { withSoftLabels } = await import('../evaluate/index.js')
    return withSoftLabels(set, teacher)
  },
  async nearestReal(images, real, device) {
    const { nearestReal } = await import('../evaluate/index.js')
    return nearestReal(images, real, { device: device as Device })
  },
  async scoreToDirectory(dir, train, options) {
    const { scoreToDirectory } = await import('../scoring/score-to-directory.js')
    return scoreToDirectory(dir, train, options as DirectoryOptions)
  },
  async resumeScoring(dir, train, options) {
    const { resumeScoring } = await import('../scoring/score-to-directory.js')
    return resumeScoring(dir, train, options as ResumeOptions)
  },
  async scoreModel(options) {
    const { scoreModel } = await import('../scoring/model/index.js')
    return scoreModel(options as ScoreModelOptions)
  },
  async resumeScoreModel(dir, options) {
    const { resumeScoreModel } = await import('../scoring/model/index.js')
    return resumeScoreModel(dir, options as ResumeModelOptions)
  },
  async loadNetwork(path, name, image, classes) {
    const [{ loadNetwork }, { networkByName }] = await Promise.all([
      import('../export/network-file.js'),
      import('../nn/networks/registry.js'),
    ])
    return loadNetwork(path, networkByName(name, image, classes))
  },
  async transfer(set, { encoder, ...options }) {
    const { transfer } = await import('../transfer/index.js')
    const device = options.device as Device
    if (encoder === undefined) return transfer(set, { ...options, device })
    const { openTeacher } = await import('../teachers/index.js')
    const { path, ...how } = encoder
    const image = set.shape.slice(1) as unknown as MapShape
    const teacher = await openTeacher(path, { ...how, device, image, ...(options.signal && { signal: options.signal }) })
    try {
      return await transfer(set, { ...options, device, teacher })
    } finally {
      await teacher.dispose()
    }
  },
  async nas(set, options) {
    const { nas } = await import('../nas/index.js')
    return nas(set, options as NasOptions)
  },
  async planNas(set, options) {
    const { planNas } = await import('../nas/index.js')
    return planNas(set, options as EngineOptions<typeof options>)
  },
  async loadNetworks(paths, name, train) {
    const [{ loadNetwork }, { networkByName }] = await Promise.all([
      import('../export/network-file.js'),
      import('../nn/networks/registry.js'),
    ])
    const [, height, width, channels] = train.shape
    const network = networkByName(name, [height, width, channels], train.classes.length)
    const loaded: NetworkTensors[] = []
    for (const path of paths) loaded.push(await loadNetwork(path, network))
    return loaded
  },
  async checkExperts(train, options) {
    const { planExperts } = await import('../experts/settings.js')
    planExperts('experts', train, options as ExpertsOptions)
  },
  async trainExperts(dir, train, options) {
    const { trainExperts } = await import('../experts/train-experts.js')
    return trainExperts(dir, train, options as ExpertsOptions)
  },
  async pretrain(dir, train, options) {
    const { pretrain } = await import('../pretrain/index.js')
    return pretrain(dir, train, options as PretrainOptions)
  },
  async planRun(dataset, options) {
    const { planRun } = await import('../plan/plan.js')
    return planRun(dataset, options as EngineOptions<PlanOptions>)
  },
  async planRepresentations(dataset, options) {
    const { planRepresentations } = await import('../plan/representations.js')
    return planRepresentations(dataset, options as EngineOptions<RepresentationPlanOptions>)
  },
  async onnxRuntime() {
    const { RuntimeProcess } = await import('../onnx/index.js')
    try {
      const runtime = await RuntimeProcess.open()
      runtime.close()
      return { available: true, version: runtime.version, providers: runtime.providers }
    } catch (error) {
      if (!(error instanceof AludelError)) throw error
      return { available: false, reason: error.message }
    }
  },
  async backends() {
    const [{ binding }, { Device }] = await Promise.all([import('../engine/runtime/binding.js'), import('../engine/runtime/device.js')])
    let cuda: CudaState | undefined
    try {
      cuda = cudaState(binding())
      // a device, not info(), says which instruction set is in use: it honours what the environment forces
      const device = await Device.open({ device: 'cpu', threads: 1 })
      await device.close()
      return { cpu: { available: true, isa: device.isa, isas: binding().info().isas }, cuda }
    } catch (error) {
      if (!(error instanceof AludelError)) throw error
      const reason = error.message
      return { cpu: { available: false, reason }, cuda: cuda ?? { available: false, built: false, reason, driver: null, toolkit: null } }
    }
  },
}

function cudaState(addon: NativeBinding): CudaState {
  const { built, reason, driver, toolkit, devices } = addon.surveyCuda()
  const version = (number: number) => `${Math.floor(number / 1000)}.${Math.floor((number % 1000) / 10)}`
  const versions = { driver: driver > 0 ? version(driver) : null, toolkit: toolkit > 0 ? version(toolkit) : null }
  if (reason !== '') return { available: false, built, reason, ...versions }
  return { available: true, driver: version(driver), toolkit: version(toolkit), devices, libraries: addon.surveyCudaLibraries() }
}
