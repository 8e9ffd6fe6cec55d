/** @file Replays of the Hessian-vector cases: gradient, H v, and the mixed derivatives that trajectory matching's reverse sweep rests on. */
import { add, dot, grad, reshape, softmax, type Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import { type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, GoldenInput } from './engines.js'
import { fieldAt, numberAt, scalarTensor } from './fields.js'
import { buildNetwork, type GoldenNetwork, meanLoss, parametersOf, toTorch, weightInputs } from './network.js'
import type { GoldenTensor } from './tensor.js'

type Sizes4 = readonly [number, number, number, number]
type Labels = 'soft' | 'hard'

export const isHessianVector = (golden: GoldenCase): boolean =>
  ['theta', 'v', 'x'].every((name) => golden.arrayNames.includes(name)) && golden.arrayNames.some((name) => name.endsWith('_Hv'))

/** Sizes from the arrays themselves when the case is an .npz without description. */
export function networkOf(golden: GoldenCase, x: GoldenTensor): GoldenNetwork {
  const net = fieldAt(golden, 'meta', 'net')
  if (net === undefined) {
    throw new AludelError(
      'invalid_data',
      `${golden.name}: expected the network's description in meta.net; put the .json file beside the .npz file`,
    )
  }
  const n = (name: string) => numberAt(golden, 'meta', 'net', name)
  const [, channels, height, widthPixels] = x.shape
  return buildNetwork({
    depth: n('depth'),
    width: n('width'),
    height,
    widthPixels,
    channels,
    classes: n('classes'),
    norm: 'instance',
    eps: n('instance_norm_eps'),
  })
}

/** Cuts a flat vector (conv weight, bias, norm weight, bias by block; linear weight, bias) into the network's parameters. */
export function splitFlat(net: GoldenNetwork, flat: GoldenTensor): Record<string, GoldenTensor> {
  let offset = 0
  return weightInputs(net, ({ shape }) => {
    const size = shape.reduce((a, b) => a * b, 1)
    offset += size
    return { shape, data: flat.data.slice(offset - size, offset) }
  })
}

export const prefixed = (prefix: string, tensors: Readonly<Record<string, GoldenTensor>>): Record<string, GoldenInput> =>
  Object.fromEntries(Object.entries(tensors).map(([name, tensor]) => [prefix + name, tensor]))

/** <a, b> over all parameters. */
const innerProduct = (a: readonly Value[], b: readonly Value[]): Value => a.map((x, i) => dot(x, b[i])).reduce((x, y) => add(x, y))

async function derivatives(net: GoldenNetwork, engine: GoldenEngine, inputs: Record<string, GoldenInput>, rows: number) {
  const names = net.network.parameters.map(({ name }) => name)
  const soft = 'labelLogits' in inputs
  return engine.run((values) => {
    const parameters = parametersOf(net, values)
    const { logits } = net.network.apply(parameters, reshape(values.x, [1, ...values.x.shape]))
    const flatLogits = reshape(logits, [rows, net.network.classes])
    const ce = meanLoss(flatLogits, soft ? softmax(values.labelLogits) : values.labels)
    const weights = names.map((name) => parameters[name])
    const gradient = grad(ce, weights)
    const along = innerProduct(
      gradient,
      names.map((name) => values[`v.${name}`]),
    )
    const second = grad(along, [...weights, values.x, ...(soft ? [values.labelLogits] : [])])
    return {
      ce,
      logits: flatLogits,
      ...Object.fromEntries(
        names.flatMap((name, i) => [
          [`grad.${name}`, gradient[i]],
          [`hv.${name}`, second[i]],
        ]),
      ),
      mixedX: second[names.length],
      ...(soft ? { mixedY: second[names.length + 1] } : {}),
    }
  }, inputs)
}

export function joinFlat(net: GoldenNetwork, prefix: string, results: Readonly<Record<string, GoldenTensor>>): GoldenTensor {
  const parts = net.network.parameters.map((parameter) => toTorch(parameter, results[prefix + parameter.name]))
  return { shape: [parts.reduce((n, part) => n + part.length, 0)], data: Float64Array.from(parts.flatMap((part) => [...part])) }
}

async function replayLabels(golden: GoldenCase, engine: GoldenEngine, labels: Labels, checks: CheckList): Promise<void> {
  const x = readArray(golden, 'x')
  const [n, c, h, w] = x.shape as Sizes4
  const net = networkOf(golden, x)
  const target: Record<string, GoldenInput> =
    labels === 'soft'
      ? { labelLogits: readArray(golden, 'label_logits') }
      : { labels: { ...readArray(golden, 'labels_int'), dtype: 'i32' } }
  const results = await derivatives(
    net,
    engine,
    {
      x: { shape: [n, h, w, c], data: nchwToNhwc(x.data, [n, c, h, w]) },
      ...target,
      ...splitFlat(net, readArray(golden, 'theta')),
      ...prefixed('v.', splitFlat(net, readArray(golden, 'v'))),
    },
    n,
  )
  const expected = (name: string) => readArray(golden, `${labels}_${name}`)
  const mixedX = { shape: x.shape, data: nhwcToNchw(results.mixedX.data, [n, h, w, c]) }
  const add = (name: string, actual: GoldenTensor, wanted: GoldenTensor) => checks.add(`${labels}_${name}`, 'trajectory', actual, wanted)
  add('ce', results.ce, scalarTensor(numberAt(golden, 'meta', labels, 'ce')))
  add('logits', results.logits, expected('logits'))
  add('grad', joinFlat(net, 'grad.', results), expected('grad'))
  add('Hv', joinFlat(net, 'hv.', results), expected('Hv'))
  add('mixed_x', mixedX, expected('mixed_x'))
  if (labels === 'soft') add('mixed_y', results.mixedY, expected('mixed_y'))
}

export async function replayHessianVector(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  for (const labels of ['soft', 'hard'] as const) {
    if (golden.arrayNames.includes(`${labels}_Hv`)) await replayLabels(golden, engine, labels, checks)
  }
  return checks.checks
}
