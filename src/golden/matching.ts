/** @file Replays of the feature-matching cases: the ConvNet's forward pass, and DM's loss, pixel gradient and SGD steps. */

import { dm } from '../distill/matching/dm.js'
import type { ClassBatch } from '../distill/method.js'
import { div, grad, maximum, norm, reshape, sizeOf, square, sum, type Value } from '../engine/index.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import type { Norm } from '../nn/networks/conv-net.js'
import { sgdUpdate } from '../optim/sgd.js'
import { augmentStages, type ChainLink, stageInputs, thetaStages } from './augmentation.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { Build, GoldenEngine, Inputs } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import { buildNetwork, type GoldenNetwork, meanLoss, parametersOf, weightInputs } from './network.js'
import type { GoldenTensor } from './tensor.js'

type Sizes4 = readonly [number, number, number, number]

function networkOf(golden: GoldenCase): GoldenNetwork {
  const n = (name: string) => numberAt(golden, 'net', name)
  return buildNetwork({
    depth: n('depth'),
    width: n('width'),
    height: n('height'),
    widthPixels: n('width_px'),
    channels: n('in_channels'),
    classes: n('num_classes'),
    norm: fieldAt(golden, 'net', 'norm') as Norm,
    eps: n('norm_eps'),
  })
}

const weightsOf = (golden: GoldenCase, net: GoldenNetwork) =>
  weightInputs(net, ({ name, layout }) => tensorAt(golden, layout === 'conv' ? 4 : layout === 'linear' ? 2 : 1, 'weights', name))

/** NCHW images of a case as [N, H, W, C]. */
function images({ shape, data }: GoldenTensor): GoldenTensor {
  const [n, c, h, w] = shape as Sizes4
  return { shape: [n, h, w, c], data: nchwToNhwc(data, [n, c, h, w]) }
}

/** [..., N, H, W, C] results in the files' order. */
function toNchw({ shape, data }: GoldenTensor): GoldenTensor {
  const [n, h, w, c] = shape.slice(-4) as unknown as Sizes4
  return { shape: [n, c, h, w], data: nhwcToNchw(data, [n, h, w, c]) }
}

/** Attention vectors: one row an image, scaled to length 1 (divided by max(length, 1e-12)). */
function unitRows(attention: Value, rows: number): Value {
  const flat = reshape(attention, [rows, sizeOf(attention.shape) / rows])
  return div(flat, maximum(norm(flat, { axes: [1], keep: true }), 1e-12))
}

const withGroup = (x: Value): Value => reshape(x, [1, ...x.shape])

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
        // f >= 0 behind a ReLU, so |f|^p needs no absolute value; axis 0 is the group.
        [`spatial_att_p1.${i}`, unitRows(sum(map, { axes: [0, -1] }), rows)],
        [`spatial_att_p4.${i}`, unitRows(sum(square(square(map)), { axes: [0, -1] }), rows)],
        [`channel_att_p4.${i}`, unitRows(sum(square(square(map)), { axes: [0, -3, -2] }), rows)],
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

/** DM cases carry real and synthetic images and no attention or gradient-distance parameters. */
export function isDistributionMatching(golden: GoldenCase): boolean {
  const params = (fieldAt(golden, 'params') ?? {}) as Record<string, unknown>
  const hasImages = fieldAt(golden, 'inputs', 'real') !== undefined && fieldAt(golden, 'inputs', 'syn') !== undefined
  return hasImages && !('p_spatial' in params) && !('metric' in params)
}

interface MatchingCase {
  readonly net: GoldenNetwork
  readonly classes: number
  readonly synthetic: GoldenTensor
  readonly inputs: Inputs
  /** Loss and its gradient with respect to the value `syn`. */
  readonly lossAndGradient: (values: Readonly<Record<string, Value>>) => { loss: Value; gradient: Value }
}

function classInputs(prefix: string, classes: number, perClass: number): Inputs {
  const index = Float64Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))
  return {
    [`${prefix}Index`]: { shape: [classes * perClass], data: index, dtype: 'i32' },
    [`${prefix}Counts`]: { shape: [classes, 1], data: new Float64Array(classes).fill(perClass) },
  }
}

