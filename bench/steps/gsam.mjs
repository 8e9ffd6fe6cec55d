/**
 * @file One training step of an expert by GSAM (adaptive, rho 0.01, alpha 0.3) at the shapes of `expert`, and in turn with it the plain step without
 * momentum: the report has both in milliseconds, and their ratio. Value: the loss.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { grad, mean, reshape, softmaxCe } from '../../dist/engine/index.js'
import { gsamGradient } from '../../dist/optim/gsam.js'
import { sgdUpdate } from '../../dist/optim/sgd.js'
import { median, round } from '../lib/timer.mjs'
import { parameterArrays, parameterInputs, pickParameters, readScalar, scalarArray } from './arrays.mjs'
import { expertBatch, rows } from './expert.mjs'
import { classes, grouped, image, network } from './network.mjs'

const names = network.parameters.map(({ name }) => name)
const kinds = { sgd: { rho: 0, alpha: 0, adaptive: true }, gsam: { rho: 0.01, alpha: 0.3, adaptive: true } }

function trainingProgram(device, options) {
  return bindProgram(device, {
    inputs: { x: { shape: [rows, ...image] }, labels: { shape: [rows], dtype: 'i32' }, ...parameterInputs(network) },
    outputs: { loss: {}, ...Object.fromEntries(names.map((name) => [name, { donate: name }])) },
    build(v) {
      const losses = []
      const gradientsAt = (values) => {
        const { logits } = network.apply(Object.fromEntries(names.map((name, i) => [name, values[i]])), grouped(v.x))
        losses.push(mean(softmaxCe(reshape(logits, [rows, classes]), v.labels).loss))
        return grad(losses.at(-1), values)
      }
      const own = pickParameters(network, v)
      const parameters = names.map((name) => own[name])
      const { gradients } = gsamGradient(parameters, gradientsAt, options)
      const updated = parameters.map((parameter, i) => sgdUpdate(parameter, parameter, gradients[i], { lr: 0.01 }).parameter)
      return { loss: losses[0], ...Object.fromEntries(names.map((name, i) => [name, updated[i]])) }
    },
  })
}

export function prepare(device) {
  const runs = Object.entries(kinds).map(([name, options]) => ({
    ...{ name, program: trainingProgram(device, options), ms: [] },
    arrays: { loss: scalarArray(device), ...expertBatch(device), ...parameterArrays(device, network) },
  }))
  return {
    plans: runs.map(({ program: { plan } }) => plan),
    async step() {
      let value
      for (const run of runs) {
        const start = performance.now()
        await run.program.run(run.arrays)
        value = await readScalar(run.arrays.loss)
        run.ms.push(performance.now() - start)
      }
      return value
    },
    /** The first step of each is a warm-up, where there are more. */
    report() {
      const [sgd, gsam] = runs.map(({ ms }) => median(ms.length > 1 ? ms.slice(1) : ms))
      return { sgd_ms: round(sgd), gsam_ms: round(gsam), of_sgd: round(gsam / sgd) }
    },
  }
}
