/**
 * @file Treatment effects under gradient matching (DC, DSA): f_i is the parameter gradient of sample i, F their mean G. To first order
 *
 *     <u, ITE_i> = <w, g_i - G> / (n - 1),   w = d/dG <dD/dG_syn, t>,   t = d/d theta <d loss_syn / dS, u>,
 *
 * D the distance of the two gradients: t is how the synthetic gradient moves along u, w is made of plain products of gradients, and the
 * last product for every sample is one derivative with respect to the samples' weights.
 */
import {
  addAll,
  broadcast,
  div,
  full,
  grad,
  maximum,
  mul,
  reshape,
  stopGradient,
  sub,
  sum,
  transpose,
  type Value,
} from '../../engine/index.js'
import type { Network, Parameters } from '../../nn/module.js'
import { classGradients } from '../matching/gradient-distance.js'
import type { ClassBatch, GradientMethod } from '../method.js'
import type { MethodOptions } from '../method-options.js'
import type { Probes } from './treatment-effect.js'

/** One class: its two batches, and probes of one synthetic image each (row p of `probes` belongs to direction p). */
export interface GradientEffectContext {
  readonly network: Network
  /** [1, ...shape] each. */
  readonly parameters: Parameters
  readonly real: ClassBatch
  readonly synthetic: ClassBatch
  readonly probes: Probes
  readonly ipc: number
}

/** <u_p, ITE_i> of the rows of one class, f32 [1, rows, probes]; for a class of one sample 0. */
export function gradientTreatmentEffects(method: GradientMethod, options: MethodOptions, context: GradientEffectContext): Value {
  const { network, parameters, real, synthetic, probes, ipc } = context
  const count = probes.pixels.shape[0]
  const names = network.parameters.map(({ name }) => name)
  const fixed = Object.fromEntries(names.map((name) => [name, stopGradient(parameters[name])]))

  // t_p, [probes, ...shape]: every probe has a copy of the parameters
  const copies = repeat(fixed, count)
  const probedLoss = mul(sum(classGradients(network, copies, probes.batch, count).crossEntropy), 1 / ipc)
  const [towards] = grad(probedLoss, [probes.pixels])
  const moved = byName(
    names,
    grad(
      sum(mul(towards, probes.directions)),
      names.map((name) => copies[name]),
    ),
  )

  // w_p, [probes, ...shape]
  const sides = [synthetic, real].map((batch) => repeat(classGradients(network, fixed, batch, 1).gradients, count))
  const [ofSynthetic, ofReal] = sides.map((gradients) => Object.fromEntries(names.map((name) => [name, stopGradient(gradients[name])])))
  const listed = (tensors: Parameters) => names.map((name) => tensors[name])
  const distance = sum(method.distance(network, ofSynthetic, ofReal, options))
  const slopes = byName(names, grad(distance, listed(ofSynthetic)))
  const change = dot(names, slopes, moved)
  const w = byName(names, grad(change, listed(ofReal)))

  // d/d omega_i of <w, sum omega g / sum omega> = <w, g_i - G> / n
  const rows = real.classIndex.shape[0]
  const valid = real.rowWeights ? reshape(real.rowWeights, [1, rows]) : full([1, rows], 1)
  const weights = stopGradient(broadcast(valid, [count, rows]))
  const images = broadcast(reshape(real.images, [1, rows, ...network.input]), [count, rows, ...network.input])
  const weighted: ClassBatch = {
    images: reshape(images, [1, count * rows, ...network.input]),
    classIndex: reshape(broadcast(reshape(real.classIndex, [1, rows]), [count, rows]), [count * rows]),
    counts: sum(weights, { axes: [1] }),
    rowWeights: weights,
  }
  const along = dot(names, w, classGradients(network, fixed, weighted, count).gradients)
  const [slopeOfWeights] = grad(along, [weights])
  const n = reshape(real.counts, [1, 1])
  return reshape(transpose(mul(slopeOfWeights, div(n, maximum(sub(n, 1), 1))), [1, 0]), [1, rows, count])
}

const byName = (names: readonly string[], values: readonly Value[]): Parameters =>
  Object.fromEntries(names.map((name, i) => [name, values[i]]))

/** [1, ...shape] -> [count, ...shape] */
const repeat = (tensors: Parameters, count: number): Parameters =>
  Object.fromEntries(Object.entries(tensors).map(([name, x]) => [name, broadcast(x, [count, ...x.shape.slice(1)])]))

const dot = (names: readonly string[], a: Parameters, b: Parameters): Value => addAll(names.map((name) => sum(mul(a[name], b[name]))))
