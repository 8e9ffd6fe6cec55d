/** @file Replays of KRR-ST: an outer step through a frozen network, the inner step after it, several of both with a pool of networks, and the pool's counters. */

import { innerStep, type Moments, momentShapes } from '../distill/regression/inner-step.js'
import { features, outerGradients, outerUpdate } from '../distill/regression/outer-step.js'
import { PoolSchedule } from '../distill/regression/pool-schedule.js'
import { reshape, sizeOf, type Value } from '../engine/index.js'
import { compose, convBlock } from '../nn/blocks.js'
import { nchwToNhwc, nhwcToNchw, permuteAxes } from '../nn/layout.js'
import type { ParameterSpec } from '../nn/module.js'
import { linearSchedule } from '../optim/schedules.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine, GoldenInput } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import { type GoldenNetwork, toEngine, toTorch } from './network.js'
import { type GoldenTensor, tensorFromJson } from './tensor.js'

const kindOf = (golden: GoldenCase): unknown => fieldAt(golden, 'kind')
const released = { kind: 'sgd', lr: 0.1, momentum: 0.9, weightDecay: 1e-3 } as const

type Path = readonly (string | number)[]
type Tensors = Record<string, GoldenTensor>

/** bn0.weight is norm0.gamma, and so on. */
const goldenName = (name: string): string =>
  name.replace(
    /^norm(\d+)\.(\w+)$/,
    (_, block, tensor) =>
      `bn${block}.${{ gamma: 'weight', beta: 'bias', mean: 'running_mean', variance: 'running_var' }[tensor as 'gamma']}`,
  )

function networkOf(golden: GoldenCase, network: Path): GoldenNetwork {
  const side = numberAt(golden, 'params', 'image_size')
  const widths = listAt(golden, 'params', 'channels') as readonly number[]
  const [classes] = tensorAt(golden, 2, ...network, 'fc.weight').shape
  return build(side, widths, classes)
}

function build(side: number, widths: readonly number[], classes: number): GoldenNetwork {
  const layers = widths.map((channels, i) => {
    const map = [side >> i, side >> i, i === 0 ? 3 : widths[i - 1]] as const
    return convBlock(i, map, { channels, kernel: 3, pad: 1, norm: 'batch', pooling: 'avg' })
  })
  const [height, width, channels] = layers[layers.length - 1].output
  return { network: compose({ name: 'golden', input: [side, side, 3], classes, layers }), map: { height, width, channels } }
}

/** Parameters and running statistics as inputs of a trace, under their own names. */
function networkInputs(golden: GoldenCase, { network }: GoldenNetwork, path: Path): Tensors {
  const read = (name: string) => tensorFromJson(`${golden.name}: ${name}`, fieldAt(golden, ...path, goldenName(name)))
  return Object.fromEntries([
    ...network.parameters.map((parameter) => [parameter.name, toEngine(parameter, read(parameter.name))]),
    ...network.state.map(({ name, shape }) => [name, { shape: [1, ...shape], data: read(name).data }]),
  ])
}

const named = (names: readonly { readonly name: string }[], values: Readonly<Record<string, Value>>): Record<string, Value> =>
  Object.fromEntries(names.map(({ name }) => [name, values[name]]))

/** Images as the engine has them. */
function imagesAt(golden: GoldenCase, ...path: Path): GoldenTensor {
  const { shape, data } = tensorAt(golden, 4, ...path)
  const [n, c, h, w] = shape
  return { shape: [n, h, w, c], data: nchwToNhwc(data, [n, c, h, w]) }
}

function inTorchOrder({ shape, data }: GoldenTensor): GoldenTensor {
  const [n, h, w, c] = shape
  return { shape: [n, c, h, w], data: nhwcToNchw(data, [n, h, w, c]) }
}

const zerosLike = ({ shape }: GoldenTensor): GoldenTensor => ({ shape, data: new Float64Array(sizeOf(shape)) })

/** What AdamW moves: images and targets with their moments, by the names of a trace's inputs. */
type OuterState = Tensors

const momentNames = ['mean', 'square', 'meanWeight', 'squareWeight'] as const

