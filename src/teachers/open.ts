/** @file Opens a teacher by its path. */
import { checkDevice, checkOptions, checkPath, checkSignal } from '../arguments.js'
import { formatShape } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import { otherImages } from '../onnx/index.js'
import { type OnnxTeacherOptions, openOnnxTeacher } from './onnx-teacher.js'
import { openOwnTeacher } from './own-teacher.js'
import type { Teacher } from './teacher.js'

export type TeacherOptions = OnnxTeacherOptions

/**
 * Opens a directory of `pretrain`, or the ONNX model `path` (a name that ends in .onnx), to which all options but `device` and `image`
 * belong. Rejects with `invalid_option`; `not_found`; `invalid_data` for what is damaged, takes images of another size
 * than `image` (`incompatible` for a directory), has a fixed batch or data in other files; `not_finite`; `unavailable` without ONNX Runtime; `io`; `out_of_memory`.
 *
 * ```ts
 * const teacher = await openTeacher('resnet20.onnx', { device, normalization: { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } })
 * const representations = await teacher.encode(pixels, rows)   // [rows, teacher.dim]
 * ```
 */
export async function openTeacher(path: string, options: TeacherOptions): Promise<Teacher> {
  const what = 'openTeacher'
  checkPath(what, path)
  checkOptions<TeacherOptions>(what, options, {
    ...{ device: true, image: true, output: true, normalization: true, objective: true, signal: true },
  })
  checkDevice(what, options.device)
  checkSignal(what, options.signal)
  for (const key of ['output', 'objective'] as const) {
    const value: unknown = options[key]
    if (value !== undefined && (typeof value !== 'string' || value === ''))
      throw expected('invalid_option', `${what}: ${key}`, 'a text', value)
  }
  const { image } = options
  if (
    image !== undefined &&
    !(Array.isArray(image) && image.length === 3 && image.every((size) => Number.isSafeInteger(size) && size >= 1))
  )
    throw expected('invalid_option', `${what}: image`, '[height, width, channels]', image)
  if (path.endsWith('.onnx')) return openOnnxTeacher(path, options)
  for (const key of ['output', 'normalization', 'objective'] as const) {
    if (options[key] !== undefined) throw expected('invalid_option', `${what}: ${key}`, 'nothing: it belongs to ONNX models', options[key])
  }
  const teacher = await openOwnTeacher(path, options.device)
  try {
    if (image !== undefined) checkTeacherImage(teacher, image)
    return teacher
  } catch (error) {
    await teacher.dispose()
    throw error
  }
}

/** Throws `incompatible` unless the teacher takes images of this size. */
export function checkTeacherImage({ name, input }: Teacher, image: readonly [number, number, number]): void {
  if (input.shape.join() === image.join()) return
  const todo = otherImages(input.shape, image).replaceAll('model', 'teacher')
  throw expected('incompatible', `teacher '${name}': images`, formatShape(input.shape), formatShape(image), todo)
}
