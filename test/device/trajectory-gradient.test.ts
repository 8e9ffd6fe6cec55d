/** @file One iteration of trajectory matching as the product runs it, against its whole unroll differentiated as one graph in float64. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseAugment, thetaSize } from '../../src/augment/dsa.js'
import { augmentationAt, expertAt, minibatchesAt, startEpochAt } from '../../src/distill/trajectory/draws.js'
import { mtt } from '../../src/distill/trajectory/methods.js'
import type { TrajectoryOptions } from '../../src/distill/trajectory/options.js'
import { TrajectoryIterations } from '../../src/distill/trajectory/trajectory-iterations.js'
import {
  add,
  augment,
  div,
  gather,
  grad,
  interpret,
  mul,
  reshape,
  select,
  softmax,
  softmaxCe,
  spec,
  squaredNorm,
  sub,
  sum,
  trace,
  type Value,
} from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { normal } from '../../src/engine/tensor/philox.js'
import { flatToEngine } from '../../src/nn/flat-parameters.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { fakeExperts } from '../fake-experts.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'

const network = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 8 })
const names = network.parameters.map(({ name }) => name)
const seed = 3
const iteration = 4
const images = 6
const base: TrajectoryOptions = {
  ...{ innerSteps: 3, expertEpochs: 2, minStartEpoch: 1, startEpoch: 4, maxStartEpoch: 4, expansionEnd: null, synBatch: 4 },
  ...{ labels: 'hard', labelLr: null, labelMomentum: 0.9, startLr: 0.05, lrLr: 1e-6, lrMomentum: 0.5 },
  ...{ threshold: null, mask: 'none', gradient: 'exact', emaDecay: null },
}

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const total = (values: readonly Value[]) => values.reduce((a, b) => add(a, b))

/** loss and its gradients in images, lr and, where they are soft, label logits; parameters whose place in the flat order is below `dropped` are left out. */
function unroll(v: Record<string, Value>, options: TrajectoryOptions, batch: number, augmented: boolean): Value[] {
  const { innerSteps, labels } = options
  let theta = names.map((name) => v[`start.${name}`])
  for (let i = 0; i < innerSteps; i++) {
    const parameters = Object.fromEntries(names.map((name, j) => [name, theta[j]]))
    const drawn = gather(v.images, v[`index${i}`])
    const x = augmented ? augment(drawn, v[`theta${i}`]) : drawn
    const own = gather(v.labels, v[`index${i}`])
    const { logits } = network.apply(parameters, reshape(x, [1, ...x.shape]))
    const each = softmaxCe(reshape(logits, [batch, network.classes]), labels === 'soft' ? softmax(own) : own).loss
    const gradients = grad(sum(mul(each, v[`weights${i}`])), theta)
    theta = theta.map((value, j) => sub(value, mul(gradients[j], v.lr)))
  }
  const distance = (a: readonly Value[]) =>
    total(a.map((value, j) => squaredNorm(select(v[`kept.${names[j]}`], sub(value, v[`target.${names[j]}`]), 0))))
  const loss = div(distance(theta), distance(names.map((name) => v[`start.${name}`])))
  return [loss, ...grad(loss, [v.images, v.lr, ...(labels === 'soft' ? [v.labels] : [])])]
}

const scaledError = (actual: ArrayLike<number>, expected: ArrayLike<number>) => {
  const scale = Math.max(...Array.from(expected, Math.abs))
  return Math.max(...Array.from(expected, (x, i) => Math.abs(x - actual[i]))) / scale
}

