/** @file What a pretraining is asked for, checked before anything is trained, with every default resolved, and as its record keeps it. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { arithmeticOf } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import type { RunConfig } from '../experiment/types.js'
import type { MapShape } from '../nn/module.js'
import { type Backbone, backboneOf } from '../teachers/backbone.js'
import { type TeacherRecord, teacherFormat, teacherVersion } from '../teachers/record.js'
import { lossNumbers, type Objective, objectives, recipes, usual } from './recipes.js'
import type { ViewPolicy } from './view-draws.js'

export interface PretrainOptions {
  readonly device: Device
  /** Default 'barlow-twins'. */
  readonly objective?: Objective
  /** Registry name; default 'resnet18-krr'. Its last linear layer is left out. */
  readonly network?: string
  /** Default 1000. */
  readonly epochs?: number
  /** Images of a step, each seen twice; what is left of an epoch waits for the next. Default 256. */
  readonly batch?: number
  /** Learning rate of a batch of 256; the rate of the training is `lr` batch / 256. Default: of the objective. */
  readonly lr?: number
  readonly weightDecay?: number
  /** Epochs of linear warm-up; default 10, a tenth of shorter trainings. */
  readonly warmupEpochs?: number
  /** Widths of the projector's layers. Default: of the objective. */
  readonly projector?: readonly number[]
  /** Of BYOL's predictor. */
  readonly predictor?: readonly number[]
  /** Of SimCLR; default 0.2. */
  readonly temperature?: number
  readonly seed?: number
  /** Seconds between two checkpoints, default 120; 0: after every chunk of steps. The bytes do not depend on it. */
  readonly checkpointSeconds?: number
  /** The data as the user named it, for a continuation. */
  readonly specification?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: PretrainProgress) => void
}

export interface PretrainProgress {
  /** Steps done and in all; `found` of them before this process began. */
  readonly done: number
  readonly total: number
  readonly found: number
  /** In training, from 1, and of how many. */
  readonly epoch: number
  readonly epochs: number
  /** Of the newest step. */
  readonly loss: number
  /** How far apart the representations of a batch lie on the unit sphere: 0 when all are alike, 1 at most. */
  readonly spread: number
  /** Images trained on since this process began, and the seconds that it took. */
  readonly images: number
  readonly seconds: number
}

/** What the directory holds from the first step on; the record of the teacher without what the training gives. */
export type PretrainRecord = Omit<TeacherRecord, 'losses' | 'spreads' | 'weights'> & {
  readonly specification: string | null
}

export interface PretrainPlan {
  readonly objective: Objective
  readonly backbone: Backbone
  readonly projector: readonly number[]
  readonly projectorNorm: boolean
  readonly predictor: readonly number[]
  readonly views: readonly [ViewPolicy, ViewPolicy]
  readonly epochs: number
  readonly batch: number
  readonly stepsPerEpoch: number
  /** As the steps use it. */
  readonly rate: { readonly lr: number; readonly warmupLr: number; readonly warmup: number }
  readonly weightDecay: number
  readonly temperature: number
  readonly seed: number
  readonly checkpointSeconds: number
  readonly record: PretrainRecord
}

const known: Readonly<Record<keyof PretrainOptions, true>> = {
  ...{ device: true, objective: true, network: true, epochs: true, batch: true, lr: true, weightDecay: true, warmupEpochs: true },
  ...{
    projector: true,
    predictor: true,
    temperature: true,
    seed: true,
    checkpointSeconds: true,
    specification: true,
    signal: true,
    onProgress: true,
  },
}

