/** @file Device arrays for the bench steps: seeded normal images and PyTorch-style initial parameters, the same in every run. */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { randomNormal } from '../../dist/engine/index.js'
import { normal, uniform } from '../../dist/engine/tensor/philox.js'

const key = [20, 24]
const sizeOf = (shape) => shape.reduce((a, b) => a * b, 1)

/** float32 array of N(0, 1) numbers; `stream` tells draws apart. */
export function normalArray(device, shape, stream) {
  return device.array('f32', shape, Float32Array.from(normal(key, 0, stream, sizeOf(shape))))
}

export const zeros = (device, shape) => device.array('f32', shape)

/** One number as a shape [] array. */
export const scalarArray = (device, value = 0) => device.array('f32', [], Float32Array.of(value))

/** Initial values of one parameter of a network, group axis G = 1 in front. */
export function initialValues({ shape, init }, stream) {
  const size = sizeOf(shape)
  if (init.kind === 'constant') return new Float32Array(size).fill(init.value)
  if (init.kind === 'normal') return Float32Array.from(normal(key, 0, stream, size), (v) => v * init.std)
  return Float32Array.from(uniform(key, 0, stream, size), (u) => (2 * u - 1) * init.bound)
}

/** All parameters of a network by name. */
export function parameterArrays(device, network) {
  const entries = network.parameters.map((parameter, i) => [
    parameter.name,
    device.array('f32', [1, ...parameter.shape], initialValues(parameter, 100 + i)),
  ])
  return Object.fromEntries(entries)
}

/** Input declarations of all parameters of a network, each name with a prefix. */
export const parameterInputs = (network, prefix = '', extra = {}) =>
  Object.fromEntries(network.parameters.map(({ name, shape }) => [prefix + name, { shape: [1, ...shape], ...extra }]))

/** The values of a build function that are parameters, under their own names. */
export const pickParameters = (network, values, prefix = '') =>
  Object.fromEntries(network.parameters.map(({ name }) => [name, values[prefix + name]]))

/** The same record under prefixed names. */
export const prefixed = (prefix, record) => Object.fromEntries(Object.entries(record).map(([name, value]) => [prefix + name, value]))

/** Class of each row of a class-major batch. */
export const classNumbers = (classes, perClass) => Int32Array.from({ length: classes * perClass }, (_, i) => Math.floor(i / perClass))

export const readScalar = async (array) => Number((await array.read())[0])

/** Standard normal numbers, drawn on the device: arrays of gigabytes need not come from here. */
export async function drawn(device, shape) {
  const key = { shape: [2], dtype: 'u32' }
  const program = bindProgram(device, {
    inputs: { key, counter: { shape: [1], dtype: 'u32' } },
    outputs: { x: {} },
    build: (v) => ({ x: randomNormal(v.key, v.counter, shape, 1) }),
  })
  const x = device.array('f32', shape)
  const inputs = { key: device.array('u32', [2], Uint32Array.of(1, 2)), counter: device.array('u32', [1]) }
  await program.run({ x, ...inputs })
  program.dispose()
  for (const array of Object.values(inputs)) array.dispose()
  return x
}
