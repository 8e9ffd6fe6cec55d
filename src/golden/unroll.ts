/**
 * @file Replays of whole unrolls of trajectory matching: the sweep forward, the loss under a mask, and the sweep back, through the functions
 * that the product's programs are made of.
 */

import { FlatOrder } from '../distill/trajectory/flat-order.js'
import { depthMask, droppedCount, type KeptElements, lossMask } from '../distill/trajectory/mask.js'
import { matchingLoss } from '../distill/trajectory/matching-loss.js'
import {
  forwardStep,
  innerGradient,
  type Minibatch,
  parameterNames,
  reverseStep,
  type StudentShape,
} from '../distill/trajectory/student-step.js'
import type { Value } from '../engine/index.js'
import { nchwToNhwc, nhwcToNchw } from '../nn/layout.js'
import { caseBeside, type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList, listTensor } from './compare.js'
import type { GoldenEngine, GoldenInput, Inputs } from './engines.js'
import { fieldAt, numberAt, scalarTensor } from './fields.js'
import { type GoldenNetwork, parametersOf } from './network.js'
import type { GoldenTensor } from './tensor.js'
import { joinFlat, networkOf, prefixed, splitFlat } from './trajectory.js'

type Sizes4 = readonly [number, number, number, number]
type Labels = 'soft' | 'hard'
type Named = Readonly<Record<string, GoldenTensor>>

const inputsName = 'unroll_inputs'

export const isUnrollInputs = (golden: GoldenCase): boolean =>
  ['theta_start', 'theta_target', 'batch0'].every((name) => golden.arrayNames.includes(name))
export const isUnrollResults = (golden: GoldenCase): boolean => fieldAt(golden, 'meta', 'see') === inputsName

/** What a mask leaves out. */
interface MaskCase {
  readonly mode: 'depth' | 'loss'
  readonly alpha: number
}

/** The synthetic set of a case, on its way through the updates. */
export interface SyntheticState {
  readonly images: GoldenTensor
  readonly labelLogits: GoldenTensor
  readonly lr: GoldenTensor
}

interface Segment {
  readonly start: Named
  readonly target: Named
  readonly batches: readonly (readonly number[])[]
}

interface SweepResult {
  readonly loss: number
  readonly denominator: number
  readonly kept: readonly number[]
  readonly images: GoldenTensor
  readonly labelLogits?: GoldenTensor
  readonly lr: GoldenTensor
}

export class Unroll {
  readonly net: GoldenNetwork
  readonly order: FlatOrder
  readonly #engine: GoldenEngine
  readonly #set: SyntheticState
  readonly #segment: Segment
  readonly #shape: StudentShape
  readonly #labels: GoldenInput

