/** @file What a scoring is asked for, checked before anything is computed, with every default resolved. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, isRecord, wholeNumber } from '../arguments.js'
import { type AugmentPolicy, parseAugment } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { protocol } from '../evaluate/schedule.js'
import type { CheckpointStore, RunConfig } from '../experiment/types.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { MapShape, Network } from '../nn/module.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import type { EpochWindow } from '../scores/epoch-window.js'
import { type NeverLearned, neverLearnedRules } from '../scores/forgetting.js'
import { type ScoreName, scoreNames } from '../scores/registry.js'

/** Scores that are taken of one epoch, the one that the option `epoch` names. */
export const snapshotKinds = ['el2n', 'margin', 'marginTrue', 'entropy', 'leastConfidence'] as const
/** Scores computed from the inputs of the last layer after the last epoch. */
export const featureKinds = ['prototypicality', 'selfPrototypicality', 'moderate'] as const

export interface ScoringProgress {
  /** Share of the work that is done, in [0, 1]. */
  readonly done: number
  /** Number of the network, from 0, and of how many. */
  readonly run: number
  readonly runs: number
  /** What is computed. */
  readonly phase: 'training' | 'outputs' | 'gradients' | 'features'
  /** Of training and outputs: the epoch, from 0, and of how many. */
  readonly epoch?: number
  readonly epochs?: number
  /** Mean cross-entropy of the last training step. */
  readonly loss?: number
  /** Images that went through networks since this process began, and the seconds that it took. */
  readonly images: number
  readonly seconds: number
}

export interface ScoreDatasetOptions<K extends ScoreName = ScoreName> {
  readonly device: Device
  /** Names of the scores, as `scoreNames` has them; one training serves all. */
  readonly kinds: readonly K[]
  /** Registry name, or a network of your own; default 'convnet'. */
  readonly network?: string | Network
  /** Networks trained from scratch, each on all images; default 5. Scores are means over them, forgetting events sums. */
  readonly runs?: number
  /** Passes over the images of each; default 5. */
  readonly epochs?: number
  /** Learning rate, the same in every epoch; default 0.01. Momentum 0.9, weight decay 5e-4, batches of 256, as everywhere here. */
  readonly lr?: number
  /** Augmentation while training; default 'none'. Scores are of clean images either way. */
  readonly augment?: string
  readonly seed?: number
  /** Epochs, counted from 0, that `loss` is the mean over; default all. `lossInit` and `lossConverge` make those of BiLP. */
  readonly window?: EpochWindow
  /** Epoch, counted from 0, after which el2n, margin, marginTrue, entropy and leastConfidence are taken; default the last. */
  readonly epoch?: number
  /** What samples that a network never had right count as in `forgetting`; 'infinity' is runs times epochs + 1, above all others. */
  readonly neverLearned?: NeverLearned
  /** Also return features and logits of the last network, for rules that choose sets. */
  readonly features?: boolean
  /** Networks to score with in place of training some: `network` with these tensors each. Not for `forgetting`. */
  readonly weights?: readonly NetworkTensors[]
  /** Go on where a network is hardly better than chance on the very images it was trained on; default false: an error. */
  readonly allowChance?: boolean
  /** Where the state is kept after every epoch: a scoring goes on from there, to the same bits. */
  readonly checkpoints?: CheckpointStore
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: ScoringProgress) => void
  /** Hears of every network once it is trained, before the next begins; again after a continuation that began there. */
  readonly onNetwork?: (network: number, tensors: NetworkTensors) => void | Promise<void>
}

const known: Readonly<Record<keyof ScoreDatasetOptions, true>> = {
  ...{ device: true, kinds: true, network: true, runs: true, epochs: true, lr: true, augment: true, seed: true, window: true },
  ...{ epoch: true, neverLearned: true, features: true, weights: true, allowChance: true, checkpoints: true, signal: true },
  ...{ onProgress: true, onNetwork: true },
}

export interface ScoringPlan {
  readonly kinds: readonly ScoreName[]
  readonly network: Network
  readonly networkName: string
  readonly runs: number
  /** Output passes of each network: one after every epoch; 1 for networks that are given. */
  readonly epochs: number
  readonly lr: number
  readonly policy: AugmentPolicy
  readonly augment: string
  readonly seed: number
  readonly window: EpochWindow
  readonly epoch: number
  readonly neverLearned: NeverLearned
  readonly features: boolean
  readonly weights: readonly NetworkTensors[] | undefined
  readonly allowChance: boolean
}

