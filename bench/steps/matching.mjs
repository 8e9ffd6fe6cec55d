/**
 * @file One step of a method with a loss, at DM's shapes: a fresh random ConvNet; 10 classes of 256 real images without gradient and 10
 * synthetic ones with gradient to the pixels; SGD (lr 1, momentum 0.5) on the pixels. The loss is the product's own method. Value: the loss.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { grad } from '../../dist/engine/index.js'
import { sgdUpdate } from '../../dist/optim/sgd.js'
import { classNumbers, normalArray, readScalar, scalarArray, zeros } from './arrays.mjs'
import { classes, grouped, image, network } from './network.mjs'

const realPerClass = 256
const ipc = 10

/** `options` are the method's own, resolved. */
export function prepareMatching(device, method, options) {
  const build = (v) => {
    const batch = (side) => ({ images: grouped(v[side]), classIndex: v[`${side}Class`], counts: v[`${side}Counts`] })
    const loss = method.loss({ network, key: v.key, step: v.step, classes, real: batch('real'), synthetic: batch('syn') }, options)
    const { parameter, velocity } = sgdUpdate(v.syn, v.velocity, grad(loss, [v.syn])[0], { lr: 1, momentum: 0.5 })
    return { loss, syn: parameter, velocity }
  }
  const [realShape, synShape] = [realPerClass, ipc].map((perClass) => [classes * perClass, ...image])
  const program = bindProgram(device, {
    inputs: {
      syn: { shape: synShape },
      velocity: { shape: synShape },
      real: { shape: realShape },
      key: { shape: [2], dtype: 'u32' },
      realClass: { shape: [classes * realPerClass], dtype: 'i32' },
      synClass: { shape: [classes * ipc], dtype: 'i32' },
      realCounts: { shape: [classes, 1] },
      synCounts: { shape: [classes, 1] },
    },
    outputs: { loss: {}, syn: { donate: 'syn' }, velocity: { donate: 'velocity' } },
    step: 'step',
    build,
  })
  const loss = scalarArray(device)
  const counts = (perClass) => device.array('f32', [classes, 1], new Float32Array(classes).fill(perClass))
  const arrays = {
    loss,
    syn: normalArray(device, synShape, 1),
    velocity: zeros(device, synShape),
    real: normalArray(device, realShape, 2),
    key: device.array('u32', [2], Uint32Array.of(1, 2)),
    realClass: device.array('i32', [classes * realPerClass], classNumbers(classes, realPerClass)),
    synClass: device.array('i32', [classes * ipc], classNumbers(classes, ipc)),
    realCounts: counts(realPerClass),
    synCounts: counts(ipc),
  }
  let startStep = 0
  return {
    plans: [program.plan],
    async step() {
      await program.run(arrays, { startStep: startStep++ })
      return readScalar(loss)
    },
  }
}

/** The options of a method's preset for these images, resolved for the bench network. */
export function presetOptions(method, preset) {
  const { options } = method.presets[preset].settings({ ipc, image })
  return method.resolve ? method.resolve(options, network, new Set()) : options
}
