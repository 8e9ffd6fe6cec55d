/** @file float64 references of the softmax family, row by row. p = softmax(z), T = sum of the targets. */
import type { RefTensor } from './define.js'
import { zeros } from './reference-tensor.js'

const rowWidth = (z: RefTensor): number => z.shape[z.shape.length - 1]

/** log(softmax(x)) of every row, max-subtracted. */
export function logSoftmaxRows(x: RefTensor): RefTensor {
  const width = rowWidth(x)
  const out = zeros(x.shape)
  for (let at = 0; at < x.data.length; at += width) {
    const row = x.data.subarray(at, at + width)
    const top = row.reduce((a, b) => Math.max(a, b))
    const logTotal = Math.log(row.reduce((total, v) => total + Math.exp(v - top), 0))
    for (let k = 0; k < width; k++) out.data[at + k] = row[k] - top - logTotal
  }
  return out
}

/** Targets as rows of weights: class indices become one-hot rows. */
function softTargets(z: RefTensor, target: RefTensor): Float64Array {
  if (target.shape.length === z.shape.length) return target.data
  const width = rowWidth(z)
  const out = new Float64Array(z.data.length)
  target.data.forEach((k, row) => {
    if (k >= 0 && k < width) out[row * width + k] = 1
  })
  return out
}

interface Row {
  readonly logP: Float64Array
  readonly p: Float64Array
  readonly t: Float64Array
  readonly total: number
  readonly index: number
  readonly start: number
}

function forEachRow(z: RefTensor, target: RefTensor, visit: (row: Row) => void): void {
  const width = rowWidth(z)
  const logP = logSoftmaxRows(z).data
  const targets = softTargets(z, target)
  for (let index = 0; index < z.data.length / width; index++) {
    const start = index * width
    const t = targets.subarray(start, start + width)
    const own = logP.subarray(start, start + width)
    visit({ logP: own, p: own.map(Math.exp), t, total: t.reduce((a, b) => a + b), index, start })
  }
}

const dot = (a: Float64Array, b: Float64Array): number => a.reduce((total, v, i) => total + v * b[i], 0)

/** loss = -<t, log p> (equal to T logsumexp(z) - <t, z>), el2n = ||p - t||, and with features h also el2n sqrt(||h||^2 + 1). */
export function softmaxCeForward(z: RefTensor, target: RefTensor, features?: RefTensor): RefTensor[] {
  const loss = zeros(z.shape.slice(0, -1))
  const el2n = zeros(z.shape.slice(0, -1))
  forEachRow(z, target, ({ logP, p, t, index }) => {
    loss.data[index] = t.reduce((total, weight, k) => (weight === 0 ? total : total - weight * logP[k]), 0)
    el2n.data[index] = Math.hypot(...p.map((v, k) => v - t[k]))
  })
  if (!features) return [loss, el2n]
  const width = rowWidth(features)
  const lastLayer = el2n.data.map((norm, row) => {
    const h = features.data.subarray(row * width, (row + 1) * width)
    return norm * Math.sqrt(dot(h, h) + 1)
  })
  return [loss, el2n, { shape: el2n.shape, data: lastLayer }]
}

/** dz = g (T p - t). */
export function softmaxCeGrad(z: RefTensor, target: RefTensor, g: RefTensor): RefTensor {
  const dz = zeros(z.shape)
  forEachRow(z, target, ({ p, t, total, index, start }) => {
    for (let k = 0; k < p.length; k++) dz.data[start + k] = g.data[index] * (total * p[k] - t[k])
  })
  return dz
}

/** gz = g T p (u - <u, p>), gg = <u, T p - t>. */
export function softmaxCeGradGrad(z: RefTensor, target: RefTensor, g: RefTensor, u: RefTensor): RefTensor[] {
  const gz = zeros(z.shape)
  const gg = zeros(g.shape)
  forEachRow(z, target, ({ p, t, total, index, start }) => {
    const own = u.data.subarray(start, start + p.length)
    const mean = dot(own, p)
    for (let k = 0; k < p.length; k++) gz.data[start + k] = g.data[index] * total * p[k] * (own[k] - mean)
    gg.data[index] = total * mean - dot(own, t)
  })
  return [gz, gg]
}