const freshState = (images: GoldenTensor, targets: GoldenTensor): OuterState => ({
  images,
  targets,
  ...Object.fromEntries(
    (['images', 'targets'] as const).flatMap((what) => {
      const like = what === 'images' ? images : targets
      return momentNames.map((name) => [`${what}.${name}`, name.endsWith('Weight') ? scalarTensor(0) : zerosLike(like)])
    }),
  ),
})

interface OuterInputs {
  readonly net: GoldenNetwork
  readonly weights: Tensors
  readonly state: OuterState
  readonly real: GoldenTensor
  readonly realTargets: GoldenTensor
  readonly lr: number
  readonly c: number
}

/** The outer step: what it found on the way, and images and targets afterwards, with their moments. */
function outerStep(engine: GoldenEngine, { net, weights, state, real, realTargets, lr, c }: OuterInputs): Promise<Tensors> {
  const { network } = net
  const inputs: Record<string, GoldenInput> = { ...weights, ...state, real, realTargets, lr: scalarTensor(lr) }
  return engine.run((v) => {
    const frozen = { network, parameters: named(network.parameters, v), state: named(network.state, v) }
    const step = outerGradients(
      frozen,
      { images: v.images, targets: v.targets, real: v.real, realTargets: v.realTargets },
      { c, scale: 'trace', detach: true },
    )
    const moved = (what: 'images' | 'targets') => ({
      parameter: v[what],
      state: {
        ...{ mean: v[`${what}.mean`], square: v[`${what}.square`] },
        ...{ meanWeight: v[`${what}.meanWeight`], squareWeight: v[`${what}.squareWeight`] },
      },
    })
    const next = outerUpdate({ images: moved('images'), targets: moved('targets') }, step, { lr: v.lr, weightDecay: 0 })
    return {
      ...{ loss: step.loss, predictions: step.predictions, info: step.info, gradImages: step.images, gradTargets: step.targets },
      ...{ phi: features(frozen, v.images), realPhi: features(frozen, v.real) },
      ...Object.fromEntries(
        (['images', 'targets'] as const).flatMap((what) => [
          [`next.${what}`, next[what].parameter],
          ...momentNames.map((name) => [`next.${what}.${name}`, next[what].state[name]]),
        ]),
      ),
    }
  }, inputs)
}

const nextState = (results: Tensors): OuterState =>
  Object.fromEntries(Object.entries(results).flatMap(([name, value]) => (name.startsWith('next.') ? [[name.slice(5), value]] : [])))

/** Features as they are flattened from [C, H, W], with the column of ones behind. */
function torchFeatures({ map }: GoldenNetwork, { shape, data }: GoldenTensor): GoldenTensor {
  const { height, width, channels } = map
  const [n, d] = shape
  const ordered = permuteAxes(data, [n, height, width, channels], [0, 3, 1, 2])
  const out = new Float64Array(n * (d + 1)).fill(1)
  for (let row = 0; row < n; row++) out.set(ordered.subarray(row * d, (row + 1) * d), row * (d + 1))
  return { shape: [n, d + 1], data: out }
}

export const isOuterStep = (golden: GoldenCase): boolean => kindOf(golden) === 'krrst_outer_step'

export async function replayOuterStep(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const net = networkOf(golden, ['inputs', 'network'])
  const images = imagesAt(golden, 'inputs', 'x_s')
  const targets = tensorAt(golden, 2, 'inputs', 'y_s')
  const results = await outerStep(engine, {
    net,
    weights: networkInputs(golden, net, ['inputs', 'network']),
    state: freshState(images, targets),
    real: imagesAt(golden, 'inputs', 'x_t'),
    realTargets: tensorAt(golden, 2, 'inputs', 'y_t'),
    lr: numberAt(golden, 'params', 'outer_lr'),
    c: numberAt(golden, 'params', 'ridge_c'),
  })
  const wanted = (rank: number, name: string) => tensorAt(golden, rank, 'outputs', name)
  checks.add('phi_s', 'gradient', torchFeatures(net, results.phi), wanted(2, 'phi_s'))
  checks.add('phi_t', 'gradient', torchFeatures(net, results.realPhi), wanted(2, 'phi_t'))
  checks.add('lambda', 'loss', scalarTensor(results.info.data[0]), scalarTensor(numberAt(golden, 'outputs', 'lambda')))
  checks.add('P', 'gradient', results.predictions, wanted(2, 'P'))
  checks.add('loss', 'loss', results.loss, scalarTensor(numberAt(golden, 'outputs', 'loss')))
  checks.add('d_x_s', 'gradient', inTorchOrder(results.gradImages), wanted(4, 'd_x_s'))
  checks.add('d_y_s', 'gradient', results.gradTargets, wanted(2, 'd_y_s'))
  checks.add('x_s_after_adamw', 'trajectory', inTorchOrder(results['next.images']), wanted(4, 'x_s_after_adamw'))
  checks.add('y_s_after_adamw', 'trajectory', results['next.targets'], wanted(2, 'y_s_after_adamw'))
  return checks.checks
}

