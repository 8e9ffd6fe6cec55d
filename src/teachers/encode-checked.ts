/** @file A teacher's answer, looked at before anybody computes with it. */
import { AludelError, expected } from '../errors.js'
import { firstNotFinite } from '../event-loop.js'
import type { Teacher } from './teacher.js'

/** Representations [rows, dim]. Throws `not_finite` naming the row for one that is none, `invalid_shape` for another number of them. */
export async function encodeChecked(
  teacher: Pick<Teacher, 'name' | 'dim' | 'encode'>,
  pixels: Float32Array,
  rows: number,
  signal?: AbortSignal,
): Promise<Float32Array> {
  const { name, dim } = teacher
  const encoded = await teacher.encode(pixels, rows, signal)
  if (encoded?.length !== rows * dim)
    throw expected('invalid_shape', `teacher '${name}'`, `${rows * dim} numbers, [${rows}, ${dim}]`, encoded?.length)
  const broken = await firstNotFinite(encoded)
  if (broken < 0) return encoded
  const where = `teacher '${name}': dimension ${broken % dim} of its representation of image ${Math.floor(broken / dim)} of a batch`
  throw new AludelError('not_finite', `${where} is ${encoded[broken]}; look at the teacher's weights and at how it normalises`)
}