  constructor(engine: GoldenEngine, net: GoldenNetwork, sides: { set: SyntheticState; hard?: GoldenTensor; segment: Segment }) {
    const { set, hard, segment } = sides
    const sizes = segment.batches.map((rows) => rows.length)
    const batch = Math.max(...sizes)
    this.net = net
    this.order = new FlatOrder(net.network)
    this.#engine = engine
    this.#set = set
    this.#segment = segment
    this.#labels = hard ? { ...hard, dtype: 'i32' } : set.labelLogits
    this.#shape = {
      network: net.network,
      images: set.images.shape[0],
      batch,
      labels: hard ? 'hard' : 'soft',
      augmented: false,
      padded: sizes.some((size) => size < batch),
    }
  }

  /** Parameters before each step and after the last, and each step's cross-entropy. */
  async forward(): Promise<{ thetas: Named[]; ce: number[]; gradient: Named }> {
    const thetas = [this.#segment.start]
    const ce: number[] = []
    let first: Named = {}
    for (const [i] of this.#segment.batches.entries()) {
      const results = await this.#engine.run(
        (v) => {
          const parameters = parametersOf(this.net, v)
          const { loss, gradients } = innerGradient(this.#shape, parameters, minibatchOf(v))
          const next = forwardStep(this.#shape, parameters, minibatchOf(v), v.lr)
          return { loss, ...named('next.', next), ...named('gradient.', fromList(parameterNames(this.net.network), gradients)) }
        },
        { ...this.#inputsOf(i), ...thetas[i] },
      )
      thetas.push(unprefixed('next.', results))
      ce.push(results.loss.data[0])
      if (i === 0) first = unprefixed('gradient.', results)
    }
    return { thetas, ce, gradient: first }
  }

  async gradients(thetas: readonly Named[], { mode, alpha }: MaskCase, gradient: 'exact' | 'tesla'): Promise<SweepResult> {
    const { network } = this.net
    const end = thetas[thetas.length - 1]
    const dropped = droppedCount(this.order.size, alpha)
    const target = this.#segment.target
    const kept: KeptElements =
      mode === 'depth' ? depthMask(network, dropped) : await lossMask(this.order, dataOf(end), dataOf(target), dropped)
    const match = await this.#match({ start: thetas[0], end, target }, kept)
    const zeros = (shape: readonly number[]): GoldenTensor => ({ shape, data: new Float64Array(shape.reduce((a, b) => a * b, 1)) })
    let sweep: Record<string, GoldenTensor> = {
      ...Object.fromEntries(Object.entries(match).filter(([name]) => name.startsWith('lam.'))),
      gradX: zeros(this.#set.images.shape),
      gradLr: zeros([]),
      ...(this.#shape.labels === 'soft' && { gradY: zeros(this.#set.labelLogits.shape) }),
    }
    for (let i = this.#segment.batches.length - 1; i >= 0; i--) {
      sweep = await this.#engine.run(
        (v) => {
          const swept = reverseStep(this.#shape, gradient, parametersOf(this.net, v), {
            minibatch: minibatchOf(v),
            lr: v.lr,
            sweep: {
              cotangents: Object.fromEntries(parameterNames(network).map((name) => [name, v[`lam.${name}`]])),
              images: v.gradX,
              lr: v.gradLr,
              ...(v.gradY && { labels: v.gradY }),
            },
          })
          const { cotangents, images, labels, lr } = swept
          return { ...named('lam.', cotangents), gradX: images, gradLr: lr, ...(labels && { gradY: labels }) }
        },
        { ...this.#inputsOf(i), ...thetas[i], ...sweep },
      )
    }
    const { gradX, gradY, gradLr } = sweep
    return {
      loss: match.loss.data[0],
      denominator: match.denominator.data[0],
      kept: this.#flatMask(kept),
      images: gradX,
      lr: gradLr,
      ...(gradY && { labelLogits: gradY }),
    }
  }

  #match(sides: { start: Named; end: Named; target: Named }, kept: KeptElements): Promise<Record<string, GoldenTensor>> {
    const { network } = this.net
    const masks = network.parameters.flatMap(({ name, shape }): [string, GoldenInput][] => {
      const mask = kept[name]
      return typeof mask === 'string' ? [] : [[`mask.${name}`, { shape: [1, ...shape], data: Float64Array.from(mask) }]]
    })
    const inputs: Inputs = {
      ...prefixed('start.', sides.start),
      ...prefixed('end.', sides.end),
      ...prefixed('target.', sides.target),
      ...Object.fromEntries(masks),
    }
    return this.#engine.run((v) => {
      const side = (prefix: string) => Object.fromEntries(parameterNames(network).map((name) => [name, v[prefix + name]]))
      const rule = Object.fromEntries(
        parameterNames(network).map((name) => [name, typeof kept[name] === 'string' ? kept[name] : v[`mask.${name}`]]),
      )
      const all = { start: side('start.'), end: side('end.'), target: side('target.') }
      const { loss, denominator, cotangents } = matchingLoss(network, all, rule)
      return { loss, denominator, ...named('lam.', cotangents) }
    }, inputs)
  }

  #inputsOf(step: number): Inputs {
    const rows = this.#segment.batches[step]
    const { batch, padded } = this.#shape
    const places = Array.from({ length: batch }, (_, i) => rows[i] ?? rows[0])
    const weights = Float64Array.from(places, (_, i) => (i < rows.length ? 1 / rows.length : 0))
    return {
      images: this.#set.images,
      labels: this.#labels,
      lr: this.#set.lr,
      index: { shape: [batch], data: Float64Array.from(places), dtype: 'i32' },
      ...(padded && { weights: { shape: [batch], data: weights } }),
    }
  }

  /** 0/1 in the flat order. */
  #flatMask(kept: KeptElements): number[] {
    const flat = new Array<number>(this.order.size)
    for (const [name, places] of Object.entries(this.order.places)) {
      const mask = kept[name]
      for (const [j, place] of places.entries()) flat[place] = typeof mask === 'string' ? Number(mask === 'all') : mask[j]
    }
    return flat
  }
}