interface InnerInputs {
  readonly net: GoldenNetwork
  /** Parameters, running statistics and moments, by name. */
  readonly member: Tensors
  readonly images: GoldenTensor
  readonly targets: GoldenTensor
}

const freshMoments = ({ network }: GoldenNetwork): Tensors =>
  Object.fromEntries(
    Object.entries(momentShapes(network, released)).map(([name, shape]) => [name, { shape, data: new Float64Array(sizeOf(shape)) }]),
  )

/** The inner step: its loss, gradients, and the member afterwards under the same names. */
async function poolStep(
  engine: GoldenEngine,
  { net, member, images, targets }: InnerInputs,
): Promise<{ loss: GoldenTensor; member: Tensors }> {
  const { network } = net
  const moments = Object.keys(momentShapes(network, released))
  const { loss, ...next } = await engine.run(
    (v) => {
      const own = {
        parameters: named(network.parameters, v),
        state: named(network.state, v),
        moments: Object.fromEntries(moments.map((name) => [name, v[name]])) as Moments,
      }
      const step = innerStep(network, own, { images: v.images, targets: v.targets }, { optimiser: released, loss: 'mse' })
      return { loss: reshape(step.loss, []), ...step.parameters, ...step.state, ...step.moments }
    },
    { ...member, images, targets },
  )
  return { loss, member: next }
}

export const isPoolStep = (golden: GoldenCase): boolean => kindOf(golden) === 'krrst_pool_step'

export async function replayPoolStep(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const path = ['inputs', 'network'] as const
  const images = imagesAt(golden, 'inputs', 'x_s')
  const widths = [0, 1].map((i) => tensorAt(golden, 4, ...path, `conv${i}.weight`).shape[0])
  const net = build(images.shape[1], widths, tensorAt(golden, 2, ...path, 'fc.weight').shape[0])
  const member = { ...networkInputs(golden, net, path), ...freshMoments(net) }
  const { loss, member: next } = await poolStep(engine, { net, member, images, targets: tensorAt(golden, 2, 'inputs', 'y_s') })
  checks.add('loss', 'loss', loss, scalarTensor(numberAt(golden, 'outputs', 'loss')))
  const wanted = (...at: Path) => tensorFromJson(`${golden.name}: ${at.join('.')}`, fieldAt(golden, 'outputs', ...at))
  const gradients = new Map<string, { readonly ours: number[]; readonly theirs: number[] }>()
  for (const parameter of net.network.parameters) {
    const name = goldenName(parameter.name)
    const gradient = torchTensor(parameter, decayTaken(next[`velocity:${parameter.name}`], member[parameter.name]))
    // a bias in front of a batch norm has gradient 0 but for rounding: it is measured by that of the whole layer
    const layer = name.split('.')[0]
    const before = gradients.get(layer) ?? { ours: [], theirs: [] }
    gradients.set(layer, { ours: [...before.ours, ...gradient.data], theirs: [...before.theirs, ...wanted('grads', name).data] })
    checks.add(`network_after.${name}`, 'trajectory', torchTensor(parameter, next[parameter.name]), wanted('network_after', name))
  }
  for (const [layer, { ours, theirs }] of gradients) checks.add(`grads.${layer}`, 'gradient', listTensor(ours), listTensor(theirs))
  for (const { name } of net.network.state)
    checks.add(`network_after.${goldenName(name)}`, 'trajectory', next[name], wanted('network_after', goldenName(name)))
  return checks.checks
}

/** The gradient in a first velocity, which has the decay in it. */
const decayTaken = (velocity: GoldenTensor, parameter: GoldenTensor): GoldenTensor => ({
  shape: velocity.shape,
  data: velocity.data.map((value, i) => value - released.weightDecay * parameter.data[i]),
})

