/** @file How well kernel ridge regression on a set answers test images, under the kernel of an infinitely wide network: what KIP optimises. */
import { checkDevice, checkOptions } from '../../arguments.js'
import { asDataset, type Dataset, type DatasetInput } from '../../data/dataset.js'
import { checkLabelled } from '../../data/labels.js'
import { allOrNothing } from '../../engine/all-or-nothing.js'
import { bindProgram } from '../../engine/bound-program.js'
import { cast, type Value } from '../../engine/index.js'
import type { Device } from '../../engine/runtime/device.js'
import { expected } from '../../errors.js'
import { checkSyntheticSet } from '../../experiment/synthetic-set.js'
import type { SyntheticSetFields } from '../../experiment/types.js'
import { rowSource } from '../../preprocess/row-source.js'
import { completeOptions } from '../method-options.js'
import { centredRows } from './centred.js'
import type { KernelKind } from './infinite-network.js'
import { kip } from './kip.js'
import { kernelAnswers } from './label-step.js'

export interface KernelAccuracyOptions {
  readonly device: Device
  /** Real images that are classified; normalised with the numbers of the set, which must be those of its classes. */
  readonly test: Dataset | DatasetInput
  /** Defaults are those of method 'kip'. */
  readonly kernel?: KernelKind
  readonly depth?: number
  readonly weightVariance?: number
  readonly biasVariance?: number
  readonly ridge?: number
}

export interface KernelAccuracy {
  /** In per cent. */
  readonly accuracy: number
  /** Half the mean squared error over all test images and classes, against centred one-hot rows. */
  readonly loss: number
}

/** Test images of one run of the program. */
const chunk = 1000

/**
 * P = K_ts (K_ss + lambda I)^-1 Y_s in float64, Y_s the set's targets, or centred one-hot rows of its classes. The class is that of the
 * largest answer.
 * @throws AludelError `invalid_option` for options of the kernel that are none, `invalid_data` for other images or classes than the set's.
 */
export async function kernelAccuracy(
  set: SyntheticSetFields,
  { device, test: given, ...options }: KernelAccuracyOptions,
): Promise<KernelAccuracy> {
  checkDevice('kernelAccuracy', device)
  checkSyntheticSet(set)
  const test = asDataset(given)
  checkLabelled('kernelAccuracy', test)
  const names = { kernel: true, depth: true, weightVariance: true, biasVariance: true, ridge: true } as const
  checkOptions('kernelAccuracy', options, names)
  const { options: defaults } = kip.presets.code.settings({ ipc: 1, image: [1, 1, 1] })
  const { kernel, depth, weightVariance, biasVariance, ridge: c } = completeOptions('kernelAccuracy', kip.options, defaults, options)
  const network = { kernel, depth, weightVariance, biasVariance }
  checkTask(set, test)
  const answers = await answersTo(set, test, (batch) => kernelAnswers(network, batch, { c, scale: 'meanTrace', detach: false }), device)
  return measured(answers, test)
}

function checkTask({ shape, classes, whitening }: SyntheticSetFields, test: Dataset): void {
  const task = (image: readonly number[], names: readonly string[], zca: string | undefined) =>
    `images [${image.join(', ')}] of ${names.length} classes (${names.join(', ')})${zca ? `, whitened by ${zca}` : ''}`
  const wanted = task(shape.slice(1), classes, whitening?.sha256)
  const received = task(test.shape.slice(1), test.classes, test.whitened?.whitening.sha256)
  if (wanted !== received) throw expected('invalid_data', 'kernelAccuracy: test', wanted, received)
}

type Answers = (batch: { images: Value; targets: Value; real: Value }) => { answers: Value }

/** P [rows, k] of all test images. */
async function answersTo(set: SyntheticSetFields, test: Dataset, answer: Answers, device: Device): Promise<Float32Array> {
  const rows = rowSource(test, set)
  const [n, ...image] = set.shape
  const k = set.classes.length
  const { program, arrays } = allOrNothing((own) => ({
    program: own(
      bindProgram<string, string>(device, {
        inputs: {
          ...rows.inputs,
          images: { shape: [n, ...image] },
          targets: { shape: [n, k] },
          index: { shape: [chunk], dtype: 'i32' },
        },
        outputs: { answers: {} },
        build: (v) => {
          const { answers } = answer({ images: v.images, targets: v.targets, real: rows.gather(v, v.index) })
          return { answers: cast(answers, 'f32') }
        },
      }),
    ),
    arrays: {
      ...rows.arrays((...array) => own(device.array(...array))),
      images: own(device.array('f32', [n, ...image], set.images)),
      targets: own(device.array('f32', [n, k], set.targets ?? centredRows(set.labels, k))),
      index: own(device.array('i32', [chunk])),
      answers: own(device.array('f32', [chunk, k])),
    },
  }))
  try {
    const total = test.shape[0]
    const all = new Float32Array(total * k)
    for (let first = 0; first < total; first += chunk) {
      // places past the end repeat the last image
      const index = Int32Array.from({ length: chunk }, (_, i) => Math.min(first + i, total - 1))
      await Promise.all([arrays.index.write(index), program.run(arrays)])
      const read = (await arrays.answers.read()) as Float32Array
      all.set(read.subarray(0, Math.min(chunk, total - first) * k), first * k)
    }
    return all
  } finally {
    program.dispose()
    for (const array of Object.values(arrays)) array.dispose()
  }
}

function measured(answers: Float32Array, { labels, classes }: Dataset): KernelAccuracy {
  const k = classes.length
  let [right, squares] = [0, 0]
  for (const [row, label] of labels.entries()) {
    const own = answers.subarray(row * k, (row + 1) * k)
    if (own.indexOf(Math.max(...own)) === label) right++
    for (const [c, p] of own.entries()) squares += (p - Number(c === label) + 1 / k) ** 2
  }
  return { accuracy: (100 * right) / labels.length, loss: squares / (2 * labels.length * k) }
}
