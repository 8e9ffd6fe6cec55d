/** @file One network trained by gradient descent on rows: towards representations (mean squared error) or labels (cross-entropy). */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { div, gather, grad, greater, mul, reshape, softmaxCe, square, sub, sum, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, type Key } from '../engine/tensor/key.js'
import { AludelError } from '../errors.js'
import { epochOrder } from '../evaluate/schedule.js'
import { networkInputs, networkValues, parameterKey, stateKey } from '../evaluate/trainer.js'
import { Turn } from '../event-loop.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import type { Network } from '../nn/module.js'
import { sgdUpdate } from '../optim/sgd.js'
import { tensorArrays } from './networks.js'
import { type CropRule, drawCrops, gatherRows, type ImageRows, rowArrays, rowInputs } from './rows.js'
import type { DescentSettings } from './settings.js'

/** What rows are trained towards: a representation each, [rows, network.classes], or a class each. */
export type Goal = { readonly representations: Float32Array } | { readonly labels: Int32Array }

export interface TrainOptions extends DescentSettings {
  readonly steps: number
  /** Whether the rate falls to 0 along half a cosine over the steps; otherwise it is constant. */
  readonly cosine: boolean
  readonly crop?: CropRule | undefined
  readonly key: Key
  readonly signal?: AbortSignal | undefined
  readonly onStep?: ((step: number, loss: number) => void) | undefined
}

export interface Trained {
  readonly tensors: NetworkTensors
  /** Of the last step. */
  readonly loss: number
}

const chunkSlots = 16
const velocityKey = (name: string): string => `velocity:${name}`

/** Steps of one pass over `rows` images. */
export const stepsPerPass = (rows: number, batch: number): number => Math.ceil(rows / Math.min(batch, rows))

/**
 * Trains in shuffled passes from `start`; the last batch of a pass may be short. The draws follow from the key and the number of the step.
 * Throws `not_finite` when the loss is no number any more.
 */
