/** @file An ONNX model as an encoder: the rows of one of its outputs, whichever its name, for images given as numbers in [0, 1]. */
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { elementType } from '../export/onnx/schema.js'
import { type PixelNormalization, pixelAffine } from './normalization.js'
import { listed, otherImages, shown } from './ports.js'
import { type ModelPort, type OnnxFile, readModel } from './read-model.js'
import { type RuntimeProcess, refusing } from './runtime-process.js'

export interface EncoderOptions {
  readonly device: Device
  /** Name of the output; default 'features', or the only float32 output. */
  readonly output?: string
  /** [H, W, C]; needed where the model leaves its image size open, else checked against it. */
  readonly image?: readonly [number, number, number]
  /** Default: what the model's metadata says. */
  readonly normalization?: PixelNormalization
  readonly provider?: 'auto' | 'cpu'
  readonly signal?: AbortSignal
}

/** Most bytes of one message to the runtime's process: what a turn of the event loop can copy. */
const messageBytes = 1 << 20
/** Most images of one run. */
const mostRows = 64
const byteMost = 255

/** Loaded by `OnnxEncoder.load`; its process is the caller's. */
export class OnnxEncoder {
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  /** Per channel: pixels in [0, 1] are normalised as (pixel - mean) / std. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** The output in use. */
  readonly output: string
  /** Elements of a row; of an output that is a map, its channels. */
  readonly dim: number
  readonly provider: 'cpu' | 'cuda'
  readonly #path: string
  readonly #process: RuntimeProcess
  readonly #session: number
  readonly #device: Device
  readonly #scale: Float32Array
  readonly #shift: Float32Array
  /** Positions of a map, over which its channels are averaged; 1 for rows. */
  readonly #positions: number

  private constructor(path: string, process: RuntimeProcess, loaded: Loaded, device: Device) {
    this.#path = path
    this.#process = process
    this.#device = device
    this.#session = loaded.session
    this.image = loaded.image
    this.output = loaded.output
    this.provider = loaded.provider
    this.dim = loaded.dim
    this.#positions = loaded.positions
    this.#scale = loaded.scale
    this.#shift = loaded.shift
    this.std = Array.from(loaded.scale, (scale) => 1 / scale)
    this.mean = Array.from(loaded.shift, (shift, c) => -shift / loaded.scale[c])
  }

  /**
   * Loads a model, named `path` in errors, and runs it once over two images. Throws `invalid_data` for bytes that are no usable encoder: a
   * fixed batch, other images than those asked for, external data, an output that does not give the same elements for every image;
   * `invalid_option` for an output that is not there or a normalisation that neither the options nor the model give.
   */
  static async load(process: RuntimeProcess, path: string, model: Uint8Array, options: EncoderOptions): Promise<OnnxEncoder> {
    const { device, provider = 'auto', signal } = options
    const file = readModel(path, model)
    const { input, image } = chooseInput(path, file, options.image)
    const output = chooseOutput(path, file, options.output)
    const affine = pixelAffine(path, file, { image, ...(options.normalization && { normalization: options.normalization }) })
    // Pixels come as numbers in [0, 1], not as bytes.
    const [scale, shift] = [affine.scale.map((s) => s * byteMost), affine.shift]
    const request = { threads: device.threads, input, outputs: [output.name], provider }
    const loaded = await refusing(path, 'load', () => process.abortable(signal, () => device.hold(() => process.load(model, request))))
    const images = new Float32Array(2 * image[0] * image[1] * image[2]).fill(0.5)
    const run = { session: loaded.session, images, shape: [2, ...image] as const, scale, shift }
    const [rows] = await refusing(path, 'run', () => process.abortable(signal, () => device.hold(() => process.run(run))))
    const { dim, positions } = dimOf(path, output, rows.length / 2)
    return new OnnxEncoder(path, process, { ...loaded, image, output: output.name, dim, positions, scale, shift }, device)
  }

