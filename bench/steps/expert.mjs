/**
 * @file One training step of an expert as `trainExperts` takes it: batch 256 gathered from the set, cross-entropy, SGD (lr 0.01, momentum 0.9,
 * weight decay 5e-4) on all parameters; the draw of the batch and the reading of the loss are part of it. Value: the loss.
 */
import { keyOf } from '../../dist/engine/tensor/key.js'
import { normal, randomBits } from '../../dist/engine/tensor/philox.js'
import { Trainer } from '../../dist/evaluate/trainer.js'
import { classes, image, network } from './network.mjs'

const rows = 256

/** One batch is an epoch. Options are those of a Trainer beside the set. */
export function expertTrainer(device, { rule, groups = 1, operations = [], ...options }) {
  const set = {
    images: Float32Array.from(normal([20, 24], 0, 1, rows * image[0] * image[1] * image[2])),
    shape: [rows, ...image],
    labels: Int32Array.from(randomBits([20, 24], 0, 2, rows), (bits) => bits % classes),
    ...{ mean: [0, 0, 0], std: [1, 1, 1] },
  }
  const own = { network, sets: [set], groups, augment: { operations }, key: keyOf(0), firstNetwork: 0 }
  const trainer = new Trainer(device, { ...own, rule: { batch: rows, lr: () => 0.01, ...rule }, ...options })
  const ready = trainer.initialize(device)
  let epoch = 0
  return {
    plan: trainer.plan,
    async step() {
      await ready
      const losses = await trainer.train(epoch++, 1)
      return losses.reduce((a, b) => a + b, 0) / groups
    },
  }
}

export function prepare(device) {
  const { plan, step } = expertTrainer(device, { rule: { momentum: 0.9, weightDecay: 5e-4 } })
  return { plans: [plan], step }
}
