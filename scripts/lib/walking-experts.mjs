/** @file A store of experts whose parameters walk at random: written in a moment, and all that the arithmetic of a run asks for. */
import { mkdir } from 'node:fs/promises'
import { openDataset } from '../../dist/data/index.js'
import { fold, keyOf } from '../../dist/engine/tensor/key.js'
import { normal } from '../../dist/engine/tensor/philox.js'
import { ExpertWriter } from '../../dist/experts/expert-writer.js'
import { writeRecord } from '../../dist/experts/record.js'
import { parameterCount } from '../../dist/nn/module.js'
import { networkByName } from '../../dist/nn/networks/registry.js'

/** Writes experts of `network` for a data set into `dir`, after epochs 0 to `epochs`. */
export async function writeWalkingExperts(dir, { data, network, experts = 2, epochs = 8 }) {
  const dataset = await openDataset(data, 'train')
  const { name, split, sha256, shape, classes, mean, std } = dataset
  const image = shape.slice(1)
  const parameters = parameterCount(networkByName(network, image, classes.length))
  const record = {
    ...{ format: 'aludel-experts', version: 1, network, image, classes, mean, std, parameters, epochs, experts },
    data: { name, split, sha256, samples: shape[0] },
    kept: Array.from({ length: epochs + 1 }, (_, epoch) => epoch),
    ...{ config: {}, schedule: { name: 'none' }, arithmetic: {}, specification: null },
  }
  await mkdir(dir, { recursive: true })
  await writeRecord(dir, record)
  for (let expert = 0; expert < experts; expert++) {
    const writer = new ExpertWriter(dir, record, expert)
    const walk = new Float32Array(parameters)
    for (let epoch = 0; epoch <= epochs; epoch++) {
      const step = normal(fold(keyOf(1), expert, epoch), 0, 20, parameters)
      for (let i = 0; i < parameters; i++) walk[i] += (epoch === 0 ? 0.05 : 0.01) * step[i]
      await writer.add(epoch, walk)
    }
    await writer.finish({ losses: new Array(epochs).fill(1), accuracies: new Array(epochs).fill(50) })
  }
  return dir
}
