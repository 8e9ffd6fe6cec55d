/** @file Test accuracy of an ONNX model: the test set streamed through ONNX Runtime. */
import { checkCallback, checkDevice, checkOptions, checkSignal } from '../arguments.js'
import { type AnyDataset, resolveDataset } from '../data/any-dataset.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import { OnnxClassifier, type PixelNormalization, RuntimeProcess, readModelFile } from '../onnx/index.js'
import { accuracyOf, type TestAccuracy } from './accuracy.js'

/** Most images and bytes of one batch: what is copied to the runtime's process at once. */
const batchRows = 256
const batchBytes = 4 << 20

export interface EvaluateModelOptions extends PixelNormalization {
  readonly test: AnyDataset
  /** ONNX Runtime computes with as many threads, as an item of this device's queue. */
  readonly device: Device
  /** 'auto' (default): CUDA where ONNX Runtime has it, else the CPU. */
  readonly provider?: 'auto' | 'cpu'
  readonly signal?: AbortSignal
  /** Hears of the images classified so far. */
  readonly onProgress?: (progress: { readonly images: number; readonly total: number }) => void
}

export interface ModelAccuracy extends TestAccuracy {
  readonly images: number
  /** Images whose largest logit (the first one on ties) is that of their class. */
  readonly correct: number
  readonly provider: 'cpu' | 'cuda'
}

/**
 * Accuracy of an ONNX image classifier, given by its path or its bytes, on test images. The model takes one float32 input [N, C, H, W] and
 * gives float32 logits [N, classes] in the order of the data's classes; of several outputs the one named `logits`, or the one that fits.
 * Pixels are normalised as (byte * scale - mean) / std with the given numbers, or with those in the model's metadata when none is given.
 * Needs the optional package onnxruntime-node. Throws `unavailable` without it, `invalid_option`, `not_found`, `io`, `invalid_data` for
 * bytes that are no such model (external data is never opened), `not_finite` for logits that are no numbers.
 */
export async function evaluateModel(model: string | Uint8Array, options: EvaluateModelOptions): Promise<ModelAccuracy> {
  checkOptions('evaluateModel', options, optionNames)
  const { device, provider, signal, onProgress, mean, std, scale } = options
  checkDevice('evaluateModel', device)
  checkSignal('evaluateModel', signal)
  checkCallback('evaluateModel: onProgress', onProgress)
  if (provider !== undefined && provider !== 'auto' && provider !== 'cpu')
    throw expected('invalid_option', 'evaluateModel: provider', "'auto' or 'cpu'", provider)
  if (typeof model !== 'string' && !(model instanceof Uint8Array))
    throw expected('invalid_option', 'evaluateModel: model', 'a path, or its bytes as a Uint8Array', model)
  const test = await resolveDataset(options.test)
  checkLabelled('evaluateModel', test)
  if (test.whitened) throw expected('invalid_data', 'evaluateModel: test', 'images as they were read', 'whitened ones')
  const [, height, width, channels] = test.shape
  const isGiven = mean !== undefined || std !== undefined || scale !== undefined
  const path = typeof model === 'string' ? model : 'model'
  // A copy, so that what was looked at is what runs.
  const bytes = typeof model === 'string' ? await readModelFile(model) : new Uint8Array(model)
  const runtime = await RuntimeProcess.open()
  try {
    const classifier = await OnnxClassifier.load(runtime, path, bytes, {
      device,
      image: [height, width, channels],
      classes: test.classes,
      ...(isGiven && {
        normalization: { ...(mean !== undefined && { mean }), ...(std !== undefined && { std }), ...(scale !== undefined && { scale }) },
      }),
      ...(provider && { provider }),
      ...(signal && { signal }),
    })
    return { ...(await measureClassifier(classifier, test, onProgress)), provider: classifier.provider }
  } finally {
    runtime.close()
  }
}

const optionNames: Readonly<Record<keyof EvaluateModelOptions, true>> = {
  ...{ test: true, device: true, provider: true, signal: true, onProgress: true },
  ...{ mean: true, std: true, scale: true },
}

/** Streams the test images through a loaded classifier. */
export async function measureClassifier(
  classifier: OnnxClassifier,
  test: Dataset,
  onProgress?: EvaluateModelOptions['onProgress'],
): Promise<Omit<ModelAccuracy, 'provider'>> {
  const [rows, height, width, channels] = test.shape
  const pixels = height * width * channels
  const batch = Math.max(1, Math.min(batchRows, Math.floor(batchBytes / pixels)))
  const hits = new Uint8Array(rows)
  for (let first = 0; first < rows; first += batch) {
    const end = Math.min(rows, first + batch)
    const logits = await classifier.logits(test.images.subarray(first * pixels, end * pixels), end - first)
    const classes = test.classes.length
    for (let row = first; row < end; row++) {
      const own = logits.subarray((row - first) * classes, (row - first + 1) * classes)
      hits[row] = own.indexOf(Math.max(...own)) === test.labels[row] ? 1 : 0
    }
    onProgress?.({ images: end, total: rows })
  }
  return { ...accuracyOf(test, hits), images: rows, correct: hits.reduce((a, b) => a + b, 0) }
}
