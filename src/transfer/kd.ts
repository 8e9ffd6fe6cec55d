/** @file Knowledge distillation without images of the target: a student learns a classifier's answers on the set's images, or on noise. */
import { type AugmentPolicy, drawBatch, parseAugment, thetaSize } from '../augment/dsa.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { augment, gather, grad, greater, mul, randomNormal, reshape, softmax, softmaxCe, sum, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key, purpose } from '../engine/tensor/key.js'
import { AludelError } from '../errors.js'
import { epochOrder } from '../evaluate/schedule.js'
import { networkInputs, networkValues, parameterKey, stateKey } from '../evaluate/trainer.js'
import { Turn } from '../event-loop.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { Network } from '../nn/module.js'
import { adamwUpdate } from '../optim/adamw.js'
import { cosineSchedule } from '../optim/schedules.js'
import { tensorArrays } from './networks.js'
import type { KdSettings } from './settings.js'
import { stepsPerPass } from './train.js'

/** A classifier of the target, whose answers the student learns. */
export interface Classifier {
  readonly network: Network
  readonly tensors: NetworkTensors
}

export interface DistilOptions extends KdSettings {
  /** Float32 images as networks see them, [rows, H, W, C]. */
  readonly images: Float32Array
  readonly rows: number
  /** Steps of an epoch: those over the set, whatever the images are. */
  readonly epochSteps: number
  /** Unit normal noise in place of the images. */
  readonly noise: boolean
  readonly key: Key
  readonly signal?: AbortSignal | undefined
  readonly onStep?: ((step: number, loss: number) => void) | undefined
}

const teacherKey = (name: string): string => `teacher:${name}`
const moment = (kind: 'mean' | 'square', name: string): string => `${kind}:${name}`

/** What a step adds to its images: one of these per batch, drawn anew for each image. */
const policy = (): AugmentPolicy => parseAugment('dsa', true)

/**
 * The student after all epochs of -sum softmax(teacher) log softmax(student) over augmented batches. With `bnEval` 'batch' the teacher
 * normalises by the batch while it answers, as in the released code; with 'running' by its own statistics. Throws `not_finite`.
 */
