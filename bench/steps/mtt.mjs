/**
 * @file One trajectory-matching step: 10 unrolled SGD steps of batch 100, then the exact gradient to pixels and inner learning rate, by
 * two programs replayed over parameter slots. The sweep back keeps one step's graph: memory does not grow with the unroll.
 *
 *   forward, i = 0..N-1:  theta[i+1] = theta[i] - eta g_i,  g_i = grad_theta CE(theta[i], X[batch_i])
 *   lam = 2 (theta[N] - target) / |theta[0] - target|^2
 *   reverse, i = N-1..0:  gX[batch_i] -= eta d<g_i, lam>/dX;  g_eta -= <lam, g_i>;  lam -= eta d<g_i, lam>/dtheta
 *
 * Value: |theta[N] - target|^2 / |theta[0] - target|^2.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import {
  add,
  div,
  dot,
  full,
  gather,
  grad,
  mean,
  mul,
  reshape,
  scalar,
  scatterAdd,
  softmaxCe,
  squaredNorm,
  sub,
} from '../../dist/engine/index.js'
import { normal, permutation } from '../../dist/engine/tensor/philox.js'
import { sgdUpdate } from '../../dist/optim/sgd.js'
import { initialValues, normalArray, parameterInputs, pickParameters, prefixed, readScalar, scalarArray, zeros } from './arrays.mjs'
import { grouped, network } from './network.mjs'

/** The peer's setting: N inner steps over a batch of the images. */
const setting = { network, inner: 10, batch: 100, images: 100 }
const namesOf = ({ network }) => network.parameters.map(({ name }) => name)
const imagesShape = ({ network, images }) => [images, ...network.input]
const sum = (values) => values.reduce((a, b) => add(a, b))
const record = (entries) => Object.fromEntries(entries)

/** Gradient of the minibatch's cross-entropy: the inner step's only model call. Returns it with the gathered images. */
function innerGradient({ network, batch }, parameters, v) {
  const x = gather(v.syn, v.index)
  const { logits } = network.apply(parameters, grouped(x))
  const loss = mean(softmaxCe(reshape(logits, [batch, network.classes]), gather(v.labels, v.index)).loss)
  const gradients = grad(
    loss,
    namesOf({ network }).map((name) => parameters[name]),
  )
  return { x, gradients }
}

const batchInputs = ({ network, inner, batch, images }, slots) => ({
  syn: { shape: [images, ...network.input] },
  labels: { shape: [images], dtype: 'i32' },
  lr: { shape: [] },
  index: { shape: [batch], dtype: 'i32', slots: { count: inner, ...slots } },
})

/** Replay i reads slot i of the ring and writes slot i + 1. */
function forwardProgram(device, config) {
  const { network, inner } = config
  const names = namesOf(config)
  const ring = { count: inner + 1, mul: 1 }
  return bindProgram(device, {
    inputs: { ...batchInputs(config, { mul: 1, add: 0 }), ...parameterInputs(network, '', { slots: { ...ring, add: 0 } }) },
    outputs: record(names.map((name) => [`next.${name}`, { slots: { ...ring, add: 1 } }])),
    build(v) {
      const { gradients } = innerGradient(config, pickParameters(network, v), v)
      return record(names.map((name, i) => [`next.${name}`, sub(v[name], mul(gradients[i], v.lr))]))
    },
  })
}

/** Loss and the first cotangent, from the ring's last slot; clears the accumulators. */
function matchProgram(device, config) {
  const { network, inner } = config
  const names = namesOf(config)
  const slot = (add) => ({ slots: { count: inner + 1, mul: 0, add } })
  const inputs = {
    ...parameterInputs(network, 'start.', slot(0)),
    ...parameterInputs(network, 'end.', slot(inner)),
    ...parameterInputs(network, 'target.'),
  }
  return bindProgram(device, {
    inputs,
    outputs: { loss: {}, gradX: {}, gradLr: {}, ...record(names.map((name) => [`lam.${name}`, {}])) },
    build(v) {
      const difference = names.map((name) => sub(v[`end.${name}`], v[`target.${name}`]))
      const denominator = sum(names.map((name) => squaredNorm(sub(v[`start.${name}`], v[`target.${name}`]))))
      const factor = div(scalar(2), denominator)
      return {
        loss: div(sum(difference.map((d) => squaredNorm(d))), denominator),
        gradX: full(imagesShape(config), 0),
        gradLr: full([], 0),
        ...record(names.map((name, i) => [`lam.${name}`, mul(difference[i], factor)])),
      }
    },
  })
}