function thetaInputs(golden: GoldenCase, prefix: string, perClass: number): Inputs {
  const chains = fieldAt(golden, 'params', 'chain_of_class') as readonly (readonly ChainLink[])[] | undefined
  if (!chains) return {}
  const size = { height: numberAt(golden, 'net', 'height'), width: numberAt(golden, 'net', 'width_px') }
  return stageInputs(
    prefix,
    thetaStages(
      chains.flatMap((chain) => Array<readonly ChainLink[]>(perClass).fill(chain)),
      size,
    ),
  )
}

function readMatching(golden: GoldenCase): MatchingCase {
  const net = networkOf(golden)
  const [classes, perClass, ipc] = ['num_classes', 'real_per_class', 'ipc'].map((name) => numberAt(golden, 'inputs', name))
  const synthetic = images(tensorAt(golden, 4, 'inputs', 'syn'))
  const inputs: Inputs = {
    syn: synthetic,
    real: images(tensorAt(golden, 4, 'inputs', 'real')),
    key: { shape: [2], data: new Float64Array(2), dtype: 'u32' },
    step: { shape: [1], data: new Float64Array(1), dtype: 'u32' },
    ...classInputs('real', classes, perClass),
    ...classInputs('syn', classes, ipc),
    ...thetaInputs(golden, 'realTheta', perClass),
    ...thetaInputs(golden, 'synTheta', ipc),
    ...weightsOf(golden, net),
  }
  const lossAndGradient = (values: Readonly<Record<string, Value>>) => {
    // The method draws its own network; the case's weights take their place.
    const fixed = parametersOf(net, values)
    const network = { ...net.network, apply: (_: unknown, ...rest: [Value]) => net.network.apply(fixed, ...rest) }
    const batch = (side: 'real' | 'syn'): ClassBatch => ({
      images: withGroup(augmentStages(values[side], values, `${side}Theta`)),
      classIndex: values[`${side}Index`],
      counts: values[`${side}Counts`],
    })
    const loss = dm.loss({ network, key: values.key, step: values.step, classes, real: batch('real'), synthetic: batch('syn') })
    return { loss, gradient: grad(loss, [values.syn])[0] }
  }
  return { net, classes, synthetic, inputs, lossAndGradient }
}

export function replayDistributionMatching(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  return fieldAt(golden, 'expected', 'syn_after') === undefined ? replayOneStep(golden, engine) : replaySgd(golden, engine)
}

async function replayOneStep(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const { inputs, lossAndGradient } = readMatching(golden)
  const { loss, gradient } = await engine.run((values) => lossAndGradient(values), inputs)
  const checks = new CheckList(engine.name)
  checks.add('loss', 'loss', loss, scalarTensor(numberAt(golden, 'expected', 'loss')))
  checks.add('grad_syn', 'gradient', toNchw(gradient), tensorAt(golden, 4, 'expected', 'grad_syn'))
  return checks.checks
}

async function replaySgd(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const { inputs, synthetic, lossAndGradient } = readMatching(golden)
  const [lr, momentum] = [numberAt(golden, 'params', 'lr'), numberAt(golden, 'params', 'momentum')]
  const build: Build = (values) => {
    const { loss, gradient } = lossAndGradient(values)
    const { parameter, velocity } = sgdUpdate(values.syn, values.velocity, gradient, { lr, momentum })
    return { loss, syn: parameter, velocity }
  }
  const checks = new CheckList(engine.name)
  let state: Inputs = { syn: synthetic, velocity: { shape: synthetic.shape, data: new Float64Array(synthetic.data.length) } }
  for (const [i, loss] of listAt(golden, 'expected', 'loss_before_each_step').entries()) {
    const results = await engine.run(build, { ...inputs, ...state })
    checks.add(`loss_before_step.${i}`, 'loss', results.loss, scalarTensor(Number(loss)))
    state = { syn: results.syn, velocity: results.velocity }
  }
  // The displacement, not the value: the images hardly move, so the value would hide a wrong update.
  const before = tensorAt(golden, 4, 'inputs', 'syn').data
  const displacement = (t: GoldenTensor): GoldenTensor => ({ shape: t.shape, data: t.data.map((x, i) => x - before[i]) })
  checks.add('syn_after', 'gradient', displacement(toNchw(state.syn)), displacement(tensorAt(golden, 4, 'expected', 'syn_after')))
  return checks.checks
}