const minibatchOf = ({ images, labels, index, weights }: Readonly<Record<string, Value>>): Minibatch => ({
  images,
  labels,
  index,
  ...(weights && { weights }),
})

export const named = <T>(prefix: string, values: Readonly<Record<string, T>>): Record<string, T> =>
  Object.fromEntries(Object.entries(values).map(([name, value]) => [prefix + name, value]))

const unprefixed = (prefix: string, values: Named): Named =>
  Object.fromEntries(
    Object.entries(values).flatMap(([name, value]) => (name.startsWith(prefix) ? [[name.slice(prefix.length), value]] : [])),
  )

const fromList = (names: readonly string[], values: readonly Value[]): Record<string, Value> =>
  Object.fromEntries(names.map((name, i) => [name, values[i]]))

const dataOf = (tensors: Named): Record<string, Float64Array> =>
  Object.fromEntries(Object.entries(tensors).map(([name, { data }]) => [name, data]))

export function toNhwc({ shape, data }: GoldenTensor): GoldenTensor {
  const [n, c, h, w] = shape
  return { shape: [n, h, w, c], data: nchwToNhwc(data, [n, c, h, w]) }
}

export const toNchw = ({ shape, data }: GoldenTensor): GoldenTensor => ({ shape, data: nhwcToNchw(data, shape as Sizes4) })

/** The set and its expert's segment, from the case of inputs. */
function unrollOf(inputs: GoldenCase, engine: GoldenEngine, labels: Labels): Unroll {
  const images = readArray(inputs, 'images')
  const net = networkOf(inputs, images)
  const steps = numberAt(inputs, 'meta', 'steps')
  return new Unroll(engine, net, {
    set: { images: toNhwc(images), labelLogits: readArray(inputs, 'label_logits'), lr: readArray(inputs, 'lr') },
    ...(labels === 'hard' && { hard: readArray(inputs, 'labels_int') }),
    segment: {
      start: splitFlat(net, readArray(inputs, 'theta_start')),
      target: splitFlat(net, readArray(inputs, 'theta_target')),
      batches: Array.from({ length: steps }, (_, i) => [...readArray(inputs, `batch${i}`).data]),
    },
  })
}

/** One forward sweep for each kind of labels serves all cases of a file. */
class Sweeps {
  readonly #inputs: GoldenCase
  readonly #engine: GoldenEngine
  readonly #known = new Map<Labels, Promise<{ unroll: Unroll; thetas: Named[]; ce: number[]; gradient: Named }>>()

  constructor(inputs: GoldenCase, engine: GoldenEngine) {
    this.#inputs = inputs
    this.#engine = engine
  }

