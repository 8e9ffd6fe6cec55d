/**
 * @file stages.safetensors of a run directory: a few synthetic images as they were on the way, at some of the steps that a
 * checkpoint was taken after. For the report alone: no run depends on it.
 */
import { exists, maxFileBytes, readWhole } from '../data/file-bytes.js'
import { AludelError, expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { bytesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'
import type { Checkpoint } from './types.js'

export const stagesFile = 'stages.safetensors'

/** Images of a stage: the first of each class, of the first classes, and fewer where images are large. */
const mostImages = 10
const mostPixels = 2 ** 17
/** Stages that are kept: about evenly spaced, the newest among them. */
const mostStages = 8

export interface Stage {
  /** Steps completed. */
  readonly step: number
  /** Pixels as the state has them (normalised), [n, H, W, C]. */
  readonly images: Float32Array
}

export interface Stages {
  /** [H, W, C] */
  readonly image: readonly number[]
  /** Rows of the set that the images are. */
  readonly rows: readonly number[]
  /** By step, ascending. */
  readonly stages: readonly Stage[]
}

const tensorName = /^step-(\d{1,15})$/
const nameOf = (step: number): string => `step-${step}`

/** Adds what a checkpoint holds to the file; later stages go, as those of a run that went back. Nothing is kept of latents. */
export async function addStage(path: string, checkpoint: Checkpoint): Promise<void> {
  const taken = stageOf(checkpoint)
  if (!taken) return
  const { stage, rows, image } = taken
  const before = await readStages(path).catch((error) => {
    // what is damaged is begun anew: it is not worth ending a run for
    if (error instanceof AludelError && error.code === 'invalid_data') return undefined
    throw error
  })
  const alike = before?.rows.join() === rows.join() && before.image.join() === image.join()
  const earlier = before && alike ? before.stages.filter(({ step }) => step < stage.step) : []
  const stages = thinned([...earlier, stage])
  const tensors = new Map(
    stages.map(({ step, images }): [string, SafeTensor] => [
      nameOf(step),
      { dtype: 'F32', shape: [rows.length, ...image], data: bytesOf(images) },
    ]),
  )
  await writeAtomic(path, encodeSafetensors(tensors, { rows: rows.join() }))
}

function stageOf({ tensors, counters: { step }, config }: Checkpoint): { stage: Stage; rows: number[]; image: number[] } | undefined {
  const images = tensors.shown ?? tensors.images
  const ipc = config.ipc
  if (images?.dtype !== 'f32' || images.shape.length < 4 || typeof ipc !== 'number' || config.parametrise !== undefined) return undefined
  const image = images.shape.slice(-3)
  const pixels = image.reduce((a, b) => a * b, 1)
  const classes = images.data.length / (pixels * ipc)
  if (step === 0 || !Number.isInteger(classes)) return undefined
  const shown = Math.min(classes, mostImages, Math.max(1, Math.floor(mostPixels / pixels)))
  const rows = Array.from({ length: shown }, (_, c) => c * ipc)
  const kept = new Float32Array(shown * pixels)
  for (const [i, row] of rows.entries()) kept.set((images.data as Float32Array).subarray(row * pixels, (row + 1) * pixels), i * pixels)
  return { stage: { step, images: kept }, rows, image }
}

/** At most `mostStages`: the one goes whose neighbours are closest to each other, never the first or the last. */
function thinned(stages: readonly Stage[]): Stage[] {
  const kept = [...stages]
  while (kept.length > mostStages) {
    let closest = 1
    const gap = (i: number) => kept[i + 1].step - kept[i - 1].step
    for (let i = 2; i < kept.length - 1; i++) if (gap(i) < gap(closest)) closest = i
    kept.splice(closest, 1)
  }
  return kept
}

/** Absent when there is none. Throws `invalid_data` for a damaged file, `io`. */
export async function readStages(path: string): Promise<Stages | undefined> {
  if (!(await exists(path))) return undefined
  const { tensors, metadata } = decodeSafetensors(path, await readWhole(path, maxFileBytes))
  const rows = (metadata.rows ?? '').split(',').map(Number)
  if (!rows.every((row) => Number.isSafeInteger(row) && row >= 0))
    throw expected('invalid_data', `${path}: rows`, 'row numbers', metadata.rows)
  let shape: readonly number[] | undefined
  const stages: Stage[] = []
  for (const [name, tensor] of tensors) {
    const step = Number(tensorName.exec(name)?.[1])
    shape ??= tensor.shape
    const fits =
      tensor.dtype === 'F32' && tensor.shape.length === 4 && tensor.shape[0] === rows.length && tensor.shape.join() === shape.join()
    if (!Number.isSafeInteger(step) || !fits)
      throw expected(
        'invalid_data',
        `${path}: tensor '${name}'`,
        `step-N, F32 [${rows.length}, H, W, C]`,
        `${tensor.dtype} [${tensor.shape}]`,
      )
    stages.push({ step, images: new Float32Array(tensor.data.slice().buffer) })
  }
  if (!shape) return undefined
  return { image: shape.slice(1), rows, stages: stages.sort((a, b) => a.step - b.step) }
}