/** Replay i works at inner step N - 1 - i. */
function reverseProgram(device, config) {
  const { network, inner, images } = config
  const names = namesOf(config)
  const back = { mul: -1, add: inner - 1 }
  const lam = parameterInputs(network, 'lam.')
  return bindProgram(device, {
    inputs: {
      ...batchInputs(config, back),
      ...parameterInputs(network, '', { slots: { count: inner + 1, ...back } }),
      ...lam,
      gradX: { shape: imagesShape(config) },
      gradLr: { shape: [] },
    },
    outputs: record([...Object.keys(lam), 'gradX', 'gradLr'].map((name) => [name, { donate: name }])),
    build(v) {
      const parameters = pickParameters(network, v)
      const { x, gradients } = innerGradient(config, parameters, v)
      const along = sum(names.map((name, i) => dot(gradients[i], v[`lam.${name}`])))
      const [mixedX, ...hessian] = grad(along, [x, ...names.map((name) => parameters[name])])
      return {
        ...record(names.map((name, i) => [`lam.${name}`, sub(v[`lam.${name}`], mul(hessian[i], v.lr))])),
        gradX: sub(v.gradX, scatterAdd(mul(mixedX, v.lr), v.index, images)),
        gradLr: sub(v.gradLr, along),
      }
    },
  })
}

function updateProgram(device, config) {
  const shape = imagesShape(config)
  return bindProgram(device, {
    inputs: { syn: { shape }, velocity: { shape }, gradX: { shape } },
    outputs: { syn: { donate: 'syn' }, velocity: { donate: 'velocity' } },
    build(v) {
      const { parameter, velocity } = sgdUpdate(v.syn, v.velocity, v.gradX, { lr: 100, momentum: 0.5 })
      return { syn: parameter, velocity }
    },
  })
}

/** The ring of N + 1 parameter slots with the start in slot 0, and a target 0.01 standard deviations away. */
function trajectoryArrays(device, { network, inner }) {
  const ring = {}
  const target = {}
  for (const [i, parameter] of network.parameters.entries()) {
    const start = initialValues(parameter, 100 + i)
    const slots = new Float32Array((inner + 1) * start.length)
    slots.set(start)
    const noise = normal([20, 24], 0, 200 + i, start.length)
    ring[parameter.name] = device.array('f32', [inner + 1, 1, ...parameter.shape], slots)
    target[parameter.name] = device.array(
      'f32',
      [1, ...parameter.shape],
      start.map((x, j) => x + 0.01 * noise[j]),
    )
  }
  return { ring, target }
}

const sumOf = (plans) => ({
  flops: plans.reduce((n, { flops }) => n + flops, 0),
  bytes: plans.reduce((n, { bytesMoved }) => n + bytesMoved, 0),
})

export const prepare = (device) => prepareSweep(device, setting)

/** `arrays` are those of the step: after it, gradX and gradLr hold the gradients, index the minibatches that were drawn. */
export function prepareSweep(device, config) {
  const { network, inner, batch, images } = config
  const [forward, match, reverse, update] = [forwardProgram, matchProgram, reverseProgram, updateProgram].map((program) =>
    program(device, config),
  )
  const { ring, target } = trajectoryArrays(device, config)
  const shape = imagesShape(config)
  const lam = prefixed('lam.', record(network.parameters.map((p) => [p.name, zeros(device, [1, ...p.shape])])))
  const index = device.array('i32', [inner, batch])
  const shared = {
    index,
    syn: normalArray(device, shape, 1),
    velocity: zeros(device, shape),
    labels: device.array(
      'i32',
      [images],
      Int32Array.from({ length: images }, (_, i) => Math.floor((i * network.classes) / images)),
    ),
    lr: scalarArray(device, 0.01),
    loss: scalarArray(device),
    gradX: zeros(device, shape),
    gradLr: scalarArray(device),
    ...lam,
  }
  let outer = 0
  return {
    plans: [forward.plan, match.plan, reverse.plan, update.plan],
    work: sumOf([...new Array(inner).fill(forward.plan), match.plan, ...new Array(inner).fill(reverse.plan), update.plan]),
    arrays: { ...shared, ring, target },
    async step() {
      const draws = new Int32Array(inner * batch)
      for (let i = 0; i < inner; i++) draws.set(permutation([1, 2], outer * inner + i, 3, images).subarray(0, batch), i * batch)
      outer++
      await index.write(draws)
      await forward.run({ ...shared, ...ring, ...prefixed('next.', ring) }, { n: inner })
      await match.run({ ...shared, ...prefixed('start.', ring), ...prefixed('end.', ring), ...prefixed('target.', target) })
      await reverse.run({ ...shared, ...ring }, { n: inner })
      await update.run(shared)
      return readScalar(shared.loss)
    },
  }
}
