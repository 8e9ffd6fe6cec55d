/**
 * @file representations.safetensors of a run without labels: what the teacher says of some real images and of the synthetic ones, kept while
 * the teacher is open. For the report alone: no run depends on it.
 */

import { join } from 'node:path'
import { exists, maxFileBytes, readWhole } from '../data/file-bytes.js'
import { expected } from '../errors.js'
import { firstNotFinite, Turn } from '../event-loop.js'
import { writeAtomic } from '../files/atomic-file.js'
import { bytesOf, piecesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeHeader, type SafeTensor } from '../files/safetensors.js'

export const representationsFile = 'representations.safetensors'

/** Representations, row after row of `dim` numbers. */
export interface RepresentationSample {
  readonly dim: number
  /** Of real images that the set did not start from, unless there are too few others. */
  readonly real: Float32Array
  /** Of the real images that the first synthetic images started from. */
  readonly start: Float32Array
  /** Of these synthetic images, as pixels in [0, 1]. */
  readonly images: Float32Array
}

const names = ['real', 'start', 'images'] as const

export async function writeRepresentationSample(dir: string, { dim, ...sample }: RepresentationSample): Promise<void> {
  const tensors = names.map((name): [string, SafeTensor] => [
    name,
    { dtype: 'F32', shape: [sample[name].length / dim, dim], data: bytesOf(sample[name]) },
  ])
  const header = encodeHeader(new Map(tensors))
  const parts = [header, ...tensors.map(([, { data }]) => data)]
  const bytes = parts.reduce((sum, { length }) => sum + length, 0)
  await writeAtomic(join(dir, representationsFile), piecesOf(parts), bytes)
}

/** Absent when the run has none. Throws `invalid_data` for a damaged file, or one of other representations than `dim` numbers; `io`. */
export async function readRepresentationSample(dir: string, dim: number): Promise<RepresentationSample | undefined> {
  const path = join(dir, representationsFile)
  if (!(await exists(path))) return undefined
  const { tensors } = decodeSafetensors(path, await readWhole(path, maxFileBytes))
  const take = async (name: string): Promise<Float32Array> => {
    const tensor = tensors.get(name)
    const shape = tensor?.shape ?? []
    if (tensor?.dtype !== 'F32' || shape.length !== 2 || shape[0] < 1 || shape[1] !== dim)
      throw expected('invalid_data', `${path}: tensor '${name}'`, `F32 [n, ${dim}]`, `${tensor?.dtype} [${shape}]`)
    const values = await floatsOf(tensor.data)
    const broken = await firstNotFinite(values)
    if (broken >= 0) throw expected('invalid_data', `${path}: tensor '${name}': number ${broken}`, 'a finite number', values[broken])
    return values
  }
  return { dim, real: await take('real'), start: await take('start'), images: await take('images') }
}

/** Copied: the bytes of a file need not be aligned. */
async function floatsOf(bytes: Uint8Array): Promise<Float32Array> {
  const copy = new Uint8Array(bytes.length)
  const turn = new Turn()
  let at = 0
  for await (const piece of piecesOf([bytes])) {
    copy.set(piece, at)
    at += piece.length
    await turn.breathe()
  }
  return new Float32Array(copy.buffer)
}
