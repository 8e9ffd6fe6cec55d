/** @file A teacher: a frozen encoder, whatever trained it. What distillation without labels takes its targets from. */
import { expected } from '../errors.js'

export interface Teacher {
  readonly name: string
  /** What it was trained by: 'barlow-twins', 'simclr', 'byol', 'vicreg'; of an ONNX model what the caller says, else 'unknown'. */
  readonly objective: string
  /** Elements of a representation. */
  readonly dim: number
  /** Of an ONNX model: the output that is taken. */
  readonly output?: string
  /** Of the file, or of the record of the directory. */
  readonly sha256: string
  readonly input: {
    /** [H, W, C] */
    readonly shape: readonly [number, number, number]
    /** Per channel, of pixels in [0, 1]; the teacher normalises by itself. */
    readonly mean: readonly number[]
    readonly std: readonly number[]
  }
  /**
   * Representations [rows, dim] f32 of raw pixels in [0, 1], NHWC f32 [rows, H, W, C], augmented already, in the order of the rows;
   * deterministic. Rejects with `invalid_shape`, `invalid_data` for pixels outside [0, 1] (normalised ones), `not_finite`, AbortError.
   */
  encode(pixels: Float32Array, rows: number, signal?: AbortSignal): Promise<Float32Array>
  /** Bytes of the process that it computes in, where that is one of its own. */
  memory?(): Promise<number>
  /** Frees what it holds; twice is silent. */
  dispose(): Promise<void>
}

/** Resampling may leave pixels this far outside. */
const slack = 1e-3

/** Throws `invalid_shape` unless there are `rows` images, `invalid_data` for a pixel that is no number in [0, 1]. */
export function checkPixels(what: string, { shape }: Teacher['input'], pixels: Float32Array, rows: number): void {
  const wanted = rows * shape[0] * shape[1] * shape[2]
  if (!Number.isSafeInteger(rows) || rows < 1) throw expected('invalid_shape', `${what}: rows`, 'a whole number >= 1', rows)
  if (!(pixels instanceof Float32Array) || pixels.length !== wanted)
    throw expected('invalid_shape', `${what}: pixels`, `${wanted} float32 numbers, [${rows}, ${shape.join(', ')}]`, pixels)
}

/** Throws `invalid_data` for a pixel of [from, to) that is no number in [0, 1]. */
export function checkRange(what: string, pixels: Float32Array, from: number, to: number): void {
  for (let i = from; i < to; i++) {
    if (pixels[i] >= -slack && pixels[i] <= 1 + slack) continue
    throw expected('invalid_data', `${what}: pixel ${i}`, 'raw pixels in [0, 1]', pixels[i], 'the teacher normalises by itself')
  }
}