export async function trainNetwork(
  device: Device,
  network: Network,
  start: NetworkTensors,
  rows: ImageRows,
  goal: Goal,
  options: TrainOptions,
): Promise<Trained> {
  const { steps, lr, cosine, crop, key, signal, onStep } = options
  const count = rows.shape[0]
  const batch = Math.min(options.batch, count)
  const perPass = stepsPerPass(count, batch)
  const { program, arrays } = prepareTraining(device, network, start, rows, goal, options)
  try {
    const turn = new Turn()
    let order: Int32Array = new Int32Array(0)
    let loss = Number.NaN
    for (let first = 0; first < steps; first += chunkSlots) {
      const n = Math.min(chunkSlots, steps - first)
      const chunk = {
        index: new Int32Array(chunkSlots * batch),
        weights: new Float32Array(chunkSlots * batch),
        lr: new Float32Array(chunkSlots),
        ...(crop && { crop: new Float32Array(chunkSlots * batch * 8), flip: new Float32Array(chunkSlots * batch * 8) }),
      }
      for (let s = 0; s < n; s++) {
        const step = first + s
        const [pass, inPass] = [Math.floor(step / perPass), step % perPass]
        if (inPass === 0 || order.length === 0) order = await epochOrder(key, 0, pass, count, turn)
        const chosen = order.subarray(inPass * batch, (inPass + 1) * batch)
        chunk.index.set(chosen, s * batch)
        chunk.weights.fill(1 / chosen.length, s * batch, s * batch + chosen.length)
        chunk.lr[s] = cosine ? (lr / 2) * (1 + Math.cos((Math.PI * step) / steps)) : lr
        if (crop) {
          const draws = drawCrops(fold(key, 'crop'), step, batch, crop)
          chunk.crop?.set(draws.crop, s * batch * 8)
          chunk.flip?.set(draws.flip, s * batch * 8)
        }
        await turn.breathe()
      }
      const uploads = Object.entries(chunk).map(([name, data]) => arrays[name].write(data))
      await Promise.all([...uploads, program.run(arrays, { n, ...(signal && { signal }) })])
      const losses = (await arrays.loss.read()) as Float32Array
      loss = losses[n - 1]
      if (!Number.isFinite(loss))
        throw new AludelError('not_finite', `network '${network.name}': the loss of step ${first + n} is ${loss}; lower the learning rate`)
      onStep?.(first + n, loss)
    }
    return { tensors: await readTensors(network, arrays), loss }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

async function readTensors(network: Network, arrays: Readonly<Record<string, DeviceArray>>): Promise<NetworkTensors> {
  const read = async (specs: readonly { readonly name: string }[], key: (name: string) => string) => {
    const tensors: Record<string, Float32Array> = {}
    for (const { name } of specs) tensors[name] = (await arrays[key(name)].read()) as Float32Array
    return tensors
  }
  return { parameters: await read(network.parameters, parameterKey), state: await read(network.state, stateKey) }
}

/** The program of a step and its arrays. */
export function prepareTraining(
  device: Device,
  network: Network,
  start: NetworkTensors,
  rows: ImageRows,
  goal: Goal,
  options: Pick<TrainOptions, 'batch' | 'crop' | 'momentum' | 'weightDecay'>,
) {
  const { crop, momentum, weightDecay } = options
  const count = rows.shape[0]
  const batch = Math.min(options.batch, count)
  const slots = { count: chunkSlots }
  const velocities = Object.fromEntries(network.parameters.map(({ name, shape }) => [velocityKey(name), { shape: [1, ...shape] }]))
  const carried = { ...networkInputs(network, 1), ...velocities }
  const places = 'labels' in goal ? { labels: { shape: [count], dtype: 'i32' as const } } : { targets: { shape: [count, network.classes] } }
  return allOrNothing((own) => ({
    program: own(
      bindProgram<string, string, string>(device, {
        inputs: {
          ...carried,
          ...rowInputs(rows, crop && { count: batch, slots: chunkSlots }),
          ...places,
          index: { shape: [batch], dtype: 'i32', slots },
          weights: { shape: [1, batch], slots },
          lr: { shape: [], slots },
        },
        outputs: { ...Object.fromEntries(Object.keys(carried).map((name) => [name, { donate: name }])), loss: { slots } },
        build(v) {
          const { parameters, state } = networkValues(network, v)
          const x = reshape(gatherRows(rows, v, v.index), [1, batch, ...network.input])
          const padding = count % batch === 0 ? {} : { rowWeights: greater(v.weights, 0) }
          const applied = network.apply(parameters, x, { mode: 'train', state, ...padding })
          const loss = lossOf(goal, network, applied.logits, v, batch)
          const values = network.parameters.map(({ name }) => parameters[name])
          const gradients = grad(loss, values)
          const next: Record<string, Value> = { loss }
          for (const [name, value] of Object.entries(applied.state)) next[stateKey(name)] = value
          for (const [i, { name }] of network.parameters.entries()) {
            const update = sgdUpdate(values[i], v[velocityKey(name)], gradients[i], { lr: v.lr, momentum, weightDecay })
            next[parameterKey(name)] = update.parameter
            next[velocityKey(name)] = momentum === 0 ? v[velocityKey(name)] : update.velocity
          }
          return next
        },
      }),
    ),
    arrays: {
      ...tensorArrays(device, network, start, own),
      ...Object.fromEntries(network.parameters.map(({ name, shape }) => [velocityKey(name), own(device.array('f32', [1, ...shape]))])),
      ...rowArrays(device, rows, own),
      ...(crop && { crop: own(device.array('f32', [chunkSlots, batch, 8])), flip: own(device.array('f32', [chunkSlots, batch, 8])) }),
      ...('labels' in goal
        ? { labels: own(device.array('i32', [count], goal.labels)) }
        : { targets: own(device.array('f32', [count, network.classes], goal.representations)) }),
      index: own(device.array('i32', [chunkSlots, batch])),
      weights: own(device.array('f32', [chunkSlots, 1, batch])),
      lr: own(device.array('f32', [chunkSlots])),
      loss: own(device.array('f32', [chunkSlots])),
    } as Record<string, DeviceArray>,
  }))
}

/** Mean over the true rows: weights are 1/count or 0. The squared error is a mean over the outputs too. */
function lossOf(goal: Goal, network: Network, logits: Value, v: Readonly<Record<string, Value>>, batch: number): Value {
  if ('labels' in goal) return sum(mul(softmaxCe(logits, reshape(gather(v.labels, v.index), [1, batch])).loss, v.weights))
  const targets = reshape(gather(v.targets, v.index), [1, batch, network.classes])
  const errors = div(sum(square(sub(logits, targets)), { axes: [2] }), network.classes)
  return sum(mul(errors, v.weights))
}
