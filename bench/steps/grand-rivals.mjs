/**
 * @file GraNd of 256 images beside one gradient of their mean loss (a training step without its update), and beside the same norms of gradients that are
 * written first, in turns. Value: the norm of the first image.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import { add, grad, mean, mul, softmaxCe, sqrt, square, sum } from '../../dist/engine/index.js'
import { gradientsOfSamples } from '../../dist/scores/grand.js'
import { median, round } from '../lib/timer.mjs'
import { pickParameters, zeros } from './arrays.mjs'
import { batchArrays, batchInputs, bindNorms, samples } from './grand.mjs'
import { grouped, network } from './network.mjs'

const names = network.parameters.map(({ name }) => name)

/** A factor of one that the compiler does not know of keeps the gradients whole. */
const bindWritten = (device) =>
  bindProgram(device, {
    inputs: { ...batchInputs, one: { shape: [] } },
    outputs: { norm: {} },
    build(v) {
      const { gradients } = gradientsOfSamples(network, pickParameters(network, v), v.images, v.labels)
      const squares = gradients.map((g) => sum(square(mul(g, v.one)), { axes: g.shape.map((_, axis) => axis).slice(1) }))
      return { norm: sqrt(squares.reduce((a, b) => add(a, b))) }
    },
  })

const bindTraining = (device) =>
  bindProgram(device, {
    inputs: batchInputs,
    outputs: Object.fromEntries(names.map((name) => [`d.${name}`, {}])),
    build(v) {
      const parameters = pickParameters(network, v)
      const { loss } = softmaxCe(network.apply(parameters, grouped(v.images)).logits, grouped(v.labels))
      const gradients = grad(
        mean(loss),
        names.map((name) => parameters[name]),
      )
      return Object.fromEntries(names.map((name, i) => [`d.${name}`, gradients[i]]))
    },
  })

export function prepare(device) {
  const arrays = batchArrays(device)
  const norm = zeros(device, [samples])
  const one = device.array('f32', [], Float32Array.of(1))
  const gradients = Object.fromEntries(network.parameters.map(({ name, shape }) => [`d.${name}`, zeros(device, [1, ...shape])]))
  const rivals = {
    norms: [bindNorms(device), { ...arrays, norm }],
    'one gradient of all': [bindTraining(device), { ...arrays, ...gradients }],
    'norms of written gradients': [bindWritten(device), { ...arrays, norm, one }],
  }
  const seconds = Object.fromEntries(Object.keys(rivals).map((name) => [name, []]))
  return {
    plans: Object.values(rivals).map(([{ plan }]) => plan),
    async step() {
      for (const [name, [program, bound]] of Object.entries(rivals)) {
        const start = performance.now()
        await program.run(bound)
        seconds[name].push((performance.now() - start) / 1000)
      }
      return (await norm.read())[0]
    },
    /** Medians without the first round. */
    report: () =>
      Object.fromEntries(
        Object.entries(rivals).map(([name, [{ plan }]]) => {
          const time = median(seconds[name].slice(1))
          const memory = { arena_mb: round(plan.arenaBytes / 1e6), local_mb: round(plan.localBytesPerWorker / 1e6) }
          return [
            name,
            { images_s: round(samples / time), gflop: round(plan.flops / 1e9), gflop_s: round(plan.flops / time / 1e9), ...memory },
          ]
        }),
      ),
  }
}
