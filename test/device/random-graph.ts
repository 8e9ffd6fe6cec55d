/** @file Random networks: convolutions, norms, pools, augmentation and batch reductions in any order, with a loss and all its gradients, first and second. */
import * as ops from '../../src/engine/index.js'
import {
  fold,
  grad,
  keyOf,
  type NormKind,
  type RefTensor,
  sizeOf,
  spec,
  type Traced,
  trace,
  uniform,
  type Value,
  vjp,
} from '../../src/engine/index.js'

const classes = 3
const rowChoices = [5, 8, 17, 24, 35]

/** Draws of one seed, in order. */
class Draws {
  readonly #numbers: Float64Array
  #next = 0

  constructor(seed: number) {
    this.#numbers = uniform(fold(keyOf(seed), 'random-graph'), 0, 0, 4096)
  }

  below(n: number): number {
    return Math.floor(this.#numbers[this.#next++] * n)
  }

  pick<T>(choices: readonly T[]): T {
    return choices[this.below(choices.length)]
  }
}

interface Parameter {
  readonly shape: readonly number[]
  readonly dtype: 'f32' | 'i32'
  readonly fill: (u: number, index: number) => number
}

/** One layer: maps [R, H, W, C] to the same with other H, W, C. Parameters are declared first, then read by `apply`. */
interface Layer {
  readonly name: string
  readonly parameters: readonly Parameter[]
  readonly shape: readonly number[]
  readonly apply: (x: Value, parameters: readonly Value[]) => Value
}

const centred = (shape: readonly number[], scale: number, centre = 0): Parameter => ({
  shape,
  dtype: 'f32',
  fill: (u) => Math.fround(centre + scale * (2 * u - 1)),
})

const smooth: readonly (readonly [string, (x: Value) => Value])[] = [
  ['tanh', ops.tanh],
  ['sigmoid', ops.sigmoid],
  ['x - x^2/8', (x) => ops.sub(x, ops.mul(ops.square(x), ops.scalar(0.125)))],
  ['abs', ops.abs],
  ['exp of -x^2', (x) => ops.exp(ops.neg(ops.square(x)))],
  ['negated and mirrored', (x) => ops.neg(ops.reverse(x, [2]))],
]

function convLayer([rows, h, w, c]: readonly number[], draws: Draws): Layer {
  const filters = draws.pick([3, 5, 8, 16])
  const size = draws.pick([1, 3, 3])
  const pad = size >> 1
  const stride = h > 2 && w > 2 ? draws.pick([1, 1, 2]) : 1
  const out = (d: number) => Math.floor((d + 2 * pad - size) / stride) + 1
  return {
    name: `conv ${size}x${size}/${stride} to ${filters}`,
    parameters: [centred([size, size, c, filters], 1 / Math.sqrt(size * size * c)), centred([filters], 0.1)],
    shape: [rows, out(h), out(w), filters],
    apply: (x, [weights, bias]) => ops.conv2d(x, weights, bias, { pad, stride }),
  }
}

function normLayer([rows, h, w, c]: readonly number[], draws: Draws): Layer {
  const kind = draws.pick<NormKind>(['instance', 'instance', 'batch', 'group'])
  const pool = h > 1 && w > 1 ? draws.pick([0, 2] as const) : 0
  const relu = draws.pick([true, false])
  // Few positions make a variance near zero and its reciprocal a lottery.
  const eps = 0.125
  return {
    name: `${kind} norm, relu ${relu}, pool ${pool}`,
    parameters: [centred([c], 0.25, 1), centred([c], 0.25)],
    shape: pool ? [rows, h >> 1, w >> 1, c] : [rows, h, w, c],
    apply: (x, [gamma, beta]) => ops.normActPool(x, gamma, beta, { kind, relu, pool, eps }).y,
  }
}

function poolLayer(shape: readonly number[], draws: Draws): Layer {
  const [rows, h, w, c] = shape
  if (h < 2 || w < 2) return smoothLayer(shape, draws)
  const isMax = draws.pick([true, false])
  return {
    name: isMax ? 'max pool' : 'average pool',
    parameters: [],
    shape: [rows, h >> 1, w >> 1, c],
    apply: (x) => (isMax ? ops.maxPool2d(x, { window: 2 }) : ops.avgPool2d(x, { window: 2 })),
  }
}

function smoothLayer(shape: readonly number[], draws: Draws): Layer {
  const [name, apply] = draws.pick(smooth)
  return { name, parameters: [], shape, apply }
}

function augmentLayer(shape: readonly number[], draws: Draws): Layer {
  const [rows] = shape
  const flip = draws.below(2)
  const theta = Array.from(
    { length: rows },
    (_, n) =>
      [
        [0, 0, 0, 0, 0, 0, 0, 0],
        [1, 0.25, 1.25, 0.75, 0, 0, 0, 0],
        [2, 1, -1, 0, 0, 0, 0, 0],
        [3, 1, 1, 2, 2, 0, 0, 0],
        [4, flip, 0, 0, 0, 0, 0, 0],
        [5, 0.875, -0.25, 0.125, 0.25, 0.875, 0, 0],
      ][(n + flip) % 6],
  ).flat()
  const parameter: Parameter = { shape: [rows, 8], dtype: 'f32', fill: (_, i) => theta[i] }
  // Theta says what to do with a row; it carries no gradient.
  return { name: 'augment', parameters: [parameter], shape, apply: (x, [t]) => ops.augment(x, t) }
}

/** Layers that mix rows: a region must end before them. */
function mixingLayer(shape: readonly number[], draws: Draws): Layer {
  const [rows] = shape
  if (draws.below(2) === 0) {
    return { name: 'less the batch mean', parameters: [], shape, apply: (x) => ops.sub(x, ops.mean(x, { axes: [0], keep: true })) }
  }
  const index: Parameter = { shape: [rows], dtype: 'i32', fill: (u) => Math.floor(u * rows) }
  return { name: 'rows gathered', parameters: [index], shape, apply: (x, [i]) => ops.gather(x, i) }
}

/** The block's input added to its output where their shapes agree. */
const residual = (layer: Layer): Layer => ({ ...layer, name: `${layer.name}, residual`, apply: (x, p) => ops.add(x, layer.apply(x, p)) })

function randomLayer(shape: readonly number[], draws: Draws): Layer {
  const make = draws.pick([convLayer, convLayer, normLayer, normLayer, poolLayer, smoothLayer, augmentLayer, mixingLayer])
  const layer = make(shape, draws)
  return layer.shape.join() === shape.join() && draws.below(3) === 0 ? residual(layer) : layer
}

export interface RandomGraph {
  readonly traced: Traced
  readonly inputs: readonly RefTensor[]
  /** The layers, for messages. */
  readonly text: string
}

/** Odd seeds add a Hessian-vector product to the gradients. */
export function randomGraph(seed: number): RandomGraph {
  const withHessian = seed % 2 === 1
  const draws = new Draws(seed)
  const rows = draws.pick(rowChoices)
  const image = [rows, draws.pick([6, 8, 11]), draws.pick([6, 8, 9]), draws.pick([1, 3, 4])]
  const layers: Layer[] = []
  let shape: readonly number[] = image
  for (let depth = 3 + draws.below(4); layers.length < depth; shape = layers[layers.length - 1].shape)
    layers.push(randomLayer(shape, draws))
  const features = sizeOf(shape) / rows
  const labels: Parameter = { shape: [rows], dtype: 'i32', fill: (u) => Math.floor(u * classes) }
  const parameters = [
    centred(image, 1),
    labels,
    centred([features, classes], 1 / Math.sqrt(features)),
    ...layers.flatMap((layer) => layer.parameters),
  ]
  const traced = trace(
    (...values) => {
      const [x, target, weights, ...rest] = values as Value[]
      const map = layers.reduce((v, layer) => layer.apply(v, rest.splice(0, layer.parameters.length)), x)
      const embedding = ops.reshape(map, [rows, features])
      const counts = ops.full([classes], rows / classes)
      const means = ops.segmentMean(embedding, target, counts)
      const ce = ops.mean(ops.softmaxCe(ops.matmul(embedding, weights), target).loss)
      const loss = ops.add(ce, ops.mean(ops.square(means)))
      const differentiable = (values as Value[]).filter(({ dtype, shape: s }) => dtype === 'f32' && s.join() !== `${rows},8`)
      const gradients = grad(loss, differentiable)
      // A Hessian-vector product in the images, along the gradient itself.
      const [images] = gradients
      return withHessian ? [loss, ...gradients, ...vjp([images], [ops.mul(images, ops.scalar(rows))], [x])] : [loss, ...gradients]
    },
    parameters.map(({ shape: s, dtype }) => spec(s, dtype)),
  )
  const inputs = parameters.map(({ shape: s, fill }, i) => ({
    shape: s,
    data: uniform(fold(keyOf(seed), 'input', i), 0, 0, sizeOf(s)).map(fill),
  }))
  return { traced, inputs, text: `[${image.join(', ')}] -> ${layers.map(({ name }) => name).join(' -> ')}` }
}
