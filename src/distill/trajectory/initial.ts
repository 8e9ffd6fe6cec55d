/** @file What a set with learned labels starts from: real images and what the experts' last checkpoints say of them (specification section 8). */
import { checkDevice, checkSeed, checkSignal, wholeNumber } from '../../arguments.js'
import type { Dataset } from '../../data/dataset.js'
import type { Device } from '../../engine/runtime/device.js'
import { fold, keyOf, purpose } from '../../engine/tensor/key.js'
import { permutation } from '../../engine/tensor/philox.js'
import { AludelError, expected } from '../../errors.js'
import { Turn } from '../../event-loop.js'
import type { Network } from '../../nn/module.js'
import { networkRows } from '../../preprocess/row-source.js'
import { type InitialImages, initialImages } from '../initial-images.js'
import { type ExpertCheckpoints, ExpertLogits } from './expert-logits.js'
import { chooseRight, predictedClass, RightLogits } from './initial-labels.js'

export interface InitialSamples extends InitialImages {
  /** [classes * ipc, classes]; class-major as the images are. */
  readonly labelLogits: Float32Array
}

export interface InitialOptions {
  readonly ipc: number
  readonly seed: number
  readonly signal?: AbortSignal
}

const what = 'initial samples'

/**
 * DATM, PAD: the images of each class are shuffled, and the first `ipc` that expert 0 classifies right are kept; where there are fewer, the
 * class is gone through again with expert 1, 2, … Labels are the mean logits of all experts that classify the image right.
 * @throws AludelError `invalid_option` for a class of which all experts together classify fewer than `ipc` images right, and for a store
 * without experts; `not_finite`, and what reading the store throws; AbortError.
 */
export async function initialByPrediction(
  device: Device,
  dataset: Dataset,
  network: Network,
  store: ExpertCheckpoints,
  { ipc, seed, signal }: InitialOptions,
): Promise<InitialSamples> {
  checkDevice(what, device)
  checkSignal(what, signal)
  wholeNumber('ipc', ipc)
  checkFinished(store)
  const { classes, labels } = dataset
  const key = fold(keyOf(checkSeed('seed', seed)), 'initial-by-prediction')
  const orders: Int32Array[] = []
  const turn = new Turn()
  for (let c = 0; c < classes.length; c++) {
    await turn.breathe()
    const rows = dataset.classIndices(c)
    orders.push(permutation(key, c, purpose.syntheticInit, rows.length).map((i) => rows[i]))
  }
  const together = rowsTogether(classes.length * ipc)
  const answers = new ExpertLogits(device, dataset, network, store, together)
  try {
    const right = async (expert: number, rows: Int32Array) => {
      const logits = await answers.of(expert, rows, signal)
      return Array.from(rows, (row, i) => predictedClass(logits, i, classes.length) === labels[row])
    }
    const { rows: chosen } = await chooseRight(orders, { ipc, experts: store.experts, together, right })
    checkEnough(chosen, dataset, ipc, store)
    const sourceIds = Int32Array.from(chosen.flat())
    const mean = new RightLogits(
      sourceIds.map((row) => labels[row]),
      classes.length,
    )
    for (const expert of store.experts) mean.add(await answers.of(expert, sourceIds, signal))
    return { images: await networkRows(dataset, sourceIds), labelLogits: Float32Array.from(mean.mean()), sourceIds }
  } finally {
    answers.dispose()
  }
}

/** As CIFAR-100 with 50 images per class in DATM: random real images, as init 'real' draws them, and what the first expert says of them, right or not. */
export async function initialByOneExpert(
  device: Device,
  dataset: Dataset,
  network: Network,
  store: ExpertCheckpoints,
  { ipc, seed, signal }: InitialOptions,
): Promise<InitialSamples> {
  checkDevice(what, device)
  checkSignal(what, signal)
  checkFinished(store)
  const start = await initialImages(dataset, { ipc: wholeNumber('ipc', ipc), init: 'real', seed: checkSeed('seed', seed) })
  const answers = new ExpertLogits(device, dataset, network, store, rowsTogether(start.sourceIds.length))
  try {
    return { ...start, labelLogits: await answers.of(store.experts[0], start.sourceIds, signal) }
  } finally {
    answers.dispose()
  }
}

/** Images of one forward pass: a function of the set's size alone, as bits are. */
const rowsTogether = (images: number): number => Math.min(128, Math.max(16, images))

function checkFinished({ dir, experts }: ExpertCheckpoints): void {
  if (experts.length === 0)
    throw new AludelError('invalid_option', `${dir}: has no finished expert yet; train on with: aludel experts --resume ${dir}`)
}

function checkEnough(chosen: readonly number[][], { classes }: Dataset, ipc: number, { dir, experts }: ExpertCheckpoints): void {
  const short = chosen.findIndex((rows) => rows.length < ipc)
  if (short < 0) return
  const most = Math.min(...chosen.map((rows) => rows.length))
  const todo = `${most > 0 ? `lower ipc to ${most}, ` : ''}start from init 'real', or train experts longer`
  throw expected(
    'invalid_option',
    `class '${classes[short]}'`,
    `${ipc} real images that an expert of ${dir} classifies right`,
    `${chosen[short].length} after ${experts.length === 1 ? 'the only expert' : `all ${experts.length} experts`}`,
    todo,
  )
}
