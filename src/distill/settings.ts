/** @file Settings of a run: checked, completed from the method's preset, and refused with the reason when they do not fit the data. */

import { checkDevice, checkOptions, checkSeed, checkSignal, isRecord, wholeNumber } from '../arguments.js'
import { type AugmentPolicy, parseAugment } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import type { Whitening } from '../data/whitening.js'
import { AludelError, expected } from '../errors.js'
import type { DistillOptions, DistillSettings, OnDivergence, RunConfig } from '../experiment/types.js'
import type { ExpertStore } from '../experts/store.js'
import type { Network } from '../nn/module.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { checkClassGroup, checkSeparable } from './class-groups.js'
import { type DynamicSettings, dynamicConfig, resolveDynamic } from './dynamic/settings.js'
import { type InitKind, type Method, presetByName } from './method.js'
import { completeOptions, type MethodOptions } from './method-options.js'
import { checkLatentRun, checkParametrisation, type Parametrisation } from './parametrise.js'
import { methodByName, representationMethodNames } from './registry.js'
import { checkRegression, checkSeveralClasses, solveSteps } from './regression/check-settings.js'
import { checkValidation } from './regression/held-out.js'
import { type RunSchedule, resolveSchedule, scheduleConfig } from './scheduled-rows.js'
import { checkShard, type Shard, shardText } from './shard.js'
import { checkExpertsFit, expertsConfig } from './trajectory/check-experts.js'
import { checkStart } from './trajectory/start.js'

export interface ResolvedSettings {
  readonly method: Method
  readonly network: Network
  readonly ipc: number
  readonly iterations: number
  readonly realBatch: number
  readonly imageLr: number
  /** Of every other rate of the outer step, what a run that went back has left; default 1. */
  readonly rateShare?: number
  readonly imageMomentum: number
  readonly init: InitKind
  readonly augment: AugmentPolicy
  readonly seed: number
  readonly onDivergence: OnDivergence
  readonly methodOptions: MethodOptions
  /** Absent without dynamic pruning. */
  readonly dynamic?: DynamicSettings
  /** Classes of one replay; absent where their number follows from shapes. */
  readonly classGroup?: number
  /** The part of the classes that this run distils; absent for all. */
  readonly shard?: Shard
  /** Absent where the pixels themselves are optimised. */
  readonly parametrise?: Parametrisation
  /** What a method of trajectory matching reads; absent for others, and where a run is only planned. */
  readonly experts?: ExpertStore
  /** What real batches are drawn by; absent where they come from all rows. */
  readonly schedule?: RunSchedule
  /** The same as JSON values, for run.json and the manifest. */
  readonly config: RunConfig
}

const optionNames: Readonly<Record<keyof DistillOptions, true>> = {
  ...{ method: true, ipc: true, iterations: true, realBatch: true, imageLr: true, init: true, augment: true },
  ...{ network: true, seed: true, preset: true, methodOptions: true, device: true, signal: true },
  ...{ checkpoints: true, checkpointEvery: true, onDivergence: true, dynamic: true },
  ...{ classGroup: true, shard: true, parametrise: true, experts: true, schedule: true, scheduleEvery: true },
}

/** Throws `invalid_option` for options that are no object, a name that is not known, and what is no device or signal. */
export function checkDistillOptions(options: DistillOptions): void {
  checkOptions('distill', options, optionNames)
  checkDevice('distill', options.device)
  checkSignal('distill', options.signal)
}

