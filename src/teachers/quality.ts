/** @file What a teacher is worth before anything is distilled from it: a linear probe, how its representations spread, and in which range. */
import { checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { permutation } from '../engine/tensor/philox.js'
import { AbortError, AludelError } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { linearProbe } from './linear-probe.js'
import { checkTeacherImage } from './open.js'
import type { Teacher } from './teacher.js'

export interface TeacherQuality {
  readonly teacher: { readonly name: string; readonly objective: string; readonly dim: number; readonly sha256: string }
  /** Content hash of the images. */
  readonly data: string
  /** Images looked at. */
  readonly samples: number
  /** Smallest and largest element. */
  readonly range: readonly [number, number]
  /** Standard deviation over the images: mean over the dimensions, and the smallest and largest. */
  readonly std: { readonly mean: number; readonly least: number; readonly most: number }
  /** Dimensions that are the same for all images. */
  readonly constantDimensions: number
  /** sqrt(mean ||u - mean u||²) of the unit rows u: 0 when all representations point one way, 1 at most. */
  readonly spread: number
  /** Mean and standard deviation of the normalised pixels, over all channels. */
  readonly input: { readonly mean: number; readonly std: number }
  /** Of a linear classifier on a part of the images, measured on the others; null where they are of one class. */
  readonly probe: { readonly accuracy: number; readonly chance: number; readonly trained: number; readonly held: number } | null
  /** What speaks against distilling from it, one sentence each. */
  readonly warnings: readonly string[]
}

export interface QualityOptions {
  readonly seed?: number
  /** Images to look at, of all; default 4000. */
  readonly samples?: number
  readonly signal?: AbortSignal
}

/** Images of one call of the teacher. */
const batch = 128
const heldShare = 1 / 4
/** The probe solves in the smaller of rows and dimensions: of long representations fewer rows are taken. */
const mostProbeSize = 1500

/** Least spread, share of constant dimensions, share of what guessing gets wrong that a probe must get right, and scale of the elements that pass without a warning. */
const limits = { spread: 0.02, constant: 0.5, probe: 0.1, most: 1e3, least: 1e-3, inputMean: 3, inputStd: [0.1, 10] } as const

/**
 * Looks at a teacher's representations of some images of `data`. Rejects with `incompatible` for images of another size, `invalid_option`,
 * `not_finite`, AbortError. Labels are read for the probe alone.
 */
export async function assessTeacher(teacher: Teacher, data: Dataset, options: QualityOptions = {}): Promise<TeacherQuality> {
  const what = 'assessTeacher'
  checkOptions<QualityOptions>(what, options, { seed: true, samples: true, signal: true })
  const { seed = 0, samples = 4000, signal } = options
  checkSeed(`${what}: seed`, seed)
  checkSignal(what, signal)
  wholeNumber(`${what}: samples`, samples, 2)
  const [total, height, width, channels] = data.shape
  checkTeacherImage(teacher, [height, width, channels])
  if (total < 2) throw new AludelError('invalid_option', `${what}: expected two images or more but received ${total}`)
  const rows = permutation(fold(keyOf(seed), 'quality'), 0, purpose.score, total).subarray(0, Math.min(samples, total))
  const { features, input } = await encodeRows(teacher, data, rows, signal)
  const { name, objective, dim, sha256 } = teacher
  const statistics = await statisticsOf(features, dim)
  const probe = await probeOf(features, dim, data, rows)
  const found = { ...statistics, input, probe }
  return {
    ...{ teacher: { name, objective, dim, sha256 }, data: data.sha256, samples: rows.length },
    ...found,
    warnings: warningsOf(found, dim),
  }
}

/** Pixels in [0, 1] of some rows of a data set. */
async function pixelsOf(data: Dataset, rows: Int32Array): Promise<Float32Array> {
  const [, height, width, channels] = data.shape
  const size = height * width * channels
  if (data.pixels) return Float32Array.from(await data.pixels.read(rows), (byte) => byte / 255)
  const pixels = new Float32Array(rows.length * size)
  for (const [i, row] of rows.entries()) for (let p = 0; p < size; p++) pixels[i * size + p] = data.images[row * size + p] / 255
  return pixels
}

async function encodeRows(teacher: Teacher, data: Dataset, rows: Int32Array, signal: AbortSignal | undefined) {
  const { dim, input } = teacher
  const channels = input.shape[2]
  const features = new Float32Array(rows.length * dim)
  const turn = new Turn()
  let [sum, squares, count] = [0, 0, 0]
  for (let first = 0; first < rows.length; first += batch) {
    if (signal?.aborted) throw new AbortError(signal.reason)
    const some = rows.subarray(first, first + batch)
    const pixels = await pixelsOf(data, some)
    for (let i = 0; i < pixels.length; i++) {
      const x = (pixels[i] - input.mean[i % channels]) / input.std[i % channels]
      sum += x
      squares += x * x
    }
    count += pixels.length
    await turn.breathe()
    features.set(await teacher.encode(pixels, some.length, signal), first * dim)
  }
  const mean = sum / count
  return { features, input: { mean, std: Math.sqrt(Math.max(0, squares / count - mean * mean)) } }
}

async function statisticsOf(
  features: Float32Array,
  dim: number,
): Promise<Pick<TeacherQuality, 'range' | 'std' | 'constantDimensions' | 'spread'>> {
  const n = features.length / dim
  const turn = new Turn()
  const [mean, square, direction] = [new Float64Array(dim), new Float64Array(dim), new Float64Array(dim)]
  let [least, most] = [Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]
  let directed = 0
  for (let i = 0; i < n; i++) {
    let norm = 0
    for (let d = 0; d < dim; d++) {
      const v = features[i * dim + d]
      mean[d] += v / n
      norm += v * v
      least = Math.min(least, v)
      most = Math.max(most, v)
    }
    directed += Number(norm > 0)
    if (norm > 0) for (let d = 0; d < dim; d++) direction[d] += features[i * dim + d] / (Math.sqrt(norm) * n)
    await turn.breathe()
  }
  await inPieces(features.length, turn, (from, to) => {
    for (let i = from; i < to; i++) square[i % dim] += (features[i] - mean[i % dim]) ** 2 / n
  })
  const std = square.map(Math.sqrt)
  const resultant = direction.reduce((total, v) => total + v * v, 0)
  const largest = std.reduce((a, b) => Math.max(a, b), 0)
  return {
    range: [least, most],
    std: { mean: std.reduce((a, b) => a + b, 0) / dim, least: std.reduce((a, b) => Math.min(a, b), largest), most: largest },
    constantDimensions: std.filter((s) => s <= 1e-6 * largest).length,
    // rows of zeros have no direction, and are as near to each other as can be
    spread: Math.sqrt(Math.max(0, directed / n - resultant)),
  }
}

async function probeOf(features: Float32Array, dim: number, data: Dataset, rows: Int32Array): Promise<TeacherQuality['probe']> {
  const labels = rows.map((row) => data.labels[row])
  const held = Math.max(1, Math.floor(rows.length * heldShare))
  const trained = Math.min(rows.length - held, dim > mostProbeSize ? mostProbeSize : rows.length)
  const part = (from: number, count: number) => ({
    features: features.subarray(from * dim, (from + count) * dim),
    labels: labels.subarray(from, from + count),
  })
  if (new Set(labels.subarray(0, trained)).size < 2) return null
  const result = await linearProbe(part(0, trained), part(rows.length - held, held), dim, data.classes.length)
  return { ...result, trained, held }
}

function warningsOf(
  {
    range,
    std,
    constantDimensions,
    spread,
    input,
    probe,
  }: Pick<TeacherQuality, 'range' | 'std' | 'constantDimensions' | 'spread' | 'input' | 'probe'>,
  dim: number,
): string[] {
  const warnings: string[] = []
  if (spread < limits.spread)
    warnings.push(
      `the representations of all images are nearly the same (spread ${spread.toPrecision(2)}): the teacher has collapsed, or sees pixels in another range than it was trained on`,
    )
  if (constantDimensions > limits.constant * dim) warnings.push(`${constantDimensions} of ${dim} dimensions are the same for all images`)
  if (probe && probe.accuracy < probe.chance + limits.probe * (100 - probe.chance))
    warnings.push(
      `a linear probe gets ${probe.accuracy.toFixed(1)} % right where guessing gets ${probe.chance.toFixed(1)} %: the representations hardly tell the classes apart`,
    )
  const largest = Math.max(Math.abs(range[0]), Math.abs(range[1]))
  if (largest > limits.most || std.mean < limits.least)
    warnings.push(
      `the elements lie in [${range[0].toPrecision(3)}, ${range[1].toPrecision(3)}] with a standard deviation of ${std.mean.toPrecision(2)}: scale the targets when distilling`,
    )
  const [smallest, greatest] = limits.inputStd
  if (Math.abs(input.mean) > limits.inputMean || input.std < smallest || input.std > greatest)
    warnings.push(
      `normalised pixels have mean ${input.mean.toPrecision(2)} and standard deviation ${input.std.toPrecision(2)}: most models were trained with about 0 and 1; look at mean, std and scale`,
    )
  return warnings
}