/** Throws `invalid_option`, `not_found` for a network that is none. */
export function planPretrain(train: Dataset, options: PretrainOptions): PretrainPlan {
  const what = 'pretrain'
  checkOptions<PretrainOptions>(what, options, known)
  const { device, objective = 'barlow-twins', network = 'resnet18-krr', seed = 0, specification = null } = options
  checkDevice(what, device)
  checkSignal(what, options.signal)
  checkCallback(`${what}: onProgress`, options.onProgress)
  checkSeed(`${what}: seed`, seed)
  const { checkpointSeconds = 120 } = options
  if (!Number.isFinite(checkpointSeconds) || checkpointSeconds < 0)
    throw expected('invalid_option', `${what}: checkpointSeconds`, 'a number >= 0', checkpointSeconds)
  if (!objectives.includes(objective)) throw expected('invalid_option', `${what}: objective`, `one of ${objectives.join(', ')}`, objective)
  if (typeof network !== 'string') throw expected('invalid_option', `${what}: network`, 'the name of a network', network)
  if (train.whitened) throw new AludelError('invalid_option', `${what}: views are made of raw pixels; give the data without --zca`)
  // the bytes of a streamed set are not here: better said before the directory is made
  if (train.pixels) void train.images
  const recipe = recipes[objective]
  const [samples, height, width, channels] = train.shape
  const image: MapShape = [height, width, channels]
  const backbone = backboneOf(network, image)
  const epochs = wholeNumber(`${what}: epochs`, options.epochs ?? usual.epochs)
  const batch = Math.min(samples, wholeNumber(`${what}: batch`, options.batch ?? usual.batch, 2))
  if (batch < 2) throw expected('invalid_option', `${what}: data`, 'two images or more', samples)
  const stepsPerEpoch = Math.floor(samples / batch)
  const warmupEpochs = wholeNumber(
    `${what}: warmupEpochs`,
    options.warmupEpochs ?? Math.min(usual.warmupEpochs, Math.floor(epochs / 10)),
    0,
  )
  if (warmupEpochs > epochs) throw expected('invalid_option', `${what}: warmupEpochs`, `at most ${epochs}, the epochs`, warmupEpochs)
  const lr = positive(what, 'lr', options.lr ?? recipe.lr)
  const weightDecay = options.weightDecay ?? recipe.weightDecay
  if (!Number.isFinite(weightDecay) || weightDecay < 0)
    throw expected('invalid_option', `${what}: weightDecay`, 'a number >= 0', weightDecay)
  const projector = widths(what, 'projector', options.projector ?? recipe.projector)
  const predictor = predictorOf(what, objective, options.predictor)
  if (objective !== 'simclr' && options.temperature !== undefined)
    throw expected('invalid_option', `${what}: temperature`, "nothing beside another objective than 'simclr'", options.temperature)
  const temperature = positive(what, 'temperature', options.temperature ?? lossNumbers.simclr.temperature)
  const views = recipe.views.map((view) => ({ ...view, flip: train.flip ? view.flip : 0 })) as unknown as PretrainPlan['views']
  const config: RunConfig = {
    ...{ epochs, batch, lr, weightDecay, warmupEpochs, projector: [...projector], predictor: [...predictor] },
    ...{ ...(objective === 'simclr' && { temperature }), flip: train.flip, seed },
  }
  const { name, split, sha256, mean, std } = train
  const record: PretrainRecord = {
    ...{ format: teacherFormat, version: teacherVersion, objective, network, image, dim: backbone.dim, mean: [...mean], std: [...std] },
    data: { name, split, sha256, samples },
    ...{ config, arithmetic: arithmeticOf(device), specification },
  }
  const rate = { lr: (lr * batch) / usual.batch, warmupLr: usual.warmupLr, warmup: warmupEpochs * stepsPerEpoch }
  return {
    ...{ objective, backbone, projector, projectorNorm: recipe.projectorNorm, predictor, views, epochs, batch, stepsPerEpoch },
    ...{ rate, weightDecay, temperature, seed, checkpointSeconds, record },
  }
}

function positive(what: string, name: string, value: unknown): number {
  if (typeof value === 'number' && Number.isFinite(value) && value > 0) return value
  throw expected('invalid_option', `${what}: ${name}`, 'a number > 0', value)
}

function widths(what: string, name: string, list: unknown): readonly number[] {
  if (Array.isArray(list) && list.length > 0 && list.every((width) => Number.isSafeInteger(width) && width >= 1)) return list
  throw expected('invalid_option', `${what}: ${name}`, 'a list of whole numbers >= 1', list)
}

/** The predictor ends where the projector does. */
function predictorOf(what: string, objective: Objective, given: readonly number[] | undefined): readonly number[] {
  if (objective !== 'byol') {
    if (given !== undefined) throw expected('invalid_option', `${what}: predictor`, "nothing beside another objective than 'byol'", given)
    return []
  }
  return widths(what, 'predictor', given ?? recipes.byol.predictor)
}
