/** @file An ONNX image classifier: looked at before ONNX Runtime sees it, loaded in the runtime's process, asked for logits. */
import { readWhole } from '../data/file-bytes.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { metadataKeys } from '../export/onnx/export-network.js'
import { elementType } from '../export/onnx/schema.js'
import { metadataList, type PixelNormalization, pixelAffine } from './normalization.js'
import { listed, shown } from './ports.js'
import { type ModelPort, type OnnxFile, readModel } from './read-model.js'
import { type RuntimeProcess, refusing } from './runtime-process.js'

/** ONNX itself ends at 2 GiB: larger models keep their tensors in other files. */
const maxModelBytes = 2 ** 31 - 2

/** Most bytes of a batch that a model may ask for as its own: it is filled up to that, however few images there are. */
const mostInputBytes = 2 ** 30

/** What the images and the classes of the data are. */
export interface ClassifierTask {
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  /** Names of the classes that the logits speak of; a number where only their count is known. */
  readonly classes: readonly string[] | number
}

export interface LoadOptions extends ClassifierTask {
  readonly device: Device
  /** Default: what the model's metadata says. */
  readonly normalization?: PixelNormalization
  /** 'auto' (default): CUDA where ONNX Runtime has it, else the CPU. */
  readonly provider?: 'auto' | 'cpu'
  /** Output that gives the input of the last layer, float32 [N, D], beside the logits. */
  readonly features?: string
  readonly signal?: AbortSignal
}

/** What a model says of some images, row after row. */
export interface ClassifierOutputs {
  /** [rows, classes] */
  readonly logits: Float32Array
  /** [rows, D]; only where a features output was asked for. */
  readonly features?: Float32Array
}

/** The bytes of a model file. Throws `not_found`, `io`, and `invalid_data` for what is larger than a model can be. */
export const readModelFile = (path: string): Promise<Uint8Array> => readWhole(path, maxModelBytes)

/** Loaded by `OnnxClassifier.load`; `close` ends its process unless that was the caller's. */
export class OnnxClassifier {
  /** Where it runs. */
  readonly provider: 'cpu' | 'cuda'
  /** Images of every run of a model whose batch is fixed; undefined for a free one. */
  readonly batch: number | undefined
  readonly #path: string
  readonly #process: RuntimeProcess
  readonly #session: number
  readonly #options: LoadOptions
  readonly #scale: Float32Array
  readonly #shift: Float32Array

  private constructor(
    path: string,
    process: RuntimeProcess,
    loaded: { readonly session: number; readonly provider: 'cpu' | 'cuda' },
    options: LoadOptions,
    affine: { readonly scale: Float32Array; readonly shift: Float32Array; readonly batch: number | undefined },
  ) {
    this.batch = affine.batch
    this.#path = path
    this.#process = process
    this.#session = loaded.session
    this.provider = loaded.provider
    this.#options = options
    this.#scale = affine.scale
    this.#shift = affine.shift
  }

  /**
   * Loads a model, named `path` in errors. Throws `invalid_data` for bytes that are no usable classifier of these images and classes,
   * `invalid_option` when neither the options nor the model say how its input is normalised.
   */
  static async load(process: RuntimeProcess, path: string, model: Uint8Array, options: LoadOptions): Promise<OnnxClassifier> {
    const { device, provider = 'auto', signal } = options
    const file = readModel(path, model)
    const { input, output, batch } = choosePorts(path, file, options)
    checkClasses(path, file, options.classes)
    const affine = pixelAffine(path, file, options)
    const outputs = [output, ...(options.features === undefined ? [] : [checkFeatures(path, file, options.features)])]
    const request = { threads: device.threads, input, outputs, provider, ...(batch !== undefined && { batch }) }
    const loaded = await refusing(path, 'load', () => process.abortable(signal, () => device.hold(() => process.load(model, request))))
    return new OnnxClassifier(path, process, loaded, options, { ...affine, batch })
  }

  /**
   * Logits [rows, classes] of images given as bytes NHWC, computed as an item of the device's queue: two pools of threads on the same
   * cores would cost both dearly. Throws `invalid_data` when the model does not give them, `not_finite` when one is no number.
   */
  async logits(images: Uint8Array, rows: number): Promise<Float32Array> {
    return (await this.run(images, rows)).logits
  }

