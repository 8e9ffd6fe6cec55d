/** @file One epoch of the evaluation protocol: 5 ConvNets on 10 classes x 10 images (one batch each), DSA, SGD with momentum. Value: the mean loss. */
import { parseAugment } from '../../dist/augment/dsa.js'
import { keyOf } from '../../dist/engine/tensor/key.js'
import { normal } from '../../dist/engine/tensor/philox.js'
import { networksTogether } from '../../dist/evaluate/schedule.js'
import { Trainer } from '../../dist/evaluate/trainer.js'
import { classes, image, network } from './network.mjs'

const networks = 5
const ipc = 10
const rows = classes * ipc

export function prepare(device) {
  const set = {
    images: Float32Array.from(normal([20, 24], 0, 1, rows * image[0] * image[1] * image[2])),
    shape: [rows, ...image],
    labels: Int32Array.from({ length: rows }, (_, i) => Math.floor(i / ipc)),
    mean: [0, 0, 0],
    std: [1, 1, 1],
  }
  const groups = networksTogether(networks, rows)
  const trainers = []
  for (let firstNetwork = 0; firstNetwork < networks; firstNetwork += groups) {
    const options = {
      network,
      sets: [set],
      groups: Math.min(groups, networks - firstNetwork),
      augment: parseAugment('dsa', true),
      key: keyOf(0),
      firstNetwork,
    }
    trainers.push(new Trainer(device, options))
  }
  const ready = Promise.all(trainers.map((trainer) => trainer.initialize(device)))
  let epoch = 0
  return {
    plans: trainers.map(({ plan }) => plan),
    async step() {
      await ready
      let total = 0
      for (const trainer of trainers) for (const loss of await trainer.train(epoch, 1)) total += loss
      epoch++
      return total / networks
    },
  }
}