const torchTensor = (parameter: ParameterSpec, tensor: GoldenTensor): GoldenTensor => listTensor(toTorch(parameter, tensor))

export const isKrrTrajectory = (golden: GoldenCase): boolean => kindOf(golden) === 'krrst_trajectory'

export async function replayKrrTrajectory(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const net = networkOf(golden, ['inputs', 'pool', 0])
  const pool = listAt(golden, 'inputs', 'pool').map(
    (_, i) => ({ ...networkInputs(golden, net, ['inputs', 'pool', i]), ...freshMoments(net) }) as Tensors,
  )
  const param = (name: string) => numberAt(golden, 'params', name)
  const rate = linearSchedule(param('outer_lr'), param('outer_total'), param('end_factor'))
  let state = freshState(imagesAt(golden, 'inputs', 'x_s'), tensorAt(golden, 2, 'inputs', 'y_s'))
  for (const [step, pick] of (listAt(golden, 'params', 'picks') as readonly number[]).entries()) {
    const wanted = (name: string) => scalarTensor(numberAt(golden, 'outputs', 'steps', step, name))
    const frozen = Object.fromEntries([...net.network.parameters, ...net.network.state].map(({ name }) => [name, pool[pick][name]]))
    const results = await outerStep(engine, {
      ...{ net, weights: frozen, state, lr: rate(step), c: param('ridge_c') },
      ...{ real: imagesAt(golden, 'inputs', 'x_t', step), realTargets: tensorAt(golden, 2, 'inputs', 'y_t', step) },
    })
    state = nextState(results)
    const inner = await poolStep(engine, { net, member: pool[pick], images: state.images, targets: state.targets })
    pool[pick] = inner.member
    checks.add(`steps.${step}.outer_loss`, 'trajectory', results.loss, wanted('outer_loss'))
    checks.add(`steps.${step}.lr`, 'loss', scalarTensor(rate(step)), wanted('lr'))
    checks.add(`steps.${step}.pool_loss`, 'trajectory', inner.loss, wanted('pool_loss'))
  }
  checks.add('x_s', 'trajectory', inTorchOrder(state.images), tensorAt(golden, 4, 'outputs', 'x_s'))
  checks.add('y_s', 'trajectory', state.targets, tensorAt(golden, 2, 'outputs', 'y_s'))
  const fc = net.network.parameters.find(({ name }) => name === 'fc.weight') as ParameterSpec
  for (const [i, member] of pool.entries()) {
    const wanted = (rank: number, name: string) => tensorAt(golden, rank, 'outputs', name, i)
    checks.add(`pool.${i}.running_mean`, 'trajectory', member['norm1.mean'], wanted(1, 'pool_running_mean_last'))
    checks.add(`pool.${i}.running_var`, 'trajectory', member['norm1.variance'], wanted(1, 'pool_running_var_last'))
    checks.add(`pool.${i}.fc.weight`, 'trajectory', torchTensor(fc, member['fc.weight']), wanted(2, 'pool_fc_weight'))
  }
  return checks.checks
}

export const isPoolSchedule = (golden: GoldenCase): boolean => kindOf(golden) === 'pool_schedule'

export async function replayPoolSchedule(golden: GoldenCase, { name: engine }: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine)
  const maxSteps = numberAt(golden, 'params', 'Z')
  const initial = listAt(golden, 'params', 'initial_steps') as readonly number[]
  const visits = listAt(golden, 'params', 'visits') as readonly number[]
  const kinds = { reset: 'reset_counter', release: 'release_code_counter_not_reset' } as const
  for (const counter of ['reset', 'release'] as const) {
    const schedule = new PoolSchedule({ maxSteps, counter }, initial, initial)
    const renewed = visits.map((network) => Number(schedule.visit(network) === 'renew'))
    const wanted = (listAt(golden, 'outputs', kinds[counter], 'events') as readonly string[]).map((event) => Number(event === 'reinit'))
    checks.add(`${counter}.events`, 'exact', listTensor(renewed), listTensor(wanted))
    const ages = listAt(golden, 'outputs', kinds[counter], 'final_age') as readonly number[]
    checks.add(`${counter}.final_age`, 'exact', listTensor(schedule.ages), listTensor(ages))
  }
  return checks.checks
}