  /** As `logits`, with the features that were asked for. */
  async run(images: Uint8Array, rows: number): Promise<ClassifierOutputs> {
    const { device, image, signal } = this.#options
    const classes = countOf(this.#options)
    const request = { session: this.#session, images, shape: [rows, ...image] as const, scale: this.#scale, shift: this.#shift }
    const [logits, features] = await refusing(this.#path, 'run', () =>
      this.#process.abortable(signal, () => device.hold(() => this.#process.run(request))),
    )
    if (logits.length !== rows * classes) {
      throw expected('invalid_data', `${this.#path}: logits of ${rows} images`, `${rows * classes} numbers`, logits.length)
    }
    const wrong = logits.findIndex((v) => !Number.isFinite(v))
    if (wrong >= 0) throw new AludelError('not_finite', `${this.#path}: logit ${wrong % classes} of an image is ${logits[wrong]}`)
    if (features === undefined) return { logits }
    const odd = features.findIndex((v) => !Number.isFinite(v))
    if (odd >= 0) throw new AludelError('not_finite', `${this.#path}: a feature of an image is ${features[odd]}`)
    return { logits, features }
  }

  /** Frees the model; its process goes on. */
  unload(): Promise<void> {
    return this.#process.unload(this.#session)
  }
}

/** Names of the input and of the output in use, and the batch of a model that has one of its own. */
function choosePorts(path: string, file: OnnxFile, { image, classes, features }: Pick<LoadOptions, 'image' | 'classes' | 'features'>) {
  const [input, ...others] = file.inputs
  if (!input || others.length > 0) throw expected('invalid_data', `${path}: inputs`, 'one, the images', listed(file.inputs))
  const outputs = file.outputs.filter(({ name }) => name !== features)
  return { input: input.name, output: chooseOutput(path, outputs, countOf({ classes })), ...checkInput(path, input, image) }
}

const countOf = ({ classes }: Pick<ClassifierTask, 'classes'>): number => (typeof classes === 'number' ? classes : classes.length)

function checkFeatures(path: string, { outputs }: OnnxFile, name: string): string {
  const found = outputs.find((output) => output.name === name && output.elementType === elementType.float)
  if (!found) throw expected('invalid_option', `${path}: features output`, `one of float32 among ${listed(outputs)}`, name)
  return name
}

function checkInput(path: string, input: ModelPort, [height, width, channels]: ClassifierTask['image']): { readonly batch?: number } {
  const what = `${path}: input '${input.name}'`
  if (input.elementType !== elementType.float) throw expected('invalid_data', what, 'float32', `element type ${input.elementType}`)
  const { dims } = input
  if (!dims) return {}
  const wanted = [channels, height, width]
  const fits = (sizes: readonly number[]) =>
    dims.length === 4 && sizes.every((size, i) => dims[i + 1] === size || typeof dims[i + 1] === 'string')
  if (!fits(wanted)) {
    const [, , side] = dims
    const square = typeof side === 'number' && fits([channels, side, side])
    const resize = square ? `the model takes ${side} pixels: read images of folders at that size (--size ${side})` : undefined
    const todo = fits([height, width, channels]) ? 'the model takes NHWC; export it with channels first' : resize
    throw expected('invalid_data', what, `[N, ${wanted.join(', ')}] as the images are`, shown(input), todo)
  }
  const [batch] = dims
  if (typeof batch !== 'number') return {}
  const most = Math.max(1, Math.floor(mostInputBytes / (4 * channels * height * width)))
  if (batch < 1 || batch > most) throw expected('invalid_data', what, `a batch of at least 1 and at most ${most}`, shown(input))
  return { batch }
}

/** 'logits', or the one output that has as many columns as there are classes. */
function chooseOutput(path: string, outputs: readonly ModelPort[], classes: number): string {
  const fits = ({ elementType: type, dims }: ModelPort) =>
    type === elementType.float &&
    (!dims || (dims.length >= 2 && [classes, ...dims.slice(2).map(() => 1)].every((n, i) => sizeIs(dims[i + 1], n))))
  const named = outputs.filter(({ name }) => name === 'logits')
  const candidates = (named.length > 0 ? named : outputs).filter(fits)
  if (candidates.length === 1) return candidates[0].name
  throw expected('invalid_data', `${path}: outputs`, `one of float32 [N, ${classes}], a logit for each class of the data`, listed(outputs))
}

const sizeIs = (dim: number | string, size: number): boolean => typeof dim === 'string' || dim === size

/** Throws `invalid_data` where the model names classes other than those of the data. */
function checkClasses(path: string, { metadata }: OnnxFile, classes: ClassifierTask['classes']): void {
  const own = metadataList(path, metadata, metadataKeys.classes)
  if (own && typeof classes !== 'number' && own.join('\n') !== classes.join('\n')) {
    throw expected('invalid_data', `${path}: classes`, `those of the data (${classes.join(', ')})`, own.join(', '))
  }
}
