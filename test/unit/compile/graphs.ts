/** @file Graphs that the compiler tests share: small versions of what the product runs. */
import { grad, hvp } from '../../../src/engine/autodiff/grad.js'
import type { Value } from '../../../src/engine/graph/node.js'
import * as ops from '../../../src/engine/ops/index.js'
import { spec, type Traced, trace } from '../../../src/engine/trace/trace.js'

export const channels = 4

export interface Network {
  readonly w1: Value
  readonly b1: Value
  readonly gamma: Value
  readonly beta: Value
  readonly w2: Value
  readonly w3: Value
}

/** A small image size and width keep the float64 reference quick; two blocks give a smallest map of 2x2 or 4x4. */
export const networkSpecs = (size: number, width: number, classes: number) => ({
  w1: spec([1, 3, 3, channels, width]),
  b1: spec([1, width]),
  gamma: spec([1, width]),
  beta: spec([1, width]),
  w2: spec([1, 3, 3, width, width]),
  w3: spec([(size / 4) * (size / 4) * width, classes]),
})

export function embed(x: Value, p: Network, kind: 'instance' | 'batch' = 'instance'): Value {
  const [n] = x.shape
  let y = ops.reshape(x, [1, ...x.shape])
  y = ops.conv2d(y, p.w1, p.b1, { pad: 1 })
  y = ops.normActPool(y, p.gamma, p.beta, { kind, relu: true, pool: 2 }).y
  y = ops.conv2d(y, p.w2, undefined, { pad: 1 })
  y = ops.relu(y)
  y = ops.avgPool2d(y, { window: 2 })
  return ops.reshape(y, [n, -1])
}

export const logits = (x: Value, p: Network, kind: 'instance' | 'batch' = 'instance'): Value => ops.matmul(embed(x, p, kind), p.w3)

/** Distribution matching: real embedding without gradient, synthetic with a gradient to its pixels, both augmented. */
export function dmStep(real: number, synthetic: number, classes = 2, size = 8, width = 4): Traced {
  const embedding = (size / 4) ** 2 * width
  return trace(
    (x, xTheta, s, sTheta, p) => {
      const means = (v: Value, theta: Value): Value =>
        ops.mean(ops.reshape(embed(ops.augment(v, theta), p), [classes, v.shape[0] / classes, embedding]), { axes: [1] })
      const loss = ops.squaredNorm(ops.sub(means(x, xTheta), means(s, sTheta)))
      const [g] = grad(loss, [s])
      return { images: ops.sub(s, ops.mul(g, 0.1)), loss }
    },
    [
      spec([real, size, size, channels]),
      spec([real, 8]),
      spec([synthetic, size, size, channels]),
      spec([synthetic, 8]),
      networkSpecs(size, width, 3),
    ],
  )
}

/** One step of SGD with momentum on a network; mean cross-entropy over gathered uint8 images. */
export function trainStep(batch: number, kind: 'instance' | 'batch' = 'instance', size = 8, width = 4): Traced {
  const classes = 3
  return trace(
    (images, labels, index, scale, shift, p, velocity) => {
      const x = ops.imageGather(images, index, scale, shift)
      const { loss } = ops.softmaxCe(logits(x, p, kind), ops.gather(labels, index))
      const objective = ops.mean(loss)
      const names = Object.keys(p) as (keyof Network)[]
      const gradients = grad(
        objective,
        names.map((name) => p[name]),
      )
      const next = names.map((name, i) => ops.add(ops.mul(velocity[name], 0.9), gradients[i]))
      return { objective, p: names.map((name, i) => ops.sub(p[name], ops.mul(next[i], 0.01))), velocity: next }
    },
    [
      spec([40, size, size, channels], 'u8'),
      spec([40], 'i32'),
      spec([batch], 'i32'),
      spec([channels]),
      spec([channels]),
      networkSpecs(size, width, classes),
      networkSpecs(size, width, classes),
    ],
  )
}

/** Hessian-vector product of a training loss: second derivatives of every image op. */
export function hvpStep(batch: number, size = 8, width = 4): Traced {
  return trace(
    (x, labels, p, v) => {
      const loss = ops.mean(ops.softmaxCe(logits(x, p), labels).loss)
      const names = Object.keys(p) as (keyof Network)[]
      return hvp(
        loss,
        names.map((name) => p[name]),
        names.map((name) => v[name]),
      )
    },
    [spec([batch, size, size, channels]), spec([batch], 'i32'), networkSpecs(size, width, 3), networkSpecs(size, width, 3)],
  )
}

/** Evaluation: weighted loss and number of correct rows, per-row losses as well. */
export function evaluationStep(batch: number): Traced {
  return trace(
    (x, labels, weights, p) => {
      const z = logits(x, p)
      const { loss, el2n } = ops.softmaxCe(z, labels)
      return { loss: ops.weightedMean(loss, weights), correct: ops.correctCount(z, labels, weights), el2n }
    },
    [spec([batch, 8, 8, channels]), spec([batch], 'i32'), spec([batch]), networkSpecs(8, 4, 3)],
  )
}
