/** @file What experts are asked for, checked before anything is trained, with every default resolved, and as the record of their store keeps it. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, isRecord, wholeNumber } from '../arguments.js'
import { type AugmentPolicy, parseAugment } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import { arithmeticOf } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { networksTogether } from '../evaluate/schedule.js'
import type { RunConfig, Shard } from '../experiment/types.js'
import { type MapShape, type Network, parameterCount } from '../nn/module.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { checkGsam, type GsamOptions } from '../optim/gsam.js'
import { checkDataSchedule, type DataSchedule } from '../schedule/data-schedule.js'
import { type ExpertsRecord, expertsFormat, expertsVersion } from './record.js'
import { keptEpochs } from './store.js'

export interface ExpertsOptions {
  readonly device: Device
  /** Registry name of a network without batch norm; default 'convnet'. */
  readonly network?: string
  /** Experts of the store; default 10. A store can be given more later. */
  readonly experts?: number
  /** Epochs of each; default 50. */
  readonly epochs?: number
  /** Default 'sgd'; 'gsam' takes two passes a step. */
  readonly optimizer?: 'sgd' | 'gsam'
  /** Of 'gsam'; default rho 0.01, alpha 0.3, adaptive, as DATM and PAD. */
  readonly gsam?: Partial<GsamOptions>
  /** Learning rate, the same in every epoch; default 0.01. */
  readonly lr?: number
  /** Default 0, as every method of the family. */
  readonly momentum?: number
  readonly weightDecay?: number
  /** Rows of a step; the last one of an epoch may have fewer. Default 256. */
  readonly batch?: number
  /** Default 'dsa'. */
  readonly augment?: string
  /** Epochs whose parameters are kept, both included; the last one always is. Default all, 0 (the initialisation) included. */
  readonly keepEpochs?: { readonly from: number; readonly to: number }
  /** Which rows every epoch trains on; default all. */
  readonly schedule?: DataSchedule
  /**
   * Networks of one program. Default by shapes: so many that a step has 128 rows, 8 at most, which is 1 for batches of 128 rows and more. The
   * bits of an expert depend on it, and not on which others are trained.
   */
  readonly together?: number
  /** Train this part of the experts only: other processes may train the others into the same store meanwhile. */
  readonly shard?: Shard
  readonly seed?: number
  /** The data as the user named it, for a continuation. */
  readonly specification?: string
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: ExpertsProgress) => void
}

export interface ExpertsProgress {
  /** Steps done and in all, of this call's part of the experts; those found done included. */
  readonly done: number
  readonly total: number
  /** Steps found done. */
  readonly found: number
  /** First and last of the experts in training. */
  readonly experts: readonly [number, number]
  /** The epoch in training, from 1, and of how many. */
  readonly epoch: number
  readonly epochs: number
  /** Means over the experts in training, of the last epoch that is done: cross-entropy, and accuracy in per cent on the augmented images. */
  readonly loss?: number
  readonly accuracy?: number
  /** Images trained on since this process began, and the seconds that it took. */
  readonly images: number
  readonly seconds: number
}

const known: Readonly<Record<keyof ExpertsOptions, true>> = {
  ...{ device: true, network: true, experts: true, epochs: true, optimizer: true, gsam: true, lr: true, momentum: true, weightDecay: true },
  ...{ batch: true, augment: true, keepEpochs: true, schedule: true, together: true, shard: true, seed: true, specification: true },
  ...{ signal: true, onProgress: true },
}

export interface ExpertsPlan {
  readonly network: Network
  readonly policy: AugmentPolicy
  readonly gsam: GsamOptions | undefined
  readonly lr: number
  readonly momentum: number
  readonly weightDecay: number
  readonly batch: number
  readonly together: number
  readonly seed: number
  readonly schedule: DataSchedule | undefined
  /** As a new store begins. */
  readonly record: ExpertsRecord
}

/** GSAM of DATM and PAD (specification of the family, section 3). */
export const usualGsam: GsamOptions = { rho: 0.01, alpha: 0.3, adaptive: true }

const mostTogether = 8

