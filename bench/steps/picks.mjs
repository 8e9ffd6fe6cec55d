/**
 * @file Picks of k-center and herding over the features of a class: on rows that are on the device, as a call, and without a device;
 * beside a sum over the rows and a plain copy, in turns. GB/s count the rows once for each pick. Value: the last row picked.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { sum } from '../../dist/engine/index.js'
import { uploadRows } from '../../dist/scores/device-rows.js'
import { herd } from '../../dist/scores/herding.js'
import { herdOnDevice } from '../../dist/scores/herding-device.js'
import { kCenterGreedy } from '../../dist/scores/k-center.js'
import { kCenterOnDevice } from '../../dist/scores/k-center-device.js'
import { copies, prepareRivals, someNumbers } from './direct.mjs'

const shape = [5000, 2048]
export const picks = 50

export const classFeatures = () => ({ data: someNumbers(shape, 1), shape })

export function prepare(device) {
  const features = classFeatures()
  const array = device.array('f32', shape, features.data)
  const total = device.array('f32', [])
  const read = bindProgram(device, { inputs: { x: { shape } }, outputs: { total: {} }, build: ({ x }) => ({ total: sum(x) }) })
  const name = `[${shape}]`
  const uploaded = uploadRows(device, features)
  const zero = new Float64Array(shape[1])
  const rival = (indices) => ({ shape: name, bytes: picks * array.bytes, run: async () => (await indices())[picks - 1] })
  return prepareRivals({
    'k-center': rival(async () => (await kCenterOnDevice(await uploaded, picks, [0])).indices),
    'k-center, the call': rival(async () => (await kCenterGreedy(features, picks, { device })).indices),
    'k-center without a device': rival(async () => (await kCenterGreedy(features, picks)).indices),
    herding: rival(async () => herdOnDevice(await uploaded, zero, picks, 'residual', false)),
    'herding, the call': rival(() => herd(features, picks, { device })),
    'herding without a device': rival(() => herd(features, picks)),
    sum: { shape: name, bytes: array.bytes, run: () => read.run({ x: array, total }) },
    ...copies(device, array, name),
  })
}
