/** @file An ONNX model as teacher: rows of one of its outputs, in ONNX Runtime and a process of its own. */
import { basename } from 'node:path'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
import { OnnxEncoder, type PixelNormalization, RuntimeProcess, readModelFile } from '../onnx/index.js'
import { checkPixels, checkRange, type Teacher } from './teacher.js'

export interface OnnxTeacherOptions {
  readonly device: Device
  /** [H, W, C] of the images; needed where the model leaves it open. */
  readonly image?: readonly [number, number, number]
  /** Name of the output; default 'features', or the only one. */
  readonly output?: string
  /** Default: what the model's metadata says. */
  readonly normalization?: PixelNormalization
  /** What the model was trained by, for the records; default 'unknown'. */
  readonly objective?: string
  readonly signal?: AbortSignal
}

/** Throws what `OnnxEncoder.load` throws, `unavailable` without ONNX Runtime, `not_found`, `io`. */
export async function openOnnxTeacher(path: string, options: OnnxTeacherOptions): Promise<Teacher> {
  const { objective = 'unknown', ...loading } = options
  const bytes = await readModelFile(path)
  const sha256 = await hashOfParts('', [bytesOf(bytes)])
  const runtime = await RuntimeProcess.open()
  try {
    const encoder = await OnnxEncoder.load(runtime, path, bytes, loading)
    const { image, mean, std, dim, output } = encoder
    const input = { shape: image, mean, std }
    const name = basename(path, '.onnx')
    const turn = new Turn()
    let closed = false
    return {
      ...{ name, objective, dim, output, sha256, input },
      async encode(pixels, rows, signal) {
        const what = `teacher '${name}'`
        if (closed) throw new AludelError('disposed', `${what}: it was disposed of`)
        checkPixels(what, input, pixels, rows)
        await inPieces(pixels.length, turn, (from, to) => checkRange(what, pixels, from, to))
        return encoder.encode(pixels, rows, signal)
      },
      memory: () => runtime.memory(),
      async dispose() {
        closed = true
        runtime.close()
      },
    }
  } catch (error) {
    runtime.close()
    throw error
  }
}
