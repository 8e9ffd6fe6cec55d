/** @file Replays the forward case: the ConvNet's logits, embedding, ReLU maps and their attention vectors. */
import { channelAttention, spatialAttention } from '../distill/matching/attention.js'
import { reshape } from '../engine/index.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import { images, networkOf, toNchw, weightsOf, withGroup } from './matching-case.js'
import { meanLoss, parametersOf } from './network.js'

export const isForward = (golden: GoldenCase): boolean =>
  fieldAt(golden, 'expected', 'logits') !== undefined && fieldAt(golden, 'inputs', 'x') !== undefined

export async function replayForward(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const net = networkOf(golden)
  const x = tensorAt(golden, 4, 'inputs', 'x')
  const rows = x.shape[0]
  const labels = { shape: [rows], data: Float64Array.from({ length: rows }, (_, i) => i), dtype: 'i32' as const }
  const results = await engine.run(
    (values) => {
      const parameters = parametersOf(net, values)
      const fused = net.network.apply(parameters, withGroup(values.x))
      const { taps } = net.network.apply(parameters, withGroup(values.x), { taps: true })
      const loss = meanLoss(reshape(fused.logits, [rows, net.network.classes]), values.labels)
      const maps = taps.flatMap((map, i) => [
        [`relu${i}`, map],
        [`spatial_att_p1.${i}`, spatialAttention(map, 1)],
        [`spatial_att_p4.${i}`, spatialAttention(map, 4)],
        [`channel_att_p4.${i}`, channelAttention(map, 4)],
      ])
      return { logits: fused.logits, embedding: fused.embedding, loss, ...Object.fromEntries(maps) }
    },
    { x: images(x), labels, ...weightsOf(golden, net) },
  )
  const checks = new CheckList(engine.name)
  const { height, width, channels } = net.map
  const embedding = toNchw({ shape: [rows, height, width, channels], data: results.embedding.data })
  checks.add('logits', 'loss', results.logits, tensorAt(golden, 2, 'expected', 'logits'))
  checks.add('embedding', 'loss', embedding, tensorAt(golden, 2, 'expected', 'embedding'))
  checks.add('cross_entropy', 'loss', results.loss, scalarTensor(numberAt(golden, 'expected', 'cross_entropy_with_labels_0_1')))
  for (const i of listAt(golden, 'expected', 'relu').keys()) {
    checks.add(`relu.${i}`, 'loss', toNchw(results[`relu${i}`]), tensorAt(golden, 4, 'expected', 'relu', i))
    for (const name of ['spatial_att_p1', 'spatial_att_p4', 'channel_att_p4']) {
      checks.add(`${name}.${i}`, 'loss', results[`${name}.${i}`], tensorAt(golden, 2, 'expected', name, i))
    }
  }
  return checks.checks
}