  /**
   * Rows [rows, dim] of images NHWC in [0, 1], in their order: an item of the device's queue for every 64 images or less. Throws
   * `not_finite` when an element is no number, AbortError, after which the process has ended.
   */
  async encode(pixels: Float32Array, rows: number, signal?: AbortSignal): Promise<Float32Array> {
    const perImage = this.image.reduce((a, b) => a * b, 1)
    const step = Math.max(1, Math.min(mostRows, Math.floor(messageBytes / (4 * perImage))))
    const all = new Float32Array(rows * this.dim)
    for (let first = 0; first < rows; first += step) {
      const n = Math.min(step, rows - first)
      const images = pixels.subarray(first * perImage, (first + n) * perImage)
      const request = { session: this.#session, images, shape: [n, ...this.image] as const, scale: this.#scale, shift: this.#shift }
      const [values] = await refusing(this.#path, 'run', () =>
        this.#process.abortable(signal, () => this.#device.hold(() => this.#process.run(request))),
      )
      if (values.length !== n * this.dim * this.#positions)
        throw expected('invalid_data', `${this.#path}: output '${this.output}' of ${n} images`, `${n * this.dim} numbers`, values.length)
      const pooled = this.#positions === 1 ? values : averaged(values, this.#positions)
      const odd = pooled.findIndex((v) => !Number.isFinite(v))
      if (odd >= 0) {
        const place = `image ${first + Math.floor(odd / this.dim)}, element ${odd % this.dim}`
        throw new AludelError(
          'not_finite',
          `${this.#path}: output '${this.output}' is ${pooled[odd]} (${place}); look at the model's weights and at how its input is normalised`,
        )
      }
      all.set(pooled, first * this.dim)
    }
    return all
  }
}

interface Loaded {
  readonly session: number
  readonly provider: 'cpu' | 'cuda'
  readonly image: readonly [number, number, number]
  readonly output: string
  readonly dim: number
  readonly positions: number
  readonly scale: Float32Array
  readonly shift: Float32Array
}

/** Means of each `positions` numbers, summed in float64. */
function averaged(values: Float32Array, positions: number): Float32Array {
  const means = new Float32Array(values.length / positions)
  for (let i = 0; i < means.length; i++) {
    let total = 0
    for (let p = 0; p < positions; p++) total += values[i * positions + p]
    means[i] = total / positions
  }
  return means
}

function chooseInput(path: string, { inputs }: OnnxFile, wanted: EncoderOptions['image']) {
  const [input, ...others] = inputs
  if (!input || others.length > 0) throw expected('invalid_data', `${path}: inputs`, 'one, the images', listed(inputs))
  const what = `${path}: input '${input.name}'`
  if (input.elementType !== elementType.float) throw expected('invalid_data', what, 'float32', `element type ${input.elementType}`)
  const { dims } = input
  if (dims && dims.length !== 4) throw expected('invalid_data', what, 'images [N, C, H, W]', shown(input))
  if (dims && typeof dims[0] === 'number') {
    const todo = 'an encoder sees batches of any size: export the model with a free batch axis'
    throw expected('invalid_data', what, 'a free batch axis', shown(input), todo)
  }
  const order = wanted && [wanted[2], wanted[0], wanted[1]]
  const sizes = [1, 2, 3].map((axis) => dims?.[axis] ?? '')
  if (order?.some((size, i) => typeof sizes[i] === 'number' && sizes[i] !== size)) {
    const todo = otherImages([sizes[1], sizes[2], sizes[0]], wanted)
    throw expected('invalid_data', what, `[N, ${order.join(', ')}] as the images are`, shown(input), todo)
  }
  const [channels, height, width] = sizes.map((size, i) => order?.[i] ?? size)
  if (typeof height !== 'number' || typeof width !== 'number' || typeof channels !== 'number')
    throw expected('invalid_option', what, 'the size of the images, which the model leaves open', shown(input))
  return { input: input.name, image: [height, width, channels] as const }
}

function chooseOutput(path: string, { outputs }: OnnxFile, wanted: string | undefined): ModelPort {
  const floats = outputs.filter((port) => port.elementType === elementType.float)
  const found =
    wanted === undefined
      ? (floats.find(({ name }) => name === 'features') ?? (floats.length === 1 ? floats[0] : undefined))
      : floats.find(({ name }) => name === wanted)
  if (found) return found
  const what = wanted === undefined ? "an output named 'features', or the name of another" : 'one of float32'
  throw expected('invalid_option', `${path}: output`, `${what} among ${listed(outputs)}`, wanted ?? 'none')
}

/** Of an output with `perRow` numbers for an image: rows as they are, maps [N, C, H, W] averaged over their positions. */
function dimOf(path: string, output: ModelPort, perRow: number): { readonly dim: number; readonly positions: number } {
  const what = `${path}: output '${output.name}'`
  if (!Number.isInteger(perRow) || perRow < 1)
    throw expected('invalid_data', what, 'the same numbers for every image', `${perRow} an image`)
  const { dims } = output
  if (!dims || dims.length === 2) return { dim: perRow, positions: 1 }
  const [, channels] = dims
  if (dims.length === 4 && typeof channels === 'number' && perRow % channels === 0) return { dim: channels, positions: perRow / channels }
  throw expected('invalid_data', what, 'rows [N, D] or maps [N, C, H, W] with a known number of channels', shown(output))
}
