/**
 * @file Steps over very many classes run as replays over groups of them: losses that are sums over classes need no class beside another, so
 * that each group moves its own images. How large a group is follows from shapes, options and instruction set alone.
 */
import type { Dataset } from '../data/dataset.js'
import type { Plan } from '../engine/compile/program.js'
import type { Device } from '../engine/runtime/device.js'
import type { LoadableProgram } from '../engine/runtime/executable.js'
import { AludelError, expected } from '../errors.js'
import type { Network } from '../nn/module.js'
import { ringSource, rowSource } from '../preprocess/row-source.js'
import type { LossSettings } from './matching-loop.js'
import { buildMatchingStep } from './matching-step.js'
import type { Method } from './method.js'

/** Working memory of a step, its real rows included, up to which all classes are one group. */
const mostStepBytes = 4 * 2 ** 30
/** What a group of several takes at most, where a single class does not take more. */
const mostGroupBytes = 512 * 2 ** 20

/** Pixels of both sides up to which nothing is measured: all classes are one group. */
const smallBytes = 64 * 2 ** 20

/** Throws `invalid_option` for what does not go class by class; `what` is the option that asks for it. */
export function checkSeparable(what: string, { method, network, dynamic }: { method: Method; network: Network; dynamic: boolean }): void {
  if ('regression' in method) {
    const why = `${method.name} answers real images by the synthetic ones of all classes`
    throw new AludelError('invalid_option', `${what}: ${why}, so none can be distilled without the others; take 'dm', 'datadam' or 'atom'`)
  }
  if ('distance' in method || 'trajectory' in method) {
    const trained = 'trajectory' in method ? 'student' : 'network'
    const why = `${method.name} trains one ${trained} on the images of all classes`
    throw new AludelError('invalid_option', `${what}: ${why}, so none can be distilled without the others; take 'dm', 'datadam' or 'atom'`)
  }
  if (network.state.length > 0) {
    const why = `under batch norm (${network.name}) every image moves those of other classes`
    throw new AludelError('invalid_option', `${what}: ${why}; take a network with instance norm, such as 'convnet'`)
  }
  if (dynamic) {
    throw new AludelError('invalid_option', `${what}: dynamic pruning compares the samples of all classes in its looks; leave it out`)
  }
}

/** Throws `invalid_option` unless `classGroup` divides the number of classes. */
export function checkClassGroup(classGroup: unknown, classes: number): number {
  if (Number.isInteger(classGroup) && (classGroup as number) >= 1 && classes % (classGroup as number) === 0) return classGroup as number
  throw expected('invalid_option', 'classGroup', `a whole number that divides the ${classes} classes`, classGroup)
}

/** Compiles, and loads nothing. */
const compilerOnly = ({ isa, precision }: Device): Device =>
  ({
    isa,
    precision,
    array: () => undefined,
    load: (program: LoadableProgram<Plan>) => ({ plan: program.plan, dispose() {} }),
  }) as unknown as Device

/** Bytes that a step over `classes` of the classes works in: those of its program, and its rows of the data set. */
function stepBytes(device: Device, dataset: Dataset, settings: LossSettings, classes: number): number {
  const [, h, w, c] = dataset.shape
  const realRows = classes * settings.realBatch
  const padded = dataset.classes.some((_, label) => dataset.classIndices(label).length < settings.realBatch)
  const rows = dataset.pixels ? ringSource(dataset, realRows) : rowSource(dataset)
  const shape = { rows, image: [h, w, c] as const, classes, realRows, padded }
  return buildMatchingStep(compilerOnly(device), settings, shape).plan.arenaBytes + realRows * h * w * c
}

/** Classes of a group: all of them where that fits. */
export function classesOfGroup(device: Device, dataset: Dataset, settings: LossSettings): number {
  const classes = dataset.classes.length
  const { classGroup, network, realBatch, ipc } = settings
  if (classGroup !== undefined) return classGroup
  if (settings.parametrise) return classes
  const [, h, w, c] = dataset.shape
  if (network.state.length > 0 || classes * (realBatch + ipc) * h * w * c <= smallBytes) return classes
  const bytes = (size: number) => stepBytes(device, dataset, settings, size)
  // compiling all classes at once may be more than a program can address
  const whole = attempt(() => bytes(classes))
  if (whole !== undefined && whole <= mostStepBytes) return classes
  const sizes = Array.from({ length: classes }, (_, i) => classes - i).filter((size) => size < classes && classes % size === 0)
  const one = bytes(1)
  return sizes.find((size) => size * one <= 2 * mostGroupBytes && bytes(size) <= mostGroupBytes) ?? 1
}

function attempt(measure: () => number): number | undefined {
  try {
    return measure()
  } catch (error) {
    if (error instanceof AludelError && (error.code === 'out_of_memory' || error.code === 'invalid_shape')) return undefined
    throw error
  }
}
