/** @file How well a set of representations teaches a network what a teacher knows of images that took no part in its making: KRR-ST's outer loss. */
import { checkDevice, checkOptions, checkSeed, checkSignal, isRecord, wholeNumber } from '../arguments.js'
import type { Dataset } from '../data/dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { add, concat, full, matmul, slice } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { expected } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'
import type { RepresentationSetFields } from '../experiment/representation-set.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { Network } from '../nn/module.js'
import { networkByName } from '../nn/networks/registry.js'
import { checkRidge, checkRidgeReport, type Ridge, ridgeHead, ridgeReport } from '../ridge/index.js'
import { forward, freshTensors } from './networks.js'
import type { ImageRows } from './rows.js'
import { defaultSettings, type SettingsChange, settingsOf } from './settings.js'
import { checkReal, checkTeacherIdentity, type PretrainingRows, PretrainingSources, type TransferTeacher } from './source.js'
import { stepsPerPass, trainNetwork } from './train.js'

export interface HeldOutOptions {
  readonly device: Device
  /** Real images of the set's size, not those that it was made from; seen as the set's real images were. */
  readonly data: Dataset
  /** The set's teacher. */
  readonly teacher: TransferTeacher
  /** A name of the registry, default 'conv-bn'. */
  readonly network?: string
  /** Networks, default 3: the first is always the same for the same seed. */
  readonly repeats?: number
  /** How each is trained on the set before its last layer is solved for; `epochs: 0` leaves it as it was drawn. Default: that of `transfer`. */
  readonly pretrain?: SettingsChange['pretrain']
  /** Default KRR-ST's: 1e-6 of the trace. */
  readonly ridge?: Ridge
  readonly seed?: number
  readonly signal?: AbortSignal
}

export interface HeldOutLoss {
  /** mean((P - Y)^2) over all images and dimensions, one for each network. */
  readonly losses: readonly number[]
  readonly mean: number
  /** The same of the best constant answer, the mean representation of these images: what a loss must be below to say anything. */
  readonly constant: number
}

type Set = Pick<RepresentationSetFields, 'images' | 'shape' | 'targets' | 'dim' | 'mean' | 'std' | 'initSpace'> &
  Partial<Pick<RepresentationSetFields, 'teacher'>>

const known: Readonly<Record<keyof HeldOutOptions, true>> = {
  ...{ device: true, data: true, teacher: true, network: true, repeats: true, pretrain: true, ridge: true, seed: true, signal: true },
}

/** Features of real images that stand on the device at once. */
const chunk = 256

/**
 * L = mean((Phi_t W - Y_t)^2) with W the ridge solution of (Phi_s, Y_s), Phi the features (and a column of ones) of a network trained on
 * the set (arXiv 2310.06511, the outer objective), over real images that were held out.
 * @throws AludelError `invalid_option`, `invalid_data` for images or a teacher that do not fit the set, `incompatible` for another teacher, `not_positive_definite`, `not_finite`; AbortError.
 */
export async function heldOutLoss(set: Set, options: HeldOutOptions): Promise<HeldOutLoss> {
  const what = 'heldOutLoss'
  checkOptions(what, options, known)
  const { device, data, teacher, network: name = 'conv-bn', repeats = 3, seed = 0, signal } = options
  const { ridge = { c: 1e-6, scale: 'trace', detach: true } } = options
  checkDevice(what, device)
  checkSignal(what, signal)
  checkSeed(`${what}: seed`, seed)
  wholeNumber(`${what}: repeats`, repeats)
  checkRidge(what, ridge)
  const { epochs = defaultSettings.pretrain.epochs, ...change } = options.pretrain ?? {}
  if (epochs !== 0) wholeNumber(`${what}: pretrain epochs`, epochs)
  const { pretrain } = settingsOf({ pretrain: change }, set.dim)
  if (!isRecord(set)) throw expected('invalid_option', `${what}: set`, 'a set of representations', set)
  for (const [name, value] of Object.entries({ data, teacher }))
    if (!isRecord(value)) throw expected('invalid_option', `${what}: ${name}`, 'real images and the teacher of the set', value)
  checkReal(set, data, teacher)
  checkTeacherIdentity(set, teacher)
  const image = set.shape.slice(1) as unknown as [number, number, number]
  const network = networkByName(name, image, set.dim)
  const sources = new PretrainingSources(device, set, { data, teacher }, signal)
  const key = fold(keyOf(seed), 'held-out')
  const own = await sources.rows('distilled', key)
  const real = await sources.rows('full', key)
  const losses: number[] = []
  for (let i = 0; i < repeats; i++) {
    const drawn = fold(key, name, i)
    const start = await freshTensors(device, network, fold(drawn, 'parameters'))
    const { epochs: _, ...descent } = pretrain
    const steps = epochs * stepsPerPass(set.shape[0], descent.batch)
    const settings = { ...descent, steps, cosine: false, key: fold(drawn, 'pretrain'), signal }
    const trained =
      steps === 0 ? start : (await trainNetwork(device, network, start, own.rows, { representations: set.targets }, settings)).tensors
    losses.push(await ridgeLossOf(device, network, trained, own, real, ridge, signal))
  }
  return { losses, mean: losses.reduce((sum, loss) => sum + loss, 0) / losses.length, constant: await spreadOf(real.targets, set.dim) }
}

