/**
 * @file One iteration of KRR-ST through the product: an outer step on 1000 images and targets of 512 numbers through the ConvNet 128-256-512 with batch
 * norm, 1024 real images whose targets are at hand, and a step of the network of the pool. ALUDEL_KRR_N and ALUDEL_KRR_M set other numbers of images.
 * Value: the loss.
 */
import { createDataset } from '../../dist/data/dataset.js'
import { krrSt } from '../../dist/distill/regression/krr-st.js'
import { RepresentationIterations } from '../../dist/distill/regression/representation-iterations.js'
import { normal, randomBits } from '../../dist/engine/tensor/philox.js'
import { networkByName } from '../../dist/nn/networks/registry.js'
import { normalArray } from './arrays.mjs'

const n = Number(process.env.ALUDEL_KRR_N ?? 1000)
const realBatch = Number(process.env.ALUDEL_KRR_M ?? 1024)
const dim = 512
const image = [32, 32, 3]
const network = networkByName('conv-bn', image, dim)

const floats = (length, stream) => Float32Array.from(normal([20, 24], 0, stream, length))

export function prepare(device) {
  const rows = 2 * realBatch
  const pixels = rows * 32 * 32 * 3
  const images = new Uint8Array(randomBits([20, 24], 0, 9, Math.ceil(pixels / 4)).slice().buffer, 0, pixels)
  const about = { name: 'noise', split: 'train', classes: ['all'], mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], flip: true }
  const dataset = createDataset({ ...about, images, shape: [rows, ...image], labels: new Int32Array(rows) })
  const targets = floats(realBatch * dim, 3)
  const { options } = krrSt.presets.code.settings({ ipc: n, image })
  const regression = krrSt.representation({ ...options, poolModels: 1, poolSteps: 1e6, poolStart: 'staggered' })
  const iterations = new RepresentationIterations(
    device,
    dataset,
    {
      ...{ network, ipc: n, realBatch, imageLr: 1e-4, iterations: 1e6, seed: 1, regression, dim, table: false },
      crop: { padding: 4, flip: true },
      teacher: { name: 'given', dim, encode: async () => targets },
    },
    { images: floats(n * 32 * 32 * 3, 1), targets: floats(n * dim, 2), scale: 1 },
  )
  const extra = Object.entries(iterations.extraState).map(([name, { dtype = 'f32', shape, start }]) => [
    name,
    device.array(dtype, shape, start),
  ])
  const shape = [n, ...image]
  const state = { images: normalArray(device, shape, 1), velocity: device.array('f32', shape), ...Object.fromEntries(extra) }
  const plans = Object.values(iterations.plans)
  const { outer, train } = iterations.plans
  let iteration = 0
  return {
    plans,
    work: { flops: iterations.flopsPerIteration, bytes: outer.bytesMoved + train.bytesMoved },
    async step() {
      if (iteration === 0) {
        await iterations.load(state)
        await iterations.begin(state, { step: 0, look: async () => true })
      }
      const [loss] = await iterations.run(state, { first: iteration++, n: 1 })
      return loss
    },
  }
}
