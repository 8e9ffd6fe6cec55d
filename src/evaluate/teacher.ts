/** @file Teachers: who answers with probabilities for the images of a set. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { gather, reshape } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { AludelError } from '../errors.js'
import { displayPixels } from '../experiment/synthetic-set.js'
import type { EvaluationProgress, SyntheticSetFields } from '../experiment/types.js'
import { OnnxClassifier, type PixelNormalization, RuntimeProcess, readModelFile } from '../onnx/index.js'
import { trainOnReal } from './real-network.js'
import { networkInputs, networkValues, programArrays, type Trainer } from './trainer.js'

export interface Teacher {
  /** Logits [M, classes] of the images of a set of the teacher's images and classes. */
  logits(set: SyntheticSetFields): Promise<Float32Array>
  dispose(): void
}

/** Images of one forward pass. */
const batch = 64

/**
 * An ONNX classifier, given by its path or its bytes, as `evaluateModel` takes it: pixels are normalised with the given numbers or with those
 * in its metadata. It sees the images as bytes, rounded and without their whitening. Throws as `evaluateModel` does.
 */
export async function modelTeacher(
  model: string | Uint8Array,
  {
    device,
    image,
    classes,
    signal,
    normalization,
  }: {
    readonly device: Device
    /** [H, W, C] */
    readonly image: readonly [number, number, number]
    readonly classes: readonly string[]
    readonly normalization?: PixelNormalization
    readonly signal?: AbortSignal
  },
): Promise<Teacher> {
  checkDevice('modelTeacher', device)
  checkSignal('modelTeacher', signal)
  const path = typeof model === 'string' ? model : 'model'
  const bytes = typeof model === 'string' ? await readModelFile(model) : new Uint8Array(model)
  const runtime = await RuntimeProcess.open()
  try {
    const options = { device, image, classes, ...(normalization && { normalization }), ...(signal && { signal }) }
    const classifier = await OnnxClassifier.load(runtime, path, bytes, options)
    const pixels = image.reduce((a, b) => a * b, 1)
    return {
      async logits(set) {
        const shown = await displayPixels(set)
        const rows = set.shape[0]
        const all = new Float32Array(rows * classes.length)
        for (let first = 0; first < rows; first += batch) {
          const n = Math.min(batch, rows - first)
          all.set(await classifier.logits(shown.subarray(first * pixels, (first + n) * pixels), n), first * classes.length)
        }
        return all
      },
      dispose: () => runtime.close(),
    }
  } catch (error) {
    runtime.close()
    throw error
  }
}

export interface NetworkTeacherOptions {
  readonly device: Device
  /** Registry name, default 'convnet'. */
  readonly network?: string
  /** Passes over the real images, one more as in the protocol 'dc' (default 20). */
  readonly epochs?: number
  readonly seed?: number
  readonly signal?: AbortSignal
  readonly onProgress?: (progress: EvaluationProgress) => void
}

/** A network trained on all real images without augmentation: SGD lr 0.01, momentum 0.9, weight decay 5e-4, batches of 256. */
export async function networkTeacher(data: Dataset | DatasetInput, options: NetworkTeacherOptions): Promise<Teacher> {
  const what = 'networkTeacher'
  checkOptions(what, options, { device: true, network: true, epochs: true, seed: true, signal: true, onProgress: true })
  const { device, network = 'convnet', epochs = 20, seed = 0, signal, onProgress } = options
  checkDevice(what, device)
  checkSignal(what, signal)
  checkCallback(`${what}: onProgress`, onProgress)
  wholeNumber('epochs', epochs)
  checkSeed('seed', seed)
  const key = fold(keyOf(seed), 'teacher', network)
  const trainer = await trainOnReal(asDataset(data), {
    ...{ network, device, epochs, key },
    ...(signal && { signal }),
    ...(onProgress && { onProgress }),
  })
  return { logits: (set) => networkLogits(device, trainer, set, signal), dispose: () => trainer.dispose() }
}

async function networkLogits(
  device: Device,
  trainer: Trainer,
  { images, shape, classes }: SyntheticSetFields,
  signal: AbortSignal | undefined,
): Promise<Float32Array> {
  const { network } = trainer
  const [rows, ...image] = shape
  const replays = Math.ceil(rows / batch)
  const slots = { count: replays }
  const { program, arrays } = allOrNothing((own) => ({
    program: own(
      bindProgram<string, string>(device, {
        inputs: { ...networkInputs(network, 1), images: { shape }, index: { shape: [batch], dtype: 'i32', slots } },
        outputs: { logits: { slots } },
        build(v) {
          const x = reshape(gather(v.images, v.index), [1, batch, ...image])
          const { parameters, state } = networkValues(network, v)
          return { logits: reshape(network.apply(parameters, x, { mode: 'eval', state }).logits, [batch, classes.length]) }
        },
      }),
    ),
    arrays: {
      images: own(device.array('f32', shape, images)),
      index: own(
        device.array(
          'i32',
          [replays, batch],
          Int32Array.from({ length: replays * batch }, (_, i) => Math.min(i, rows - 1)),
        ),
      ),
      logits: own(device.array('f32', [replays, batch, classes.length])),
    },
  }))
  try {
    await program.run({ ...programArrays(trainer.measured), ...arrays }, { n: replays, ...(signal && { signal }) })
    const logits = ((await arrays.logits.read()) as Float32Array).slice(0, rows * classes.length)
    const bad = logits.findIndex((z) => !Number.isFinite(z))
    if (bad < 0) return logits
    throw new AludelError('not_finite', `teacher '${network.name}': logit ${bad % classes.length} of an image is ${logits[bad]}`)
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}
