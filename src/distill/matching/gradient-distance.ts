/**
 * @file Distances between the parameter gradients of two image batches (DC, 2006.05929; DSA, 2102.08259), per class. They are built from
 * plain ops, so the pixel gradient through them is the exact second-order one.
 */
import {
  add,
  addAll,
  broadcast,
  div,
  grad,
  greater,
  mul,
  reshape,
  select,
  softmaxCe,
  sqrt,
  square,
  sub,
  sum,
  type Value,
} from '../../engine/index.js'
import type { Network, ParameterSpec, Parameters } from '../../nn/module.js'
import type { ClassBatch } from '../method.js'
import { type MatchedTensor, piecesOf } from './depth-cut.js'

export const gradientMetrics = ['layer-cosine', 'mse', 'cosine'] as const
export type GradientMetric = (typeof gradientMetrics)[number]

/** Gradients of one side: per parameter [classes, ...shape]; beside them the mean cross-entropy of each class, [classes]. */
export interface ClassGradients {
  readonly gradients: Parameters
  readonly crossEntropy: Value
}

/**
 * g_c = d/d theta of the mean cross-entropy of class c's batch, all labels c. Rows are class-major, equally many a class; padded rows
 * count 0. The group axis carries the classes: one set of `parameters` (G = 1) is repeated over it, so that every class has its own gradient.
 * With `frozen` statistics the network runs in eval mode, as batch norm does here: a class alone has no statistics worth the name.
 */
export function classGradients(
  network: Network,
  parameters: Parameters,
  batch: ClassBatch,
  classes: number,
  frozen?: Parameters,
): ClassGradients {
  const perClass = batch.images.shape[1] / classes
  const names = network.parameters.map(({ name }) => name)
  const overClasses = (x: Value): Value => broadcast(x, [classes, ...x.shape.slice(1)])
  const repeated = names.map((name) => overClasses(parameters[name]))
  const images = reshape(batch.images, [classes, perClass, ...network.input])
  const weights = batch.rowWeights && reshape(batch.rowWeights, [classes, perClass])
  const named = Object.fromEntries(names.map((name, i) => [name, repeated[i]]))
  const statistics = frozen && Object.fromEntries(Object.entries(frozen).map(([name, value]) => [name, overClasses(value)]))
  const { logits } = network.apply(named, images, {
    ...(weights ? { rowWeights: weights } : {}),
    ...(statistics ? { mode: 'eval', state: statistics } : {}),
  })
  const { loss } = softmaxCe(logits, reshape(batch.classIndex, [classes, perClass]))
  const perRow = weights ? mul(loss, weights) : loss
  const crossEntropy = div(sum(perRow, { axes: [1] }), reshape(batch.counts, [classes]))
  // Classes share no parameter copy: the gradient of the sum is every class's own gradient.
  const gradients = grad(sum(crossEntropy), repeated)
  return { gradients: Object.fromEntries(names.map((name, i) => [name, gradients[i]])), crossEntropy }
}

/** Added to |a||b| inside the denominator; rows with tiny gradients make it matter. */
const cosineEps = 1e-6

/** 1 - <a,b> / (|a||b| + eps) from sums of products. */
function cosineDistance(ab: Value, aa: Value, bb: Value): Value {
  return sub(1, div(ab, add(mul(length(aa), length(bb)), cosineEps)))
}

/** sqrt of a sum of squares, with the gradient 0 at 0. */
function length(squares: Value): Value {
  const some = greater(squares, 0)
  return select(some, sqrt(select(some, squares, 1)), 0)
}

/** Sums of a product over all axes but those kept, of [classes, ...]. */
const sumKeeping = (x: Value, kept: readonly number[]): Value => sum(x, { axes: x.shape.map((_, i) => i).filter((i) => !kept.includes(i)) })

/**
 * sum over rows of (1 - <a,b> / (|a||b| + eps)) per parameter tensor, each [classes]. A row is what leads to one output: PyTorch's first
 * axis, the last one of HWIO filters and of [in, out] matrices. Vectors (biases, gamma, beta) and positions have no rows and are left out.
 * Of a row that a cut falls into the rest is one; rows before it count nothing.
 */
export function layerCosineTerms(tensors: readonly MatchedTensor[], a: Parameters, b: Parameters): Record<string, Value> {
  const matched = tensors.filter(hasRows)
  return Object.fromEntries(
    matched.map((tensor) => {
      const [p, q] = [piecesOf(tensor, a[tensor.name]), piecesOf(tensor, b[tensor.name])]
      const rows = (f: Product) => p.rows && q.rows && sumKeeping(f(p.rows, q.rows), [0, p.rows.shape.length - 1])
      const row = (f: Product) => (p.row.length > 0 ? addAll(p.row.map((piece, i) => sumKeeping(f(piece, q.row[i]), [0]))) : undefined)
      const ofRows = distanceOf(rows)
      const ofRow = distanceOf(row)
      return [tensor.name, addAll([...(ofRows ? [sum(ofRows, { axes: [1] })] : []), ...(ofRow ? [ofRow] : [])])]
    }),
  )
}

type Product = (p: Value, q: Value) => Value

/** Cosine distance from what sums up a product of two gradients; undefined where there is nothing to sum. */
function distanceOf(sumOf: (f: Product) => Value | undefined): Value | undefined {
  const sums = [sumOf(mul), sumOf(square), sumOf((_, q) => square(q))]
  const [ab, aa, bb] = sums
  return ab && aa && bb && cosineDistance(ab, aa, bb)
}

/** Whether a tensor has rows: weights do. */
export const hasRows = ({ layout }: ParameterSpec): boolean => layout !== 'vector' && layout !== 'tokens'

/** Distance of each class over some tensors, [classes]. `mse` (a sum of squares) and `cosine` take them all together, vectors included. */
export function gradientDistance(metric: GradientMetric, tensors: readonly MatchedTensor[], a: Parameters, b: Parameters): Value {
  const overAll = (f: Product) =>
    addAll(
      tensors.flatMap((tensor) => {
        const [p, q] = [piecesOf(tensor, a[tensor.name]), piecesOf(tensor, b[tensor.name])].map((pieces) => [
          ...(pieces.rows ? [pieces.rows] : []),
          ...pieces.row,
        ])
        return p.map((piece, i) => sumKeeping(f(piece, q[i]), [0]))
      }),
    )
  switch (metric) {
    case 'layer-cosine':
      return addAll(Object.values(layerCosineTerms(tensors, a, b)))
    case 'mse':
      return overAll((p, q) => square(sub(p, q)))
    case 'cosine':
      return cosineDistance(
        overAll(mul),
        overAll(square),
        overAll((_, q) => square(q)),
      )
    default:
      return metric satisfies never
  }
}