/** Throws `invalid_option`, `not_found` for a network that is none. */
export function planScoring(train: Dataset, options: ScoreDatasetOptions): ScoringPlan {
  const what = 'scoreDataset'
  checkOptions<ScoreDatasetOptions>(what, options, known)
  const {
    device,
    network: choice = 'convnet',
    lr = protocol.lr,
    augment = 'none',
    seed = 0,
    weights,
    neverLearned = 'presentations',
  } = options
  const { features = false, allowChance = false } = options
  checkDevice(what, device)
  checkSignal(what, options.signal)
  checkCallback(`${what}: onProgress`, options.onProgress)
  checkCallback(`${what}: onNetwork`, options.onNetwork)
  const kinds = checkKinds(what, options.kinds)
  if (weights !== undefined) checkGiven(what, options, kinds)
  const runs = weights?.length ?? wholeNumber(`${what}: runs`, options.runs ?? 5)
  const epochs = weights ? 1 : wholeNumber(`${what}: epochs`, options.epochs ?? 5)
  if (typeof lr !== 'number' || !(lr > 0) || !Number.isFinite(lr)) throw expected('invalid_option', `${what}: lr`, 'a number > 0', lr)
  if (typeof augment !== 'string') throw expected('invalid_option', `${what}: augment`, 'a policy such as none or dsa', augment)
  for (const [name, value] of Object.entries({ features, allowChance })) {
    if (typeof value !== 'boolean') throw expected('invalid_option', `${what}: ${name}`, 'true or false', value)
  }
  if (!neverLearnedRules.includes(neverLearned))
    throw expected('invalid_option', `${what}: neverLearned`, neverLearnedRules.join(', '), neverLearned)
  checkSeed(`${what}: seed`, seed)
  const window = checkWindow(what, options.window ?? { from: 0, to: epochs }, epochs)
  const epoch = wholeNumber(`${what}: epoch`, options.epoch ?? epochs - 1, 0)
  if (epoch >= epochs) throw expected('invalid_option', `${what}: epoch`, `one of 0 to ${epochs - 1}`, epoch)
  checkLabelled(what, train)
  if (train.classes.length < 2) throw expected('invalid_option', `${what}: data`, 'two classes or more', train.classes.length)
  const network = resolveNetwork(choice, train.shape.slice(1) as unknown as MapShape, train.classes.length)
  return {
    ...{ kinds, network, runs, epochs, lr, augment, seed, window, epoch, neverLearned, features, weights, allowChance },
    networkName: typeof choice === 'string' ? choice : choice.name,
    policy: parseAugment(augment, train.flip),
  }
}

function checkKinds(what: string, kinds: unknown): ScoreName[] {
  const wanted = `some of ${scoreNames.join(', ')}`
  if (!Array.isArray(kinds) || kinds.length === 0) throw expected('invalid_option', `${what}: kinds`, wanted, kinds)
  for (const kind of kinds) if (!scoreNames.includes(kind)) throw expected('invalid_option', `${what}: kinds`, wanted, kind)
  return [...new Set(kinds)]
}

/** Settings of a training say nothing where networks are given. */
function checkGiven(what: string, options: ScoreDatasetOptions, kinds: readonly ScoreName[]): void {
  const { weights } = options
  if (!Array.isArray(weights) || weights.length === 0 || !weights.every(isRecord))
    throw expected('invalid_option', `${what}: weights`, 'tensors of at least one network', weights)
  for (const name of ['runs', 'epochs', 'lr', 'augment', 'window', 'epoch', 'neverLearned'] as const) {
    if (options[name] !== undefined)
      throw expected('invalid_option', `${what}: ${name}`, 'nothing beside networks that are given', options[name])
  }
  if (kinds.includes('forgetting'))
    throw new AludelError('invalid_option', `${what}: forgetting counts what happens while networks train; networks that are given do not`)
}

function checkWindow(what: string, window: EpochWindow, epochs: number): EpochWindow {
  const { from, to } = (isRecord(window) ? window : {}) as Partial<EpochWindow>
  const whole = Number.isSafeInteger(from) && Number.isSafeInteger(to)
  if (whole && Number(from) >= 0 && Number(from) < Number(to) && Number(to) <= epochs) return { from: Number(from), to: Number(to) }
  throw expected('invalid_option', `${what}: window`, `{ from, to } in whole epochs with 0 <= from < to <= ${epochs}`, window)
}

/** Every setting that decides the bits of the scores, for records and continuations. */
export function configOf(plan: ScoringPlan, train: Dataset): RunConfig {
  const { kinds, networkName, runs, epochs, lr, augment, seed, window, epoch, neverLearned, features, weights } = plan
  return {
    ...{ kinds: [...kinds], network: networkName, runs, seed, features },
    ...(weights ? {} : { epochs, lr, augment, window: [window.from, window.to], epoch, neverLearned }),
    data: train.sha256,
    whitening: train.whitened?.whitening.sha256 ?? null,
  }
}
