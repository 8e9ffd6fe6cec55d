/** @file Gradients of scalars and Hessian-vector products on top of the sweep. */
import { expected } from '../../errors.js'
import type { Value } from '../graph/node.js'
import { formatType } from '../graph/print.js'
import { checkValues, onesLike } from '../ops/build.js'
import { vjp } from './vjp.js'

/** d y / d w for each w of `wrt`; y has shape []. The result is part of the graph and can be differentiated again. */
export function grad(y: Value, wrt: readonly Value[]): Value[] {
  checkValues('grad', [y])
  if (y.shape.length !== 0) throw expected('invalid_shape', 'grad', 'a scalar (shape [])', formatType(y), 'reduce it with sum() or mean()')
  return vjp([y], [onesLike(y)], wrt)
}

/** The value beside its gradients, for step functions that return both. */
export const valueAndGrad = (y: Value, wrt: readonly Value[]): { value: Value; grads: Value[] } => ({ value: y, grads: grad(y, wrt) })

/**
 * H v, the Hessian of the scalar y in `wrt` times `vectors` (constants of this derivative): reverse over reverse, at the cost of
 * about two gradients.
 */
export const hvp = (y: Value, wrt: readonly Value[], vectors: readonly Value[]): Value[] => vjp(grad(y, wrt), vectors, wrt)