export async function distilKnowledge(
  device: Device,
  student: Network,
  start: NetworkTensors,
  teacher: Classifier,
  options: DistilOptions,
): Promise<{ readonly tensors: NetworkTensors; readonly loss: number }> {
  const { rows, epochs, epochSteps, key, signal, onStep, noise } = options
  const batch = Math.min(options.batch, rows)
  const perPass = stepsPerPass(rows, batch)
  const rate = cosineSchedule(options.lr, epochs)
  const [height, width] = student.input
  const { program, arrays } = prepareDistillation(device, student, start, teacher, { ...options, batch })
  try {
    let loss = Number.NaN
    const turn = new Turn()
    let order: Int32Array = new Int32Array(0)
    for (let step = 0; step < epochs * epochSteps; step++) {
      const inPass = step % perPass
      if (inPass === 0) order = await epochOrder(key, 0, step / perPass, rows, turn)
      if (step % epochSteps === 0) await arrays.lr.write(Float32Array.of(rate(step / epochSteps)))
      const chosen = order.subarray(inPass * batch, (inPass + 1) * batch)
      const [index, weights] = [new Int32Array(batch), new Float32Array(batch)]
      index.set(chosen)
      weights.fill(1 / chosen.length, 0, chosen.length)
      const address = { key: fold(key, 'augment'), purpose: purpose.augment, step }
      const uploads = [arrays.index.write(index), arrays.weights.write(weights)]
      if (!noise) uploads.push(arrays.theta.write(drawBatch(policy(), address, batch, height, width)))
      await Promise.all([...uploads, program.run(arrays, { startStep: step, ...(signal && { signal }) })])
      loss = ((await arrays.loss.read()) as Float32Array)[0]
      if (!Number.isFinite(loss))
        throw new AludelError('not_finite', `network '${student.name}': the loss of step ${step + 1} is ${loss}; lower the learning rate`)
      onStep?.(step + 1, loss)
    }
    const read = async (specs: readonly { readonly name: string }[], name: (own: string) => string) => {
      const tensors: Record<string, Float32Array> = {}
      for (const spec of specs) tensors[spec.name] = (await arrays[name(spec.name)].read()) as Float32Array
      return tensors
    }
    return { tensors: { parameters: await read(student.parameters, parameterKey), state: await read(student.state, stateKey) }, loss }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

/** The program of a step of `batch` images, at most `rows`, and its arrays. */
export function prepareDistillation(
  device: Device,
  student: Network,
  start: NetworkTensors,
  teacher: Classifier,
  options: Pick<DistilOptions, 'images' | 'rows' | 'batch' | 'noise' | 'bnEval' | 'key'>,
) {
  const { images, rows, batch, noise, bnEval, key } = options
  const image = student.input
  const names = student.parameters.map(({ name }) => name)
  const moments = Object.fromEntries(
    student.parameters.flatMap(({ name, shape }) =>
      (['mean', 'square'] as const).map((kind) => [moment(kind, name), { shape: [1, ...shape] }]),
    ),
  )
  const scalars = { meanWeight: { shape: [] }, squareWeight: { shape: [] } }
  const carried = { ...networkInputs(student, 1), ...moments, ...scalars }
  const frozen = Object.fromEntries(Object.entries(networkInputs(teacher.network, 1)).map(([name, input]) => [teacherKey(name), input]))
  const drawn = noise
    ? { noiseKey: { shape: [2], dtype: 'u32' as const } }
    : { images: { shape: [rows, ...image] }, theta: { shape: [batch, thetaSize] } }

  return allOrNothing((own) => ({
    program: own(
      bindProgram<string, string, string>(device, {
        inputs: {
          ...carried,
          ...frozen,
          ...drawn,
          index: { shape: [batch], dtype: 'i32' },
          weights: { shape: [1, batch] },
          lr: { shape: [] },
        },
        outputs: { ...Object.fromEntries(Object.keys(carried).map((name) => [name, { donate: name }])), loss: {} },
        step: 'step',
        build(v) {
          const { parameters, state } = networkValues(student, v)
          const seen = noise
            ? randomNormal(v.noiseKey, v.step, [batch, ...image], purpose.noise)
            : augment(gather(v.images, v.index), v.theta)
          const x = reshape(seen, [1, batch, ...image])
          const padding = rows % batch === 0 ? {} : { rowWeights: greater(v.weights, 0) }
          const own = (specs: readonly { readonly name: string }[], name: (own: string) => string) =>
            Object.fromEntries(specs.map((spec) => [spec.name, v[teacherKey(name(spec.name))]]))
          const statistics =
            bnEval === 'batch'
              ? { mode: 'train' as const, ...padding }
              : { mode: 'eval' as const, state: own(teacher.network.state, stateKey) }
          const wanted = softmax(teacher.network.apply(own(teacher.network.parameters, parameterKey), x, statistics).logits)
          const applied = student.apply(parameters, x, { mode: 'train', state, ...padding })
          const loss = sum(mul(softmaxCe(applied.logits, wanted).loss, v.weights))
          const gradients = grad(
            loss,
            names.map((name) => parameters[name]),
          )
          const next: Record<string, Value> = { loss }
          for (const [name, value] of Object.entries(applied.state)) next[stateKey(name)] = value
          for (const [i, name] of names.entries()) {
            const before = {
              mean: v[moment('mean', name)],
              square: v[moment('square', name)],
              meanWeight: v.meanWeight,
              squareWeight: v.squareWeight,
            }
            const update = adamwUpdate(parameters[name], gradients[i], before, { lr: v.lr })
            Object.assign(next, {
              [parameterKey(name)]: update.parameter,
              [moment('mean', name)]: update.state.mean,
              [moment('square', name)]: update.state.square,
              meanWeight: update.state.meanWeight,
              squareWeight: update.state.squareWeight,
            })
          }
          return next
        },
      }),
    ),
    arrays: {
      ...tensorArrays(device, student, start, own),
      ...Object.fromEntries(Object.entries(moments).map(([name, { shape }]) => [name, own(device.array('f32', shape))])),
      ...Object.fromEntries(Object.keys(scalars).map((name) => [name, own(device.array('f32', []))])),
      ...Object.fromEntries(
        Object.entries(tensorArrays(device, teacher.network, teacher.tensors, own)).map(([name, array]) => [teacherKey(name), array]),
      ),
      ...(noise
        ? { noiseKey: own(device.array('u32', [2], Uint32Array.from(fold(key, 'noise')))) }
        : { images: own(device.array('f32', [rows, ...image], images)), theta: own(device.array('f32', [batch, thetaSize])) }),
      index: own(device.array('i32', [batch])),
      weights: own(device.array('f32', [1, batch])),
      lr: own(device.array('f32', [])),
      loss: own(device.array('f32', [])),
    } as Record<string, DeviceArray>,
  }))
}