it.each<[string, Partial<TrajectoryOptions>, string]>([
  ['plain', { synBatch: null }, 'none'],
  ['short minibatches under augmentation', {}, 'dsa'],
  ['learned labels, a mask by depth inside a tensor', { labels: 'soft', labelLr: 1, mask: 'depth:0.4' }, 'dsa'],
])('%s', async (_, changes, policy) => {
  const options = { ...base, ...changes }
  const { innerSteps } = options
  const batch = Math.min(options.synBatch ?? images, images)
  const store = fakeExperts(network, noiseDataset)
  const augmentation = parseAugment(policy, true)
  const labelLogits = Float32Array.from(normal([1, 2], 0, 3, images * network.classes))
  const own = new TrajectoryIterations(
    device,
    network.classes,
    {
      ...{ method: mtt, methodOptions: options, network, ipc: images / 2, iterations: 10, realBatch: 0, imageLr: 1, imageMomentum: 0.5 },
      ...{ init: 'real', augment: augmentation, seed, onDivergence: 'stop', experts: store, config: {} },
    },
    { images: new Float32Array(0), sourceIds: new Int32Array(0), labelLogits },
  )
  const x = Float32Array.from(normal([1, 2], 0, 4, images * noiseSide ** 2 * 3))
  const state = {
    images: device.array('f32', own.stateShape, x),
    velocity: device.array('f32', own.stateShape),
    ...Object.fromEntries(Object.entries(own.extraState).map(([name, { shape, start }]) => [name, device.array('f32', shape, start)])),
  } as Record<'images' | 'velocity' | 'lrVelocity' | 'labelVelocity', ReturnType<Device['array']>>
  const [loss] = await own.run(state, { first: iteration, n: 1 })

  const key = keyOf(seed)
  const expert = expertAt(key, iteration, store.experts)
  const epoch = startEpochAt(key, iteration, options.minStartEpoch, options.maxStartEpoch)
  expect(store.reads).toContainEqual([expert, epoch])
  expect(store.reads).toContainEqual([expert, epoch + options.expertEpochs])
  const shape = { innerSteps, images, batch, padded: images % batch !== 0 }
  const { index, weights } = await minibatchesAt(key, iteration, shape)
  const theta = await augmentationAt(key, iteration, shape, augmentation, network.input)
  const [start, target] = await Promise.all([epoch, epoch + 2].map(async (e) => flatToEngine(network, await store.checkpoint(expert, e))))
  const size = store.record.parameters
  const dropped = options.mask === 'none' ? 0 : Math.trunc(size * 0.4)
  const kept = flatToEngine(
    network,
    Float32Array.from({ length: size }, (_, i) => Number(i >= dropped)),
  )
  const inputs: Record<string, { shape: readonly number[]; data: ArrayLike<number>; dtype?: 'i32' }> = {
    images: { shape: own.stateShape, data: x },
    lr: { shape: [], data: [Math.fround(options.startLr)] },
    labels:
      options.labels === 'soft'
        ? { shape: [images, network.classes], data: labelLogits }
        : { shape: [images], data: [0, 0, 0, 1, 1, 1], dtype: 'i32' },
  }
  for (const { name, shape } of network.parameters) {
    for (const [side, tensors] of Object.entries({ start, target, kept }))
      inputs[`${side}.${name}`] = { shape: [1, ...shape], data: tensors[name] }
  }
  for (let i = 0; i < innerSteps; i++) {
    const rows = index.subarray(i * batch, (i + 1) * batch)
    inputs[`index${i}`] = { shape: [batch], data: rows, dtype: 'i32' }
    inputs[`weights${i}`] = {
      shape: [batch],
      data: weights?.subarray(i * batch, (i + 1) * batch) ?? new Float64Array(batch).fill(1 / batch),
    }
    inputs[`theta${i}`] = { shape: [batch, thetaSize], data: theta.subarray(i * batch * thetaSize, (i + 1) * batch * thetaSize) }
  }
  const all = Object.entries(inputs)
  const traced = trace(
    (...values: Value[]) => unroll(Object.fromEntries(values.map((value, i) => [all[i][0], value])), options, batch, policy !== 'none'),
    all.map(([, { shape, dtype }]) => spec(shape, dtype ?? 'f32')),
  )
  const [wantedLoss, wantedX, wantedLr, wantedY] = interpret(
    traced,
    all.map(([, { shape, data }]) => ({ shape, data: Float64Array.from(data) })),
  )
  expect(scaledError([loss], wantedLoss.data)).toBeLessThan(1e-5)
  // from rest, a velocity is the gradient
  expect(scaledError((await state.velocity.read()) as Float32Array, wantedX.data)).toBeLessThan(1e-4)
  expect(scaledError((await state.lrVelocity.read()) as Float32Array, wantedLr.data)).toBeLessThan(1e-4)
  if (wantedY) expect(scaledError((await state.labelVelocity.read()) as Float32Array, wantedY.data)).toBeLessThan(1e-4)
  own.dispose()
  for (const array of Object.values(state)) array.dispose()
})