export function resolveSettings(
  dataset: Dataset,
  settings: DistillSettings & Pick<DistillOptions, 'parametrise' | 'experts' | 'schedule' | 'scheduleEvery'>,
): ResolvedSettings {
  const method = methodByName(settings.method)
  if (representationMethodNames.includes(method.name)) {
    const todo = 'call distillRepresentations with n and teacher (on the command line: --n and --teacher)'
    throw new AludelError('invalid_option', `method: ${method.name} reads no labels and gives representations: ${todo}`)
  }
  checkLabelled(`method ${method.name}`, dataset)
  const ipc = wholeNumber('ipc', settings.ipc)
  const [, height, width, channels] = dataset.shape
  const image = [height, width, channels] as const
  const { name: presetName, preset } = presetByName(method, settings.preset)
  const smallest = Math.min(...dataset.classes.map((_, c) => dataset.classIndices(c).length))
  const defaults = preset.settings({ ipc, image, data: dataset.name, classes: dataset.classes.length, smallest })
  const choice = orDefault(settings.network, defaults.network)
  const network = resolveNetwork(choice, [height, width, channels], dataset.classes.length)
  const methodOptions = resolveOptions(method, defaults.options, settings.methodOptions, network)
  const realBatch = resolveRealBatch(method, settings.realBatch, defaults.realBatch)
  const solving = solveSteps(method, methodOptions, { images: dataset.shape[0], n: dataset.classes.length * ipc, realBatch }, settings)
  const wanted = wholeNumber('iterations', orDefault(settings.iterations, solving ?? defaults.iterations))
  const iterations = Math.min(wanted, solving ?? wanted)
  const imageLr = orDefault(settings.imageLr, defaults.imageLr)
  if (!(Number.isFinite(imageLr) && imageLr > 0)) throw expected('invalid_option', 'imageLr', 'a number > 0', imageLr)
  const init = resolveInit(method, orDefault(settings.init, defaults.init))
  if ('trajectory' in method) checkStart(init, methodOptions.labels)
  const augmentText = orDefault(settings.augment, defaults.augment)
  const augment = parseAugment(augmentText, dataset.flip)
  const seed = checkSeed('seed', orDefault(settings.seed, 0))
  const onDivergence = orDefault(settings.onDivergence, 'stop')
  if (onDivergence !== 'stop' && onDivergence !== 'rollback') {
    throw expected('invalid_option', 'onDivergence', "'stop' or 'rollback'", onDivergence)
  }
  const dynamic = settings.dynamic === undefined ? undefined : resolveDynamic(settings.dynamic, method, network)
  const schedule = resolveSchedule(settings, { method, iterations, dynamic: dynamic !== undefined })
  if ('regression' in method) {
    checkRegression(method, settings)
    checkSeveralClasses(method, dataset)
    const { validation } = method.regression(methodOptions)
    if (validation) checkValidation(dataset, validation, { ipc, init })
  }
  const parts = resolveParts(dataset, settings, { method, network, onDivergence, dynamic: dynamic !== undefined })
  checkClasses(dataset, ipc, init)
  checkSize(dataset, ipc)
  const { imageMomentum } = defaults
  const parametrise =
    settings.parametrise === undefined ? undefined : checkParametrisation(settings.parametrise, dataset.classes.length * ipc, image)
  if (parametrise) {
    const inParts = parts.classGroup !== undefined || parts.shard !== undefined
    checkLatentRun({ trainsOnImages: !('loss' in method), dynamic: dynamic !== undefined, parts: inParts })
  }
  const { experts } = settings
  if (experts !== undefined) {
    if (!('trajectory' in method)) throw new AludelError('invalid_option', `experts: ${method.name} reads none; leave them out`)
    checkExpertsFit(experts, {
      network: typeof choice === 'string' ? choice : network,
      dataset,
      settings: method.trajectory(methodOptions),
    })
  }
  const config: RunConfig = {
    method: method.name,
    preset: presetName,
    ipc,
    iterations,
    realBatch,
    imageLr,
    imageMomentum,
    init,
    augment: augmentText,
    network: typeof choice === 'string' ? choice : choice.name,
    seed,
    onDivergence,
    data: dataset.name,
    dataSha256: dataset.sha256,
    ...(dataset.part && { subsetSha256: dataset.part.subset }),
    ...methodOptions,
    ...(dynamic && dynamicConfig(dynamic)),
    ...(dataset.whitened && zcaConfig(dataset.whitened.whitening)),
    ...(parts.classGroup !== undefined && { classGroup: parts.classGroup }),
    ...(parts.shard && { shard: shardText(parts.shard) }),
    ...(parametrise && { parametrise: parametrise.name }),
    ...(experts && expertsConfig(experts)),
    ...(schedule && scheduleConfig(schedule)),
  }
  const general = { ipc, iterations, realBatch, imageLr, imageMomentum, init, augment, seed, onDivergence }
  return {
    method,
    network,
    ...general,
    methodOptions,
    ...(dynamic && { dynamic }),
    ...parts,
    ...(parametrise && { parametrise }),
    ...(experts && { experts }),
    ...(schedule && { schedule }),
    config,
  }
}