/** Real images that features are kept of at once. */
const piece = 1024

/** mean((Phi_t W - Y_t)^2) for one network in eval mode, its last layer solved for. */
async function ridgeLossOf(
  device: Device,
  network: Network,
  tensors: NetworkTensors,
  own: PretrainingRows,
  real: PretrainingRows,
  ridge: Ridge,
  signal: AbortSignal | undefined,
): Promise<number> {
  const { data: phi, width: d } = await forward(device, network, tensors, own.rows, 'embedding', { signal })
  const n = own.rows.shape[0]
  const k = network.classes
  const { solve, measure, arrays } = allOrNothing((keep) => ({
    solve: keep(solveProgram(device, { n, d, k }, ridge)),
    measure: keep(measureProgram(device, { d, k })),
    arrays: {
      phi: keep(device.array('f32', [n, d], phi)),
      targets: keep(device.array('f32', [n, k], own.targets)),
      weights: keep(device.array('f32', [d + 1, k])),
      info: keep(device.array('f64', [6])),
      real: keep(device.array('f32', [chunk, d])),
      answers: keep(device.array('f32', [chunk, k])),
    },
  }))
  try {
    await solve.run(arrays, { ...(signal && { signal }) })
    checkRidgeReport('heldOutLoss', ridgeReport(await arrays.info.read()), n)
    const total = real.rows.shape[0]
    let squares = 0
    for (let first = 0; first < total; first += piece) {
      const count = Math.min(piece, total - first)
      const { data } = await forward(device, network, tensors, rowsFrom(real.rows, first, count), 'embedding', { signal })
      for (let at = 0; at < count; at += chunk) {
        const rows = Math.min(chunk, count - at)
        const features = filled(data.subarray(at * d, (at + rows) * d), chunk * d)
        await Promise.all([arrays.real.write(features), measure.run(arrays, { ...(signal && { signal }) })])
        const answers = await arrays.answers.read()
        const offset = (first + at) * k
        for (let i = 0; i < rows * k; i++) squares += (answers[i] - real.targets[offset + i]) ** 2
      }
    }
    return squares / (total * k)
  } finally {
    solve.dispose()
    measure.dispose()
    for (const array of Object.values(arrays)) array.dispose()
  }
}

const solveProgram = (device: Device, { n, d, k }: { n: number; d: number; k: number }, ridge: Ridge) =>
  bindProgram<string, string>(device, {
    inputs: { phi: { shape: [n, d] }, targets: { shape: [n, k] } },
    outputs: { weights: {}, info: {} },
    build(v) {
      const { weights, info } = ridgeHead(concat([v.phi, full([n, 1], 1)], 1), v.targets, ridge)
      return { weights, info }
    },
  })

const measureProgram = (device: Device, { d, k }: { d: number; k: number }) =>
  bindProgram<string, string>(device, {
    inputs: { real: { shape: [chunk, d] }, weights: { shape: [d + 1, k] } },
    outputs: { answers: {} },
    build: (v) => ({
      answers: add(matmul(v.real, slice(v.weights, [0, 0], [d, k]), { precision: 'f32' }), slice(v.weights, [d, 0], [d + 1, k])),
    }),
  })

function rowsFrom({ pixels, shape, ...seen }: ImageRows, first: number, count: number): ImageRows {
  const size = shape[1] * shape[2] * shape[3]
  return { ...seen, pixels: pixels.subarray(first * size, (first + count) * size), shape: [count, shape[1], shape[2], shape[3]] }
}

function filled(values: Float32Array, length: number): Float32Array {
  if (values.length === length) return values
  const whole = new Float32Array(length)
  whole.set(values)
  return whole
}

/** Mean squared distance to the mean row, by element. */
async function spreadOf(targets: Float32Array, k: number): Promise<number> {
  const rows = targets.length / k
  const mean = new Float64Array(k)
  const turn = new Turn()
  let squares = 0
  await inPieces(targets.length, turn, (from, to) => {
    for (let i = from; i < to; i++) mean[i % k] += targets[i] / rows
  })
  await inPieces(targets.length, turn, (from, to) => {
    for (let i = from; i < to; i++) squares += (targets[i] - mean[i % k]) ** 2
  })
  return squares / targets.length
}
