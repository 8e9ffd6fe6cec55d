/** @file A teacher that was trained here: a directory of weights and their record, computed on the device in eval mode. */
import { basename, resolve } from 'node:path'
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { constant, div, reshape, sub, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import { type NetworkArrays, networkInputs, networkValues, programArrays } from '../evaluate/trainer.js'
import { inPieces, Turn } from '../event-loop.js'
import { loadNetwork } from '../export/network-file.js'
import type { NetworkTensors } from '../export/onnx/export-network.js'
import { hashOfParts } from '../files/pieces.js'
import type { Network } from '../nn/module.js'
import { backboneOf } from './backbone.js'
import { readTeacherRecord, type TeacherRecord, weightsPath } from './record.js'
import { checkPixels, checkRange, type Teacher } from './teacher.js'

/** A teacher whose forward pass may also be traced inside a program: `representations` over values bound to `arrays`. */
export interface OwnTeacher extends Teacher {
  readonly record: TeacherRecord
  /** Without its last layer; parameters and state as in `arrays`. */
  readonly network: Network
  /** On the device, with a group axis of 1. */
  readonly arrays: NetworkArrays
}

/** Images of one forward pass. */
const batch = 64

/** (pixels - mean) / std per channel: [..., C] in [0, 1]. */
export function normalisedPixels(pixels: Value, { mean, std }: Pick<Teacher['input'], 'mean' | 'std'>): Value {
  const perChannel = (numbers: readonly number[]) => constant(numbers, [numbers.length])
  return div(sub(pixels, perChannel(mean)), perChannel(std))
}

/** Inside a trace: raw pixels [rows, H, W, C] in [0, 1] -> [rows, dim], by the network's values as `networkValues` names them. */
export function representations(
  { network, input, dim }: Pick<OwnTeacher, 'network' | 'input' | 'dim'>,
  { parameters, state }: ReturnType<typeof networkValues>,
  pixels: Value,
): Value {
  const rows = pixels.shape[0]
  const x = reshape(normalisedPixels(pixels, input), [1, rows, ...input.shape])
  return reshape(network.apply(parameters, x, { mode: 'eval', state }).embedding, [rows, dim])
}

/** Throws what `readTeacherRecord` and `loadNetwork` throw, `invalid_data` naming the hash for weights that were changed, `out_of_memory`. */
export async function openOwnTeacher(dir: string, device: Device): Promise<OwnTeacher> {
  const { record, sha256 } = await readTeacherRecord(dir)
  const path = weightsPath(dir)
  const hash = await hashOfParts('', [await readWhole(path, maxFileBytes, 'give a directory of aludel pretrain that is finished')])
  if (hash !== record.weights) throw expected('invalid_data', path, `sha256 ${record.weights}`, hash, 'the file was changed or damaged')
  const { network, dim } = backboneOf(record.network, record.image)
  if (dim !== record.dim) throw expected('invalid_data', `${dir}: dim`, `${dim} as network '${record.network}' gives`, record.dim)
  const tensors = await loadNetwork(path, network)
  return teacherOf(device, { name: basename(resolve(dir)), record, sha256, network, tensors })
}

interface Loaded {
  readonly name: string
  readonly record: TeacherRecord
  readonly sha256: string
  readonly network: Network
  readonly tensors: NetworkTensors
}

function teacherOf(device: Device, { name, record, sha256, network, tensors }: Loaded): OwnTeacher {
  const { objective, dim, image, mean, std } = record
  const input = { shape: image, mean, std }
  const own = encoder(device, { network, input, dim }, tensors)
  const what = `teacher '${name}'`
  let closed = false
  return {
    ...{ name, objective, dim, sha256, input, record, network, arrays: own.arrays },
    async encode(pixels, rows, signal) {
      if (closed) throw new AludelError('disposed', `${what}: it was disposed of`)
      checkPixels(what, input, pixels, rows)
      const all = new Float32Array(rows * dim)
      const perImage = image[0] * image[1] * image[2]
      const turn = new Turn()
      for (let first = 0; first < rows; first += batch) {
        const n = Math.min(batch, rows - first)
        const [from, to] = [first * perImage, (first + n) * perImage]
        await inPieces(to - from, turn, (a, b) => checkRange(what, pixels, from + a, from + b))
        const values = await own.run(pixels.subarray(from, to), signal)
        const odd = values.subarray(0, n * dim).findIndex((v) => !Number.isFinite(v))
        if (odd >= 0)
          throw new AludelError('not_finite', `${what}: element ${odd % dim} of image ${first + Math.floor(odd / dim)} is ${values[odd]}`)
        all.set(values.subarray(0, n * dim), first * dim)
        await turn.breathe()
      }
      return all
    },
    async dispose() {
      if (closed) return
      closed = true
      own.dispose()
    },
  }
}

/** The compiled forward pass of `batch` images and what it is bound to. */
function encoder(device: Device, teacher: Pick<OwnTeacher, 'network' | 'input' | 'dim'>, tensors: NetworkTensors) {
  const { network, input, dim } = teacher
  const made = allOrNothing((own) => {
    const uploaded = (specs: Network['parameters'] | Network['state'], values: NetworkTensors['parameters']): Record<string, DeviceArray> =>
      Object.fromEntries(specs.map(({ name, shape }) => [name, own(device.array('f32', [1, ...shape], values[name]))]))
    return {
      arrays: { parameters: uploaded(network.parameters, tensors.parameters), state: uploaded(network.state, tensors.state) },
      images: own(device.array('f32', [batch, ...input.shape])),
      rows: own(device.array('f32', [batch, dim])),
      program: own(
        bindProgram<string, string>(device, {
          inputs: { ...networkInputs(network, 1), images: { shape: [batch, ...input.shape] } },
          outputs: { rows: {} },
          build: (v) => ({ rows: representations(teacher, networkValues(network, v), v.images) }),
        }),
      ),
    }
  })
  const { arrays, images, rows, program } = made
  return {
    arrays,
    /** Of at most `batch` images; what follows their rows means nothing. */
    async run(pixels: Float32Array, signal: AbortSignal | undefined): Promise<Float32Array> {
      const full = new Float32Array(images.shape.reduce((a, b) => a * b, 1))
      full.set(pixels)
      const upload = images.write(full)
      const run = program.run({ ...programArrays(arrays), images, rows }, { ...(signal && { signal }) })
      // All three are queued before another call queues its own, which would overwrite the rows.
      const [, , values] = await Promise.all([upload, run, rows.read()])
      return values as Float32Array
    },
    dispose() {
      program.dispose()
      for (const array of [images, rows, ...Object.values(arrays.parameters), ...Object.values(arrays.state)]) array.dispose()
    },
  }
}
