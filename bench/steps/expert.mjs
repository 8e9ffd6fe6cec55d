/** @file One expert training step: batch 256, cross-entropy, SGD (lr 0.01, momentum 0.9, weight decay 5e-4) on all parameters. Value: the loss. */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { grad, mean, reshape, softmaxCe } from '../../dist/engine/index.js'
import { randomBits } from '../../dist/engine/tensor/philox.js'
import { sgdUpdate } from '../../dist/optim/sgd.js'
import { normalArray, parameterArrays, parameterInputs, pickParameters, prefixed, readScalar, scalarArray, zeros } from './arrays.mjs'
import { classes, grouped, image, network } from './network.mjs'

export const rows = 256
const sgd = { lr: 0.01, momentum: 0.9, weightDecay: 5e-4 }
const names = network.parameters.map(({ name }) => name)

function build(v) {
  const parameters = pickParameters(network, v)
  const { logits } = network.apply(parameters, grouped(v.x))
  const loss = mean(softmaxCe(reshape(logits, [rows, classes]), v.labels).loss)
  const gradients = grad(
    loss,
    names.map((name) => parameters[name]),
  )
  const outputs = { loss }
  for (const [i, name] of names.entries()) {
    const { parameter, velocity } = sgdUpdate(v[name], v[`velocity.${name}`], gradients[i], sgd)
    Object.assign(outputs, { [name]: parameter, [`velocity.${name}`]: velocity })
  }
  return outputs
}

/** Images and labels of the step. */
export const expertBatch = (device) => ({
  x: normalArray(device, [rows, ...image], 1),
  labels: device.array(
    'i32',
    [rows],
    Int32Array.from(randomBits([20, 24], 0, 2, rows), (bits) => bits % classes),
  ),
})

export function prepare(device) {
  const state = { ...parameterInputs(network), ...parameterInputs(network, 'velocity.') }
  const program = bindProgram(device, {
    inputs: { x: { shape: [rows, ...image] }, labels: { shape: [rows], dtype: 'i32' }, ...state },
    outputs: { loss: {}, ...Object.fromEntries(Object.keys(state).map((name) => [name, { donate: name }])) },
    build,
  })
  const loss = scalarArray(device)
  const velocities = Object.fromEntries(network.parameters.map(({ name, shape }) => [name, zeros(device, [1, ...shape])]))
  const arrays = {
    loss,
    ...expertBatch(device),
    ...parameterArrays(device, network),
    ...prefixed('velocity.', velocities),
  }
  return {
    plans: [program.plan],
    async step() {
      await program.run(arrays)
      return readScalar(loss)
    },
  }
}
