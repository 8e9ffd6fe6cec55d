/** @file What a run of KRR-ST starts from: real images, chosen without labels, and the teacher's representations of these very images. */
import type { Dataset } from '../../data/dataset.js'
import { readPixels } from '../../data/pixel-rows.js'
import { unitPixels } from '../../data/unit-pixels.js'
import { keyOf } from '../../engine/tensor/key.js'
import { AludelError, expected } from '../../errors.js'
import { inPieces, Turn } from '../../event-loop.js'
import type { TargetStatistics } from '../../experiment/representation-set.js'
import { repeatedRows } from '../../ridge/index.js'
import { encodeChecked } from '../../teachers/encode-checked.js'
import type { Teacher } from '../../teachers/teacher.js'
import { InputMoments, spreadOf, unlabelledWarnings } from '../../teachers/unlabelled-quality.js'
import type { InitialImages } from '../initial-images.js'
import { copyNotices } from './copies.js'
import { initialOrder } from './real-batches.js'
import type { TeacherRegression } from './settings.js'
import { scaled } from './teacher-targets.js'

export interface RepresentationStart extends InitialImages {
  /** [n, k], scaled. */
  readonly targets: Float32Array
  /** All answers of the teacher are multiplied by it. */
  readonly scale: number
  /** Of the teacher's representations of the images, in its own units. */
  readonly statistics: TargetStatistics
  /** Groups of images that are the same. */
  readonly equal: readonly (readonly number[])[]
}

export interface StartSettings {
  /** Images. */
  readonly ipc: number
  readonly iterations: number
  readonly seed: number
  readonly teacher?: Teacher
  readonly regression: TeacherRegression
}

export async function representationStart(
  dataset: Dataset,
  { ipc: n, iterations, seed, teacher, regression }: StartSettings,
  signal?: AbortSignal,
): Promise<RepresentationStart> {
  if (!teacher) throw new AludelError('internal', 'a run of KRR-ST without a teacher was begun')
  const order = await initialOrder(keyOf(seed), dataset.shape[0])
  const rows = order.slice(0, n)
  const raw = await unitPixels(await readPixels(dataset, rows))
  const answers = await encodeChecked(teacher, raw, n, signal)
  const statistics = await statisticsOf(answers, teacher.dim)
  const scale = scaleOf(teacher, statistics, regression, n)
  const images = regression.initSpace === 'raw' ? raw : await normalised(raw, dataset)
  const equal = await repeatedRows(raw, n, raw.length / n)
  const notices = [
    ...(await teacherNotices(teacher, dataset, { raw, answers, more: order.subarray(n, Math.max(n, qualityImages)) }, signal)),
    ...(await zeroDimensions(answers, teacher)),
    ...copyNotices(equal, n),
    ...spaceNotices(regression, iterations),
  ]
  return { images, sourceIds: rows, targets: await scaled(answers, scale), scale, statistics, equal, notices }
}

/** Raw pixels have left most of their disadvantage behind after so many steps. */
const enoughIterations = 1000

/** A short run does not get away from raw pixels. */
function spaceNotices({ initSpace }: TeacherRegression, iterations: number): string[] {
  if (initSpace !== 'raw' || iterations >= enoughIterations) return []
  const todo = 'initSpace=normalised (on the command line --set initSpace=normalised) starts nearer to what networks see'
  return [`${iterations} iterations are few for images that start as raw pixels: ${todo}`]
}

async function normalised(raw: Float32Array, { mean, std }: Dataset): Promise<Float32Array> {
  const images = new Float32Array(raw.length)
  await inPieces(raw.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) images[i] = (raw[i] - mean[i % mean.length]) / std[i % std.length]
  })
  return images
}

/** A teacher is looked at on so many images at least, where there are as many. */
const qualityImages = 256

interface Seen {
  /** Pixels in [0, 1] of the images that the run starts from, and the teacher's answers to them. */
  readonly raw: Float32Array
  readonly answers: Float32Array
  /** Rows of the data set to look at beside them. */
  readonly more: Int32Array
}

/** What speaks against the teacher, by its answers alone: labels are not read. */
async function teacherNotices(teacher: Teacher, dataset: Dataset, { raw, answers, more }: Seen, signal?: AbortSignal): Promise<string[]> {
  const { name, dim } = teacher
  if (answers.length / dim + more.length < 2) return []
  const input = new InputMoments(teacher.input)
  await input.add(raw)
  const features = new Float32Array(answers.length + more.length * dim)
  features.set(answers)
  if (more.length > 0) {
    const pixels = await unitPixels(await readPixels(dataset, more))
    await input.add(pixels)
    features.set(await encodeChecked(teacher, pixels, more.length, signal), answers.length)
  }
  const warnings = unlabelledWarnings({ ...(await spreadOf(features, dim)), input: input.result }, dim)
  return warnings.map((warning) => `teacher '${name}': ${warning}`)
}

/** Mean and standard deviation (population form) by dimension, summed in float64. */
async function statisticsOf(answers: Float32Array, dim: number): Promise<TargetStatistics> {
  const rows = answers.length / dim
  const mean = new Float64Array(dim)
  const squares = new Float64Array(dim)
  const turn = new Turn()
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < dim; k++) mean[k] += answers[row * dim + k] / rows
    await turn.breathe()
  }
  for (let row = 0; row < rows; row++) {
    for (let k = 0; k < dim; k++) squares[k] += (answers[row * dim + k] - mean[k]) ** 2 / rows
    await turn.breathe()
  }
  return { mean: Float32Array.from(mean), std: Float32Array.from(squares, Math.sqrt) }
}

/** Less than this beside the mean is rounding. */
const leastSpread = 1e-6

/** 1, or 1 / the root of the mean variance. Throws `invalid_data` for a teacher that answers the same for every image. */
function scaleOf({ name, dim }: Teacher, { mean, std }: TargetStatistics, { targetScaling }: TeacherRegression, images: number): number {
  // one image has no spread to tell anything by
  if (images === 1 && targetScaling === 'none') return 1
  if (images === 1) throw expected('invalid_option', 'targetScaling', "'none' for one image, which has no spread", targetScaling)
  const rms = (values: Float32Array) => Math.sqrt(values.reduce((sum, value) => sum + value * value, 0) / dim)
  const spread = rms(std)
  if (!(spread > leastSpread * rms(mean))) {
    const todo = 'its representations have collapsed; take another teacher'
    throw new AludelError('invalid_data', `teacher '${name}': answers the same for every image that the run starts from: ${todo}`)
  }
  return targetScaling === 'none' ? 1 : 1 / spread
}

/** A dimension that is 0 for every image has nothing to learn: it is solved for like any other, and stays near 0. */
async function zeroDimensions(answers: Float32Array, { name, dim }: Teacher): Promise<string[]> {
  const zero = new Uint8Array(dim).fill(1)
  await inPieces(answers.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) if (answers[i] !== 0) zero[i % dim] = 0
  })
  const count = zero.reduce((sum, z) => sum + z, 0)
  return count === 0 ? [] : [`teacher '${name}': ${count} of ${dim} dimensions are 0 for every image that the run starts from`]
}
