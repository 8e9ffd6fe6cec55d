/** @file Tensors of single networks on the host: fresh ones, a pretrained body under a new head, and what they answer. */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { reshape } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import type { Key } from '../engine/tensor/key.js'
import { sizeOf } from '../engine/tensor/shape.js'
import { AludelError } from '../errors.js'
import { networkInputs, networkValues, parameterKey, stateKey } from '../evaluate/trainer.js'
import { firstNotFinite, Turn } from '../event-loop.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import { initialize, type Network } from '../nn/module.js'
import { gatherRows, type ImageRows, rowArrays, rowInputs } from './rows.js'

/** Name of the last linear layer, which speaks of the task and is left behind. */
const head = 'fc.'

/** A network as it starts. */
export async function freshTensors(device: Device, network: Network, key: Key): Promise<NetworkTensors> {
  const { program, arrays } = prepareFresh(device, network, key)
  try {
    await program.run(arrays)
    const parameters: Record<string, Float32Array> = {}
    for (const { name } of network.parameters) parameters[name] = (await arrays[parameterKey(name)].read()) as Float32Array
    return {
      parameters,
      state: Object.fromEntries(network.state.map(({ name, shape, initial }) => [name, new Float32Array(sizeOf(shape)).fill(initial)])),
    }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

/** The program that draws a network, and its arrays. */
export const prepareFresh = (device: Device, network: Network, key: Key) =>
  allOrNothing((own) => ({
    program: own(
      bindProgram(device, {
        inputs: { key: { shape: [2], dtype: 'u32' } },
        outputs: Object.fromEntries(network.parameters.map(({ name }) => [parameterKey(name), {}])),
        step: 'counter',
        build: (v) => {
          const drawn = initialize(network, { key: v.key, counter: v.counter })
          return Object.fromEntries(network.parameters.map(({ name, shape }) => [parameterKey(name), reshape(drawn[name], shape)]))
        },
      }),
    ),
    arrays: {
      key: own(device.array('u32', [2], Uint32Array.from(key))),
      ...Object.fromEntries(network.parameters.map(({ name, shape }) => [parameterKey(name), own(device.array('f32', shape))])),
    } as Record<string, DeviceArray>,
  }))

/** The body of `pretrained`, running statistics too, under the head of `fresh`. */
export function withNewHead(fresh: NetworkTensors, pretrained: NetworkTensors): NetworkTensors {
  const body = Object.entries(pretrained.parameters).filter(([name]) => !name.startsWith(head))
  return { parameters: { ...fresh.parameters, ...Object.fromEntries(body) }, state: pretrained.state }
}

/** Device arrays of one network, [1, ...shape] each, by their names in a program. */
export function tensorArrays(
  device: Device,
  network: Network,
  { parameters, state }: NetworkTensors,
  own: (array: DeviceArray) => DeviceArray,
): Record<string, DeviceArray> {
  const of = (
    specs: readonly { name: string; shape: readonly number[] }[],
    tensors: NetworkTensors['state'],
    key: (name: string) => string,
  ) => specs.map(({ name, shape }) => [key(name), own(device.array('f32', [1, ...shape], tensors[name]))] as const)
  return Object.fromEntries([...of(network.parameters, parameters, parameterKey), ...of(network.state, state, stateKey)])
}

export interface ForwardOptions {
  /** Default 'running': statistics of training. 'batch' normalises by the images that stand together. */
  readonly batchNorm?: 'batch' | 'running'
  /** Images of a pass; default 64. With 'batch' the answers depend on it. */
  readonly batch?: number
  readonly signal?: AbortSignal | undefined
}

/** Passes of one crossing into native code. */
const passes = 8

/** Logits [rows, classes] or embeddings [rows, features] of all rows, in order. Throws `not_finite` for an answer that is no number. */
export async function forward(
  device: Device,
  network: Network,
  tensors: NetworkTensors,
  rows: ImageRows,
  what: 'logits' | 'embedding',
  options: ForwardOptions = {},
): Promise<{ readonly data: Float32Array; readonly width: number }> {
  const count = rows.shape[0]
  const { program, arrays, batch, width } = prepareForward(device, network, tensors, rows, what, options)
  try {
    const { signal } = options
    const data = new Float32Array(count * width)
    for (let first = 0; first < count; first += passes * batch) {
      // the last batch is filled up with the first rows of all
      await arrays.index.write(Int32Array.from({ length: passes * batch }, (_, i) => (first + i) % count))
      const left = Math.min(passes * batch, count - first)
      await program.run(arrays, { n: Math.ceil(left / batch), ...(signal && { signal }) })
      const answers = (await arrays.answer.read()) as Float32Array
      data.set(answers.subarray(0, left * width), first * width)
    }
    const broken = await firstNotFinite(data)
    if (broken >= 0)
      throw new AludelError(
        'not_finite',
        `network '${network.name}': ${what} of image ${Math.floor(broken / width)} is NaN or infinite; lower the learning rate`,
      )
    return { data, width }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

/** The program of `passes` passes and its arrays, with the images of a pass and the numbers of an answer. */
export function prepareForward(
  device: Device,
  network: Network,
  tensors: NetworkTensors,
  rows: ImageRows,
  what: 'logits' | 'embedding',
  { batchNorm = 'running', batch: wanted = 64 }: ForwardOptions = {},
) {
  const batch = Math.min(wanted, rows.shape[0])
  const slots = { count: passes }
  let width = 0
  return allOrNothing((own) => {
    const bound = own(
      bindProgram(device, {
        inputs: { ...networkInputs(network, 1), ...rowInputs(rows), index: { shape: [batch], dtype: 'i32', slots } },
        outputs: { answer: { slots } },
        build(v) {
          const x = reshape(gatherRows(rows, v, v.index), [1, batch, ...network.input])
          const { parameters, state } = networkValues(network, v)
          const applied = network.apply(parameters, x, batchNorm === 'batch' ? { mode: 'train' } : { mode: 'eval', state })
          width = sizeOf(applied[what].shape.slice(2))
          return { answer: reshape(applied[what], [batch, width]) }
        },
      }),
    )
    const made: Record<string, DeviceArray> = {
      ...tensorArrays(device, network, tensors, own),
      ...rowArrays(device, rows, own),
      index: own(device.array('i32', [passes, batch])),
      answer: own(device.array('f32', [passes, batch, width])),
    }
    return { program: bound, arrays: made, batch, width }
  })
}

/** Per cent of rows whose largest logit, the first on ties, is that of their label. */
export async function accuracyOfLogits(logits: Float32Array, classes: number, labels: Int32Array): Promise<number> {
  const turn = new Turn()
  let right = 0
  for (const [row, label] of labels.entries()) {
    const own = logits.subarray(row * classes, (row + 1) * classes)
    let best = 0
    for (let c = 1; c < classes; c++) if (own[c] > own[best]) best = c
    if (best === label) right++
    await turn.breathe()
  }
  return (100 * right) / labels.length
}