/** Throws `invalid_option`, `not_found` for a network that is none. */
export function planExperts(what: string, train: Dataset, options: ExpertsOptions): ExpertsPlan {
  checkOptions<ExpertsOptions>(what, options, known)
  const { device, network: name = 'convnet', optimizer = 'sgd', augment = 'dsa', schedule, seed = 0, specification = null } = options
  checkDevice(what, device)
  checkSignal(what, options.signal)
  checkCallback(`${what}: onProgress`, options.onProgress)
  checkSeed(`${what}: seed`, seed)
  checkLabelled(what, train)
  const whole = (key: 'experts' | 'epochs' | 'batch' | 'together', usual: number) => wholeNumber(`${what}: ${key}`, options[key] ?? usual)
  const [experts, epochs, batch] = [whole('experts', 10), whole('epochs', 50), whole('batch', 256)]
  const lr = rate(what, 'lr', options.lr ?? 0.01, (value) => value > 0, 'a number > 0')
  const momentum = rate(what, 'momentum', options.momentum ?? 0, (value) => value >= 0 && value < 1, 'a number in [0, 1)')
  const weightDecay = rate(what, 'weightDecay', options.weightDecay ?? 0, (value) => value >= 0, 'a number >= 0')
  const gsam = gsamOf(what, optimizer, options.gsam)
  if (typeof name !== 'string') throw expected('invalid_option', `${what}: network`, 'the name of a network', name)
  if (typeof augment !== 'string') throw expected('invalid_option', `${what}: augment`, 'a policy such as none or dsa', augment)
  const image = train.shape.slice(1) as unknown as MapShape
  const network = withoutStatistics(what, resolveNetwork(name, image, train.classes.length))
  if (train.classes.length < 2) throw expected('invalid_option', `${what}: data`, 'two classes or more', train.classes.length)
  checkSchedule(what, schedule, epochs)
  const together = whole('together', Math.min(mostTogether, networksTogether(mostTogether, Math.min(batch, train.shape[0]))))
  const config: RunConfig = {
    ...{ optimizer, lr, momentum, weightDecay },
    ...(gsam && { rho: gsam.rho, alpha: gsam.alpha, adaptive: gsam.adaptive }),
    ...{ batch, augment, flip: train.flip, together, seed },
  }
  const { part, whitened } = train
  const record: ExpertsRecord = {
    ...{ format: expertsFormat, version: expertsVersion, network: name, image, classes: [...train.classes] },
    data: { name: train.name, split: train.split, sha256: train.sha256, samples: train.shape[0] },
    ...{ mean: [...train.mean], std: [...train.std] },
    ...(part && { subsetSha256: part.subset }),
    ...(whitened && { zca: { order: whitened.whitening.order, eps: whitened.whitening.eps, sha256: whitened.whitening.sha256 } }),
    ...{ parameters: parameterCount(network), epochs, kept: keptEpochs(`${what}: keepEpochs`, epochs, options.keepEpochs), experts },
    ...{ config, schedule: schedule ? { name: schedule.name, ...schedule.config } : { name: 'none' } },
    ...{ arithmetic: arithmeticOf(device), specification },
  }
  return { network, policy: parseAugment(augment, train.flip), gsam, lr, momentum, weightDecay, batch, together, seed, schedule, record }
}

function rate(what: string, name: string, value: unknown, holds: (value: number) => boolean, wanted: string): number {
  if (typeof value === 'number' && Number.isFinite(value) && holds(value)) return value
  throw expected('invalid_option', `${what}: ${name}`, wanted, value)
}

function gsamOf(what: string, optimizer: unknown, given: Partial<GsamOptions> | undefined): GsamOptions | undefined {
  if (optimizer !== 'sgd' && optimizer !== 'gsam') throw expected('invalid_option', `${what}: optimizer`, "'sgd' or 'gsam'", optimizer)
  if (optimizer === 'sgd') {
    if (given !== undefined) throw expected('invalid_option', `${what}: gsam`, "nothing beside optimizer 'sgd'", given)
    return undefined
  }
  if (given !== undefined && !isRecord(given)) throw expected('invalid_option', `${what}: gsam`, '{ rho, alpha, adaptive }', given)
  return checkGsam(`${what}: gsam`, { ...usualGsam, ...given })
}

/** A checkpoint holds parameters only: running statistics would be missing from it. */
function withoutStatistics(what: string, network: Network): Network {
  if (network.state.length === 0) return network
  throw new AludelError(
    'invalid_option',
    `${what}: network '${network.name}' has batch statistics, which a checkpoint does not hold; take one without batch norm, such as convnet`,
  )
}

function checkSchedule(what: string, schedule: DataSchedule | undefined, epochs: number): void {
  if (schedule === undefined) return
  checkDataSchedule(`${what}: schedule`, schedule)
  for (const epoch of [0, epochs - 1]) {
    const chosen = schedule.rows(epoch)
    if (chosen instanceof Int32Array && chosen.length > 0) continue
    throw expected('invalid_option', `${what}: schedule`, 'an Int32Array of rows for every epoch', chosen)
  }
}