  of(labels: Labels) {
    const known = this.#known.get(labels)
    if (known) return known
    const unroll = unrollOf(this.#inputs, this.#engine, labels)
    const made = unroll.forward().then((swept) => ({ unroll, ...swept }))
    this.#known.set(labels, made)
    return made
  }

  /** A case by its name in the inputs, such as 'soft_depth_a25'. */
  async gradients(name: string, gradient: 'exact' | 'tesla'): Promise<SweepResult> {
    const [labels] = name.split('_') as [Labels]
    const mode = fieldAt(this.#inputs, 'meta', 'cases', name, 'mode') as 'depth' | 'loss'
    const { unroll, thetas } = await this.of(labels)
    return unroll.gradients(thetas, { mode, alpha: numberAt(this.#inputs, 'meta', 'cases', name, 'alpha') }, gradient)
  }
}

/** Losses, denominators, learning rate gradients and counts of all cases, of which the inputs tell. */
export async function replayUnrollInputs(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const sweeps = new Sweeps(golden, engine)
  for (const name of Object.keys(fieldAt(golden, 'meta', 'cases') as object)) {
    const number = (...path: string[]) => scalarTensor(numberAt(golden, 'meta', 'cases', name, ...path))
    const exact = await sweeps.gradients(name, 'exact')
    const { loss, denominator, lr, kept } = exact
    checks.add(`${name}.loss`, 'trajectory', scalarTensor(loss), number('loss'))
    checks.add(`${name}.denominator`, 'trajectory', scalarTensor(denominator), number('denominator'))
    checks.add(`${name}.grad_lr`, 'trajectory', lr, number('grad_lr'))
    checks.add(`${name}.kept`, 'exact', scalarTensor(kept.reduce((a, b) => a + b, 0)), number('kept'))
    if (fieldAt(golden, 'meta', 'cases', name, 'tesla_vs_exact') === undefined) continue
    const tesla = await sweeps.gradients(name, 'tesla')
    checks.add(`${name}.tesla.grad_lr`, 'trajectory', tesla.lr, number('tesla_vs_exact', 'lr_tesla'))
    const { error, cosine } = apart(tesla.images.data, exact.images.data)
    checks.add(`${name}.tesla.images_rel_error`, 'trajectory', scalarTensor(error), number('tesla_vs_exact', 'images_rel_error'))
    checks.add(`${name}.tesla.images_cosine`, 'trajectory', scalarTensor(cosine), number('tesla_vs_exact', 'images_cosine'))
  }
  return checks.checks
}

/** How far an approximation is from the exact gradient: |a - b| / |b|, and the cosine of their angle. */
function apart(a: Float64Array, b: Float64Array): { readonly error: number; readonly cosine: number } {
  const dot = (x: Float64Array, y: Float64Array) => x.reduce((sum, value, i) => sum + value * y[i], 0)
  const difference = a.map((value, i) => value - b[i])
  return { error: Math.sqrt(dot(difference, difference) / dot(b, b)), cosine: dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b)) }
}

const results = /^(soft|hard)_(depth|loss)_a\d+/

/** Arrays of the results by what they are of; a case that the names do not tell is an error of its own in the array's name. */
export async function replayUnrollResults(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const sweeps = new Sweeps(caseBeside(golden, inputsName), engine)
  const swept = new Map<string, SweepResult>()
  for (const name of golden.arrayNames) {
    const expected = readArray(golden, name)
    const [of] = results.exec(name) ?? []
    if (of === undefined) {
      await checkTrace(checks, name, expected, sweeps)
      continue
    }
    const gradient = name.includes('_tesla_') ? 'tesla' : 'exact'
    const key = `${of}.${gradient}`
    const result = swept.get(key) ?? (await sweeps.gradients(of, gradient))
    swept.set(key, result)
    if (name.endsWith('_kept_mask')) checks.add(name, 'exact', listTensor(result.kept), expected)
    else checks.add(name, 'trajectory', gradientNamed(name, result), expected)
  }
  return checks.checks
}

function gradientNamed(name: string, { images, labelLogits, lr }: SweepResult): GoldenTensor {
  if (name.endsWith('_grad_images')) return toNchw(images)
  if (name.endsWith('_grad_label_logits') && labelLogits) return labelLogits
  return lr
}

/** Parameters after each step, cross-entropies, and the first gradient. */
async function checkTrace(checks: CheckList, name: string, expected: GoldenTensor, sweeps: Sweeps): Promise<void> {
  const { unroll, thetas, ce, gradient } = await sweeps.of(name.split('_')[0] as Labels)
  const flat = (tensors: Named) => [...joinFlat(unroll.net, '', tensors).data]
  const after = thetas.slice(1).map(flat)
  const values: Record<string, () => GoldenTensor> = {
    step_ce: () => listTensor(ce),
    thetas: () => listTensor(after.slice(-expected.shape[0]).flat()),
    grad0: () => listTensor(flat(gradient)),
  }
  checks.add(name, 'trajectory', values[name.slice(name.indexOf('_') + 1)](), expected)
}