/** Throws `invalid_option` for a batch of a method that takes no real images. */
function resolveRealBatch(method: Method, given: number | undefined, preset: number): number {
  if (!('trajectory' in method)) return wholeNumber('realBatch', orDefault(given, preset))
  if (given === undefined) return 0
  throw new AludelError('invalid_option', `realBatch: ${method.name} takes no real images in its steps, the experts saw them; leave it out`)
}

function resolveInit(method: Method, init: InitKind): InitKind {
  const known: readonly InitKind[] = 'trajectory' in method ? ['real', 'noise', 'predicted'] : ['real', 'noise']
  if (known.includes(init)) return init
  const why = init === 'predicted' ? `, since ${method.name} has no experts that predict` : ''
  throw expected('invalid_option', 'init', known.map((name) => `'${name}'`).join(' or ') + why, init)
}

/** What the classes are cut into, where they can be, and whether their rows can be read from the disk. */
function resolveParts(
  dataset: Dataset,
  { classGroup, shard }: DistillSettings,
  run: { method: Method; network: Network; onDivergence: OnDivergence; dynamic: boolean },
): Pick<ResolvedSettings, 'classGroup' | 'shard'> {
  const classes = dataset.classes.length
  if (dataset.pixels && ('distance' in run.method || 'regression' in run.method || run.dynamic)) {
    const what = run.dynamic
      ? 'dynamic pruning compacts its batches from rows'
      : `${run.method.name} draws its batches class by class from rows`
    const todo = `open it with resident=yes, which takes ${dataset.pixels.bytes} bytes`
    throw new AludelError(
      'invalid_option',
      `data set '${dataset.name}': ${what} that are on the device, and these are on the disk; ${todo}`,
    )
  }
  if (classGroup !== undefined) {
    checkSeparable('classGroup', run)
    checkClassGroup(classGroup, classes)
  }
  if (shard !== undefined) {
    checkSeparable('shard', run)
    checkShard(shard, classes)
    if (run.onDivergence === 'rollback') {
      const why = 'a part does not know when another one goes back'
      throw new AludelError('invalid_option', `shard: ${why}; leave onDivergence 'rollback' out`)
    }
  }
  return { ...(classGroup !== undefined && { classGroup }), ...(shard && { shard }) }
}

/** The whitening is part of what a run is: it continues under the same one. */
const zcaConfig = ({ order, eps, sha256 }: Whitening): RunConfig => ({ zca: order, zcaEps: eps, zcaSha256: sha256 })

/** Not ??: null is no value of these options, and passing over it would leave a mistake unheard. */
const orDefault = <T>(value: T | undefined, otherwise: T): T => (value === undefined ? otherwise : value)

function resolveOptions(method: Method, defaults: MethodOptions, given: DistillSettings['methodOptions'], network: Network): MethodOptions {
  if (given !== undefined && !isRecord(given)) throw expected('invalid_option', 'methodOptions', 'an object of options by name', given)
  const options = completeOptions(method.name, method.options, defaults, given)
  const names = Object.entries(given ?? {}).flatMap(([name, value]) => (value === undefined ? [] : [name]))
  return method.resolve ? method.resolve(options, network, new Set(names)) : options
}

/** Numbers in one array: more can neither be drawn nor saved as one tensor. */
const mostPixels = 2 ** 31

function checkSize(dataset: Dataset, ipc: number): void {
  const [, height, width, channels] = dataset.shape
  const pixels = dataset.classes.length * ipc * height * width * channels
  if (pixels > mostPixels) {
    throw expected('out_of_memory', `the synthetic images of ipc ${ipc}`, `at most ${mostPixels * 4} bytes`, pixels * 4, 'lower ipc')
  }
}

/** Every class needs real images to match, and as many as IPC when the images start from real ones. */
function checkClasses(dataset: Dataset, ipc: number, init: InitKind): void {
  for (const [c, name] of dataset.classes.entries()) {
    const available = dataset.classIndices(c).length
    const needed = init === 'noise' ? 1 : ipc
    if (available < needed) {
      const todo = available === 0 ? 'give every class at least one image' : "lower ipc or use init 'noise'"
      throw expected('invalid_option', `class '${name}'`, `at least ${needed} images for ipc ${ipc}`, available, todo)
    }
  }
}
