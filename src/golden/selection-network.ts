/** @file Replays of scores of a ConvNet: its logits, the scores made of them, and full gradient norms by parameter. */
import { gradientNorms } from '../scores/grand.js'
import { type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { images, withGroup } from './matching-case.js'
import { buildNetwork, parametersOf, weightInputs } from './network.js'
import { replayLogitScores } from './selection-scores.js'

export const isNetworkScores = ({ arrayNames }: GoldenCase): boolean => arrayNames.includes('grand_per_param')

export async function replayNetworkScores(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const array = (name: string) => readArray(golden, name)
  const x = images(array('X'))
  const [n, height, widthPixels, channels] = x.shape
  const width = array('param.conv0.weight').shape[0]
  const classes = array('param.fc.weight').shape[0]
  const depth = array('depth').data[0]
  const net = buildNetwork({ depth, width, height, widthPixels, channels, classes, norm: 'instance', eps: array('eps').data[0] })
  const torchName = (name: string) => `param.${name.replace('gamma', 'weight').replace('beta', 'bias')}`
  const results = await engine.run(
    (values) => {
      const parameters = parametersOf(net, values)
      const { norm, squares } = gradientNorms(net.network, parameters, values.x, values.labels)
      return { logits: net.network.apply(parameters, withGroup(values.x)).logits, norm, ...squares }
    },
    {
      ...{ x, labels: { shape: [n], data: array('y').data, dtype: 'i32' as const } },
      ...weightInputs(net, ({ name }) => array(torchName(name))),
    },
  )
  const checks = new CheckList(engine.name)
  checks.add('network_logits', 'loss', results.logits, array('logits'))
  checks.add('grand', 'loss', results.norm, array('grand'))
  // columns in the order of the file's own parameters
  const columns = golden.arrayNames.filter((name) => name.startsWith('param.'))
  const norms = new Float64Array(n * columns.length)
  for (const { name } of net.network.parameters) {
    const column = columns.indexOf(torchName(name))
    for (let i = 0; i < n; i++) norms[i * columns.length + column] = Math.sqrt(results[name].data[i])
  }
  checks.add('grand_per_param', 'gradient', listTensor(norms), listTensor(array('grand_per_param').data))
  return [...checks.checks, ...(await replayLogitScores(golden, engine))]
}
