/**
 * @file One matching step of DC: a fresh random ConvNet; per class the parameter gradients of 256 real and of IPC synthetic images, their
 * layer-wise cosine distance, its exact second-order gradient to the pixels, SGD (lr 0.1, momentum 0.5). Value: the loss.
 */
import { gradientStep, networkDraw, networkInputs } from '../../dist/distill/gradient-step.js'
import { dc } from '../../dist/distill/matching/dc.js'
import { randomBits } from '../../dist/engine/tensor/philox.js'
import { rowSource } from '../../dist/preprocess/row-source.js'
import { classNumbers, normalArray, zeros } from './arrays.mjs'
import { classes, image, network } from './network.mjs'

const realBatch = 256

export function prepareGradient(device, ipc) {
  const { options } = dc.presets.code.settings({ ipc, image })
  const step = { method: dc, options: dc.resolve(options, network, new Set()), imageLr: 0.1, imageMomentum: 0.5 }
  const count = classes * realBatch
  const draw = networkDraw(device, network)
  const shape = [count, ...image]
  const images = Uint8Array.from(randomBits([20, 24], 0, 3, count * image.reduce((a, b) => a * b, 1)), (bits) => bits >>> 24)
  const rows = rowSource({ shape, images }, { mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25] })
  const match = gradientStep(device, step, { network, rows, classes, ipc, realBatch, padded: false, augmented: false })
  const counts = (perClass) => device.array('f32', [classes, 1], new Float32Array(classes).fill(perClass))
  const loss = zeros(device, [classes])
  const arrays = {
    ...Object.fromEntries(Object.entries(networkInputs(network)).map(([name, { shape }]) => [name, zeros(device, shape)])),
    loss,
    key: device.array('u32', [2], Uint32Array.of(1, 2)),
    images: normalArray(device, [classes, ipc, ...image], 1),
    velocity: zeros(device, [classes, ipc, ...image]),
    ...rows.arrays((...array) => device.array(...array)),
    realIndex: device.array(
      'i32',
      [classes, realBatch],
      Int32Array.from({ length: count }, (_, i) => i),
    ),
    realLabels: device.array('i32', [classes, realBatch], classNumbers(classes, realBatch)),
    realCount: counts(realBatch),
    syntheticLabels: device.array('i32', [classes, ipc], classNumbers(classes, ipc)),
    syntheticCount: counts(ipc),
  }
  let iteration = 0
  return {
    plans: [draw.plan, match.plan],
    async step() {
      await Promise.all([draw.run(arrays, { startStep: iteration++ }), match.run(arrays, { n: classes })])
      return (await loss.read()).reduce((sum, ofClass) => sum + ofClass, 0)
    },
  }
}
