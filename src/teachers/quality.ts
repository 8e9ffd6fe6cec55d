/** @file What a teacher is worth before anything is distilled from it: a linear probe, how its representations spread, and in which range. */
import { checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { isLabelled } from '../data/labels.js'
import { readPixels } from '../data/pixel-rows.js'
import { unitPixels } from '../data/unit-pixels.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { AbortError, AludelError } from '../errors.js'
import { inTurns, Turn } from '../event-loop.js'
import { linearProbe } from './linear-probe.js'
import { checkTeacherImage } from './open.js'
import type { Teacher } from './teacher.js'
import { InputMoments, spreadOf, type UnlabelledQuality, unlabelledWarnings } from './unlabelled-quality.js'

export interface TeacherQuality extends UnlabelledQuality {
  readonly teacher: { readonly name: string; readonly objective: string; readonly dim: number; readonly sha256: string }
  /** Content hash of the images. */
  readonly data: string
  /** Images looked at. */
  readonly samples: number
  /** Whether the images have labels. */
  readonly labelled: boolean
  /** Of a linear classifier on a part of the images, measured on the others; null where they are of one class, or have no labels. */
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

/** Share of what guessing gets wrong that a probe must get right to pass without a warning. */
const leastProbe = 0.1

/**
 * Looks at a teacher's representations of some images of `data`. Rejects with `incompatible` for images of another size, `invalid_option`,
 * `not_finite`, AbortError. Labels are read for the probe alone, which is left out where there are none.
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
  const order = await inTurns(permuting(fold(keyOf(seed), 'quality'), 0, purpose.score, total), new Turn())
  const rows = order.subarray(0, Math.min(samples, total))
  const { features, input } = await encodeRows(teacher, data, rows, signal)
  const { name, objective, dim, sha256 } = teacher
  const statistics = await spreadOf(features, dim)
  const probe = await probeOf(features, dim, data, rows)
  const found = { ...statistics, input, probe }
  return {
    ...{ teacher: { name, objective, dim, sha256 }, data: data.sha256, samples: rows.length, labelled: isLabelled(data) },
    ...found,
    warnings: warningsOf(found, dim),
  }
}

async function encodeRows(teacher: Teacher, data: Dataset, rows: Int32Array, signal: AbortSignal | undefined) {
  const features = new Float32Array(rows.length * teacher.dim)
  const input = new InputMoments(teacher.input)
  for (let first = 0; first < rows.length; first += batch) {
    if (signal?.aborted) throw new AbortError(signal.reason)
    const some = rows.subarray(first, first + batch)
    const pixels = await unitPixels(await readPixels(data, some))
    await input.add(pixels)
    features.set(await teacher.encode(pixels, some.length, signal), first * teacher.dim)
  }
  return { features, input: input.result }
}

async function probeOf(features: Float32Array, dim: number, data: Dataset, rows: Int32Array): Promise<TeacherQuality['probe']> {
  if (!isLabelled(data)) return null
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

/** As `unlabelledWarnings`, and of the probe. */
function warningsOf(found: UnlabelledQuality & Pick<TeacherQuality, 'probe'>, dim: number): string[] {
  const { probe } = found
  const warnings = unlabelledWarnings(found, dim)
  if (probe && probe.accuracy < probe.chance + leastProbe * (100 - probe.chance))
    warnings.push(
      `a linear probe gets ${probe.accuracy.toFixed(1)} % right where guessing gets ${probe.chance.toFixed(1)} %: the representations hardly tell the classes apart`,
    )
  return warnings
}
