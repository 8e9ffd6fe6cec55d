/**
 * @file Treatment effects under gradient matching (DC, DSA): f_i is the parameter gradient of sample i, F their mean G. To first order
 *
 *     <u, ITE_i> = <w, g_i - G> / (n - 1),   w = d/dG <dD/dG_syn, t>,   t = d/d theta <d loss_syn / dS, u>,
 *
 * D the distance of the two gradients: t is how the synthetic gradient moves along u, w is made of plain products of gradients, and the
 * samples' own gradients serve all directions at once.
 */
import {
  addAll,
  broadcast,
  div,
  grad,
  matmul,
  maximum,
  mul,
  reshape,
  sizeOf,
  softmaxCe,
  stopGradient,
  sub,
  sum,
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

/** What measures the samples of one class along the directions. */
export interface GradientProbes {
  /** w_p by parameter, [probes, ...shape]. */
  readonly along: Parameters
  /** <w_p, G>, [probes]. */
  readonly ofMean: Value
}

/** w and <w, G> of one class, from the gradients of its two batches. */
export function gradientProbes(method: GradientMethod, options: MethodOptions, context: GradientEffectContext): GradientProbes {
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
  const change = addAll(names.map((name) => sum(mul(slopes[name], moved[name]))))
  const along = byName(names, grad(change, listed(ofReal)))
  const perProbe = (x: Value): Value => sum(x, { axes: x.shape.map((_, axis) => axis).slice(1) })
  return { along, ofMean: addAll(names.map((name) => perProbe(mul(along[name], ofReal[name])))) }
}

/**
 * <w_p, g_i>, f32 [n, probes], of images [1, n, H, W, C] with labels i32 [n]. Every sample is a group of its own, so n gradients of all
 * parameters are held at once: many samples go in pieces.
 */
export function sampleGradientsAlong(
  network: Network,
  parameters: Parameters,
  { images, classIndex }: Pick<ClassBatch, 'images' | 'classIndex'>,
  along: Parameters,
): Value {
  const n = classIndex.shape[0]
  const names = network.parameters.map(({ name }) => name)
  const copies = repeat(Object.fromEntries(names.map((name) => [name, stopGradient(parameters[name])])), n)
  const { logits } = network.apply(copies, reshape(images, [n, 1, ...network.input]))
  const { loss } = softmaxCe(logits, reshape(classIndex, [n, 1]))
  // samples share no copy of a parameter: the gradient of the sum is every sample's own
  const gradients = grad(
    sum(loss),
    names.map((name) => copies[name]),
  )
  const flat = (x: Value): Value => reshape(x, [x.shape[0], sizeOf(x.shape.slice(1))])
  return addAll(names.map((name, i) => matmul(flat(gradients[i]), flat(along[name]), { transposeB: true })))
}

/** <u_p, ITE_i> of the rows of one class, f32 [1, rows, probes], all rows at once; for a class of one sample 0. */
export function gradientTreatmentEffects(method: GradientMethod, options: MethodOptions, context: GradientEffectContext): Value {
  const { network, parameters, real } = context
  const { along, ofMean } = gradientProbes(method, options, context)
  const rows = real.classIndex.shape[0]
  const ofSamples = sampleGradientsAlong(network, parameters, real, along)
  const others = maximum(sub(reshape(real.counts, [1, 1, 1]), 1), 1)
  return div(reshape(sub(ofSamples, reshape(ofMean, [1, ofMean.shape[0]])), [1, rows, ofMean.shape[0]]), others)
}

const byName = (names: readonly string[], values: readonly Value[]): Parameters =>
  Object.fromEntries(names.map((name, i) => [name, values[i]]))

/** [1, ...shape] -> [count, ...shape] */
const repeat = (tensors: Parameters, count: number): Parameters =>
  Object.fromEntries(Object.entries(tensors).map(([name, x]) => [name, broadcast(x, [count, ...x.shape.slice(1)])]))
