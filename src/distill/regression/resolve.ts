/** @file Settings of a run without labels: checked, completed from the method's preset, and refused with the reason when data or teacher do not fit. */
import { checkDevice, checkOptions, checkSeed, checkSignal, isRecord, wholeNumber } from '../../arguments.js'
import { parseAugment } from '../../augment/dsa.js'
import type { Dataset } from '../../data/dataset.js'
import { formatShape } from '../../engine/tensor/shape.js'
import { AludelError, expected } from '../../errors.js'
import type { RepresentationOptions, RepresentationRunSettings, RunConfig } from '../../experiment/types.js'
import { resolveNetwork } from '../../nn/networks/registry.js'
import type { Teacher } from '../../teachers/teacher.js'
import { presetByName, type RepresentationMethod } from '../method.js'
import { completeOptions } from '../method-options.js'
import { methodByName, representationMethodNames } from '../registry.js'
import { type CropRule, variantCount } from './real-batches.js'
import type { RepresentationSettings } from './representation-iterations.js'
import { tablePays } from './teacher-targets.js'

const optionNames: Readonly<Record<keyof RepresentationOptions, true>> = {
  ...{ method: true, n: true, teacher: true, iterations: true, realBatch: true, imageLr: true, augment: true, network: true, seed: true },
  ...{ preset: true, methodOptions: true, onDivergence: true, device: true, signal: true, checkpoints: true, checkpointEvery: true },
}

/** Throws `invalid_option` for options that are no object, a name that is not known, and what is no device, signal or teacher. */
export function checkRepresentationOptions(options: RepresentationOptions): void {
  checkOptions('distillRepresentations', options, optionNames)
  checkDevice('distillRepresentations', options.device)
  checkSignal('distillRepresentations', options.signal)
}

/** What is known of a teacher before it is asked anything. */
export type PlannedTeacher = Pick<Teacher, 'name' | 'objective' | 'dim' | 'sha256' | 'input'> & Partial<Pick<Teacher, 'encode'>>

export function resolveRepresentation(dataset: Dataset, given: RepresentationRunSettings, teacher: PlannedTeacher): RepresentationSettings {
  const method = representationMethod(given.method)
  const [total, height, width, channels] = dataset.shape
  const image = [height, width, channels] as const
  const n = wholeNumber('n', given.n)
  if (n > total) throw expected('invalid_option', 'n', `at most ${total}, the images of data set '${dataset.name}'`, n)
  if (dataset.whitened)
    throw new AludelError(
      'invalid_option',
      `data set '${dataset.name}': ${method.name} shows its teacher the pixels themselves; leave the whitening out`,
    )
  checkTeacher(teacher, image)
  const { name: presetName, preset } = presetByName(method, given.preset)
  const defaults = preset.settings({ ipc: n, image, data: dataset.name, outputs: teacher.dim })
  const value = <K extends keyof typeof defaults & keyof RepresentationRunSettings>(name: K) =>
    (given[name] === undefined ? defaults[name] : given[name]) as NonNullable<RepresentationRunSettings[K]>
  const choice = value('network')
  const network = resolveNetwork(choice, [height, width, channels], teacher.dim)
  if (given.methodOptions !== undefined && !isRecord(given.methodOptions))
    throw expected('invalid_option', 'methodOptions', 'an object of options by name', given.methodOptions)
  const methodOptions = completeOptions(method.name, method.options, defaults.options, given.methodOptions)
  const regression = method.representation(methodOptions)
  const iterations = wholeNumber('iterations', value('iterations'))
  const realBatch = wholeNumber('realBatch', value('realBatch'))
  const imageLr = value('imageLr')
  if (!(Number.isFinite(imageLr) && imageLr > 0)) throw expected('invalid_option', 'imageLr', 'a number > 0', imageLr)
  const augment = value('augment')
  const crop = cropRule(augment, dataset.flip, regression.padding)
  const seed = checkSeed('seed', given.seed ?? 0)
  const onDivergence = given.onDivergence ?? 'stop'
  if (onDivergence !== 'stop' && onDivergence !== 'rollback')
    throw expected('invalid_option', 'onDivergence', "'stop' or 'rollback'", onDivergence)
  const sizes = { images: total, variants: variantCount(crop), dim: teacher.dim, asked: iterations * realBatch }
  const table = regression.teacherTable === 'auto' ? tablePays(sizes) : regression.teacherTable === 'on'
  const config: RunConfig = {
    ...{ method: method.name, preset: presetName, n, iterations, realBatch, imageLr, augment },
    ...{ network: typeof choice === 'string' ? choice : choice.name, seed, onDivergence },
    ...{ teacher: teacher.name, teacherObjective: teacher.objective, teacherDim: teacher.dim, teacherSha256: teacher.sha256 },
    ...{ data: dataset.name, dataSha256: dataset.sha256, ...(dataset.part && { subsetSha256: dataset.part.subset }) },
    ...methodOptions,
    teacherTable: table ? 'on' : 'off',
  }
  return {
    ...{ method, network, ipc: n, iterations, realBatch, imageLr, imageMomentum: defaults.imageMomentum, init: 'real', seed, onDivergence },
    ...{ augment: parseAugment('none', false), methodOptions, config, regression, dim: teacher.dim, crop, table },
    ...(isTeacher(teacher) && { teacher }),
  }
}

const isTeacher = (teacher: PlannedTeacher): teacher is Teacher => typeof teacher.encode === 'function'

/** Throws `invalid_option` for a method that needs labels. */
function representationMethod(name: string): RepresentationMethod {
  const method = methodByName(name)
  if ('representation' in method) return method
  const wanted = `one of ${representationMethodNames.join(', ')}`
  throw expected('invalid_option', 'distillRepresentations: method', wanted, name, 'others go through distill')
}

function checkTeacher(teacher: PlannedTeacher, image: readonly [number, number, number]): void {
  const { name, objective, sha256, dim, input } = isRecord(teacher) ? teacher : ({} as Partial<PlannedTeacher>)
  const named = [name, objective, sha256].every((text) => typeof text === 'string' && text !== '')
  if (!named || !Number.isSafeInteger(dim) || Number(dim) < 1 || !isRecord(input) || !Array.isArray(input.shape))
    throw expected('invalid_option', 'teacher', 'what openTeacher gives', teacher)
  if (input.shape.join() !== image.join())
    throw expected(
      'incompatible',
      `teacher '${name}': images`,
      formatShape(input.shape),
      formatShape(image),
      'read the images at that size, or take another teacher',
    )
}

const crops = ['none', 'crop', 'flip', 'crop_flip', 'flip_crop']

/** Mirrored images are left out where they do not keep their class. */
function cropRule(augment: string, flipKeepsClass: boolean, padding: number): CropRule {
  if (!crops.includes(augment)) throw expected('invalid_option', 'augment', "'none', 'crop', 'flip' or 'crop_flip'", augment)
  return { padding: augment.includes('crop') ? padding : 0, flip: augment.includes('flip') && flipKeepsClass }
}
