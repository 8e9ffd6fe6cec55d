/**
 * @file One step of self-supervised pretraining: 256 images of 32 pixels in two views, ResNet-18 with batch norm, Barlow Twins with the projector
 * 2048-2048-2048, LARS on all parameters. Value: the loss.
 */
import { createDataset } from '../../dist/data/dataset.js'
import { randomBits } from '../../dist/engine/tensor/philox.js'
import { planPretrain } from '../../dist/pretrain/settings.js'
import { PretrainTrainer } from '../../dist/pretrain/trainer.js'

const rows = 256
const shape = [rows, 32, 32, 3]

export function prepare(device) {
  const bits = randomBits([21, 24], 0, 2, shape.reduce((a, b) => a * b) / 4)
  const data = createDataset({
    ...{ name: 'noise', split: 'train', classes: ['one'], shape, images: new Uint8Array(bits.buffer, bits.byteOffset, bits.byteLength) },
    ...{ labels: new Int32Array(rows), mean: [0.5, 0.5, 0.5], std: [0.25, 0.25, 0.25], flip: true },
  })
  const trainer = new PretrainTrainer(device, planPretrain(data, { device, network: 'resnet18-krr', batch: rows, epochs: 1000 }), data)
  let begun
  let done = 0
  return {
    plans: [trainer.stepPlan],
    async step() {
      begun ??= trainer.initialize()
      await begun
      const { losses } = await trainer.run(done++, 1)
      return losses[0]
    },
  }
}
