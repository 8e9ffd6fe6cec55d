/** @file What a run of KRR-ST starts from: real images, chosen without labels, and the teacher's representations of these very images. */
import type { Dataset } from '../../data/dataset.js'
import { readPixels } from '../../data/pixel-rows.js'
import { keyOf } from '../../engine/tensor/key.js'
import { AludelError, expected } from '../../errors.js'
import { Turn } from '../../event-loop.js'
import type { TargetStatistics } from '../../experiment/representation-set.js'
import type { Teacher } from '../../teachers/teacher.js'
import type { InitialImages } from '../initial-images.js'
import { initialRows } from './real-batches.js'
import type { TeacherRegression } from './settings.js'
import { encodeChecked, unitPixels } from './teacher-targets.js'

export interface RepresentationStart extends InitialImages {
  /** [n, k], scaled. */
  readonly targets: Float32Array
  /** All answers of the teacher are multiplied by it. */
  readonly scale: number
  /** Of the teacher's representations of the images, in its own units. */
  readonly statistics: TargetStatistics
}

export interface StartSettings {
  /** Images. */
  readonly ipc: number
  readonly seed: number
  readonly teacher?: Teacher
  readonly regression: TeacherRegression
}

export async function representationStart(
  dataset: Dataset,
  { ipc: n, seed, teacher, regression }: StartSettings,
  signal?: AbortSignal,
): Promise<RepresentationStart> {
  if (!teacher) throw new AludelError('internal', 'a run of KRR-ST without a teacher was begun')
  const rows = initialRows(keyOf(seed), n, dataset.shape[0])
  const bytes = await readPixels(dataset, rows)
  const raw = await unitPixels(bytes)
  const answers = await encodeChecked(teacher, raw, n, signal)
  const statistics = await statisticsOf(answers, teacher.dim)
  const scale = scaleOf(teacher, statistics, regression, n)
  const images = regression.initSpace === 'raw' ? raw : normalised(raw, dataset)
  const notices = [...zeroDimensions(answers, teacher), ...duplicates(bytes, rows)]
  return { images, sourceIds: rows, targets: answers.map((value) => value * scale), scale, statistics, notices }
}

function normalised(raw: Float32Array, { mean, std }: Dataset): Float32Array {
  return raw.map((value, i) => (value - mean[i % mean.length]) / std[i % std.length])
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
function zeroDimensions(answers: Float32Array, { name, dim }: Teacher): string[] {
  const zero = new Uint8Array(dim).fill(1)
  for (let i = 0; i < answers.length; i++) if (answers[i] !== 0) zero[i % dim] = 0
  const count = zero.reduce((sum, z) => sum + z, 0)
  return count === 0 ? [] : [`teacher '${name}': ${count} of ${dim} dimensions are 0 for every image that the run starts from`]
}

/** Images that are the same make the kernel matrix singular but for its ridge. */
function duplicates(bytes: Uint8Array, rows: Int32Array): string[] {
  const size = bytes.length / rows.length
  const seen = new Set<string>()
  let twice = 0
  for (let i = 0; i < rows.length; i++) {
    const content = Buffer.from(bytes.buffer, bytes.byteOffset + i * size, size).toString('latin1')
    if (seen.has(content)) twice++
    seen.add(content)
  }
  return twice === 0
    ? []
    : [`${twice} of the ${rows.length} images that the run starts from are copies of others: only the ridge tells them apart`]
}
