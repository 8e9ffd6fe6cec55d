/**
 * @file One iteration of trajectory matching through the product: 10 unrolled SGD steps of batch 100, the exact gradient to pixels and inner
 * learning rate, SGD on the pixels. The expert is in memory, its target 0.01 standard deviations away; reading it is part of the step.
 * ALUDEL_MTT_STEPS sets another number of steps of the student. Value: |theta[N] - target|^2 / |theta[0] - target|^2.
 */
import { mtt } from '../../dist/distill/trajectory/methods.js'
import { TrajectoryIterations } from '../../dist/distill/trajectory/trajectory-iterations.js'
import { normal } from '../../dist/engine/tensor/philox.js'
import { engineToFlat } from '../../dist/nn/flat-parameters.js'
import { initialValues, normalArray, zeros } from './arrays.mjs'
import { network } from './network.mjs'

/** The peer's setting. */
const ipc = 10
const innerSteps = Number(process.env.ALUDEL_MTT_STEPS ?? 10)

const defaults = {
  ...{ innerSteps, expertEpochs: 1, minStartEpoch: 0, startEpoch: 1, maxStartEpoch: 1, expansionEnd: null, synBatch: null },
  ...{ labels: 'hard', labelLr: null, labelMomentum: 0.9, startLr: 0.01, lrLr: 1e-9, lrMomentum: 0.5 },
  ...{ threshold: null, mask: 'none', gradient: 'exact', emaDecay: null },
}

/** One expert of one epoch: the initialisation, and what it is to become. */
function experts() {
  const initial = network.parameters.map((parameter, i) => [parameter.name, initialValues(parameter, 100 + i)])
  const start = engineToFlat(network, Object.fromEntries(initial))
  const noise = normal([20, 24], 0, 200, start.length)
  const target = start.map((x, i) => x + 0.01 * noise[i])
  return { dir: 'memory', experts: [0], checkpoint: async (_, epoch) => (epoch === 0 ? start : target) }
}

/** One iteration of a method on an expert in memory; `options` are its own. */
export function prepareMatching(device, { method, ipc, options = {}, augment = { operations: [] } }) {
  const general = { ipc, network, imageLr: 100, imageMomentum: 0.5, iterations: 1e6, augment, seed: 1 }
  const methodOptions = { ...defaults, ...options }
  const iterations = new TrajectoryIterations(device, network.classes, { ...general, method, methodOptions, experts: experts() })
  const shape = iterations.stateShape
  const extra = Object.entries(iterations.extraState).map(([name, { shape, start }]) => [name, device.array('f32', shape, start)])
  const state = { images: normalArray(device, shape, 1), velocity: zeros(device, shape), ...Object.fromEntries(extra) }
  const plans = Object.values(iterations.plans)
  const { forward, match, reverse, update } = iterations.plans
  const moved = ({ bytesMoved }) => bytesMoved
  let iteration = 0
  return {
    plans,
    work: {
      flops: iterations.flopsPerIteration,
      bytes: methodOptions.innerSteps * (moved(forward) + moved(reverse)) + moved(match) + moved(update),
    },
    async step() {
      const [loss] = await iterations.run(state, { first: iteration++, n: 1 })
      return loss
    },
  }
}

export const prepare = (device) => prepareMatching(device, { method: mtt, ipc })
