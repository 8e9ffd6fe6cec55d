/** @file float64 references of norm_act_pool, its vjp and its vjp of the vjp. Notation follows docs/decisions/0001. */
import type { Attrs, TensorType } from '../graph/node.js'
import type { RefTensor } from './define.js'
import { powerSumsReference } from './power-sums.js'
import { zeros } from './reference-tensor.js'

/** kind attribute: which elements share a mean and a variance. */
export const normKinds = ['instance', 'group', 'batch'] as const
export type NormKind = (typeof normKinds)[number]

interface Layout {
  readonly shape: readonly number[]
  readonly eps: number
  readonly relu: boolean
  readonly pool: boolean
  /** Statistic of each element of x, parameter of each element, and the weight (0 or 1) of each element's row. */
  readonly statOf: Int32Array
  readonly parameterOf: Int32Array
  readonly weightOf: Float64Array
  /** Elements behind each statistic (at least 1, so that an empty batch divides safely). */
  readonly counts: Float64Array
}

function layoutOf(x: RefTensor, attrs: Attrs, statistics: number, rowWeights?: RefTensor): Layout {
  const [groups, images, height, width, channels] = x.shape
  const kind = normKinds[attrs.kind as number]
  const perGroup = channels / (attrs.groups as number)
  const statOf = new Int32Array(x.data.length)
  const parameterOf = new Int32Array(x.data.length)
  const weightOf = new Float64Array(x.data.length)
  const counts = new Float64Array(statistics)
  let i = 0
  for (let row = 0; row < groups * images; row++) {
    const group = Math.floor(row / images)
    for (let p = 0; p < height * width; p++) {
      for (let c = 0; c < channels; c++, i++) {
        const inGroup = row * (attrs.groups as number) + Math.floor(c / perGroup)
        statOf[i] = kind === 'instance' ? row * channels + c : kind === 'group' ? inGroup : group * channels + c
        parameterOf[i] = group * channels + c
        weightOf[i] = rowWeights ? rowWeights.data[row] : 1
        counts[statOf[i]] += weightOf[i]
      }
    }
  }
  const eps = attrs.eps as number
  return {
    shape: x.shape,
    eps,
    relu: attrs.relu === true,
    pool: attrs.pool === 2,
    statOf,
    parameterOf,
    weightOf,
    counts: counts.map((n) => Math.max(n, 1)),
  }
}

/** Weighted mean of f(i) per statistic. */
function means({ statOf, weightOf, counts }: Layout, f: (i: number) => number): Float64Array {
  const totals = new Float64Array(counts.length)
  for (let i = 0; i < statOf.length; i++) if (weightOf[i] !== 0) totals[statOf[i]] += f(i)
  return totals.map((total, s) => total / counts[s])
}

/** Sum of f(i) per parameter. */
function parameterSums({ parameterOf, weightOf }: Layout, like: RefTensor, f: (i: number) => number): RefTensor {
  const out = zeros(like.shape)
  for (let i = 0; i < parameterOf.length; i++) if (weightOf[i] !== 0) out.data[parameterOf[i]] += f(i)
  return out
}

/** Average over 2x2 windows when the layout pools; rows and columns beyond the last window are left out. */
function poolData({ shape, pool }: Layout, data: Float64Array, outShape: readonly number[]): RefTensor {
  if (!pool) return { shape: outShape, data }
  const out = zeros(outShape)
  forEachPooled(shape, outShape, (from, to) => {
    out.data[to] += data[from] / 4
  })
  return out
}

function unpoolData({ shape, pool }: Layout, g: RefTensor): Float64Array {
  if (!pool) return g.data
  const out = zeros(shape)
  forEachPooled(shape, g.shape, (from, to) => {
    out.data[from] = g.data[to] / 4
  })
  return out.data
}

function forEachPooled(shape: readonly number[], outShape: readonly number[], visit: (from: number, to: number) => void): void {
  const [groups, images, height, width, channels] = shape
  const [, , outH, outW] = outShape
  for (let row = 0; row < groups * images; row++) {
    for (let h = 0; h < outH * 2; h++) {
      for (let w = 0; w < outW * 2; w++) {
        const from = ((row * height + h) * width + w) * channels
        const to = ((row * outH + (h >> 1)) * outW + (w >> 1)) * channels
        for (let c = 0; c < channels; c++) visit(from + c, to + c)
      }
    }
  }
}

/** x, gamma, beta[, rowWeights] -> y, mean, rstd[, sums of powers over channels and over positions]. */
export function normForward(inputs: readonly RefTensor[], attrs: Attrs, [y, mean, rstd, ...sums]: readonly TensorType[]): RefTensor[] {
  const [x, gamma, beta, rowWeights] = inputs
  const statistics = zeros(mean.shape).data.length
  const layout = layoutOf(x, attrs, statistics, rowWeights)
  const { statOf, parameterOf, weightOf, eps, relu } = layout
  const mu = means(layout, (i) => x.data[i])
  const variance = means(layout, (i) => (x.data[i] - mu[statOf[i]]) ** 2)
  const scale = variance.map((v) => 1 / Math.sqrt(v + eps))
  const z = x.data.map((value, i) => {
    const normal = (value - mu[statOf[i]]) * scale[statOf[i]]
    const affine = gamma.data[parameterOf[i]] * normal + beta.data[parameterOf[i]]
    return weightOf[i] === 0 || (relu && affine <= 0) ? 0 : affine
  })
  const powers = sums.length > 0 ? powerSumsReference({ shape: x.shape, data: z }, attrs.power as number, sums) : []
  return [poolData(layout, z, y.shape), { shape: mean.shape, data: mu }, { shape: rstd.shape, data: scale }, ...powers]
}

/** What both derivatives share: the normalised input and the gated cotangent gz. */
function gate(inputs: readonly RefTensor[], layout: Layout, ofSum: (i: number, z: number) => number = () => 0) {
  const [x, gamma, beta, mean, rstd, gy] = inputs
  const { statOf, parameterOf, weightOf, relu } = layout
  const xh = x.data.map((value, i) => (value - mean.data[statOf[i]]) * rstd.data[statOf[i]])
  const zs = xh.map((v, i) => gamma.data[parameterOf[i]] * v + beta.data[parameterOf[i]])
  const isOpen = Uint8Array.from(zs, (z, i) => (weightOf[i] !== 0 && (!relu || z > 0) ? 1 : 0))
  const gz = unpoolData(layout, gy).map((g, i) => (isOpen[i] ? g + ofSum(i, zs[i]) : 0))
  const t = gz.map((g, i) => g * gamma.data[parameterOf[i]])
  return { xh, isOpen, gz, t }
}

/** P(v) = rstd (v - mean v - xh mean(v xh)): the projection that the gradient of the normalisation applies. */
function project({ statOf, weightOf }: Layout, rstd: RefTensor, xh: Float64Array, v: Float64Array, a: Float64Array, b: Float64Array) {
  return v.map((value, i) => (weightOf[i] === 0 ? 0 : rstd.data[statOf[i]] * (value - a[statOf[i]] - xh[i] * b[statOf[i]])))
}

/** power z^(power - 1) times what the sums over channels and over positions hand back to element i of x `[G,N,H,W,C]`. */
function sumCotangent([x, , , , , , positions, channels]: readonly RefTensor[], power: number) {
  const [, , height, width, depth] = x.shape
  return (i: number, z: number): number => {
    const pixel = Math.floor(i / depth)
    const both = positions.data[pixel] + channels.data[Math.floor(pixel / (height * width)) * depth + (i % depth)]
    return power * z ** (power - 1) * both
  }
}

/** x, gamma, beta, mean, rstd, gy[, rowWeights | positions, channels] -> dx, dgamma, dbeta. */
export function normGrad(inputs: readonly RefTensor[], attrs: Attrs): RefTensor[] {
  const [x, gamma, , mean, rstd] = inputs
  const power = attrs.power as number | undefined
  const layout = layoutOf(x, attrs, mean.data.length, power === undefined ? inputs[6] : undefined)
  const { xh, gz, t } = gate(inputs, layout, power === undefined ? undefined : sumCotangent(inputs, power))
  const a = means(layout, (i) => t[i])
  const b = means(layout, (i) => t[i] * xh[i])
  return [
    { shape: x.shape, data: project(layout, rstd, xh, t, a, b) },
    parameterSums(layout, gamma, (i) => gz[i] * xh[i]),
    parameterSums(layout, gamma, (i) => gz[i]),
  ]
}

/** x, gamma, beta, mean, rstd, gy, ux, ugamma, ubeta[, rowWeights] -> gx, ggamma, ggy. */
export function normGradGrad(inputs: readonly RefTensor[], attrs: Attrs): RefTensor[] {
  const [x, gamma, , mean, rstd, gy, ux, ugamma, ubeta, rowWeights] = inputs
  const layout = layoutOf(x, attrs, mean.data.length, rowWeights)
  const { statOf, parameterOf, weightOf } = layout
  const { xh, isOpen, gz, t } = gate(inputs, layout)
  const b = means(layout, (i) => t[i] * xh[i])
  const a = means(layout, (i) => t[i])
  const u = means(layout, (i) => ux.data[i])
  const c = means(layout, (i) => ux.data[i] * xh[i])
  const d = means(layout, (i) => ux.data[i] * t[i])
  const pu = project(layout, rstd, xh, ux.data, u, c)
  const q = pu.map((p, i) => {
    const k = parameterOf[i]
    return isOpen[i] ? gamma.data[k] * p + ugamma.data[k] * xh[i] + ubeta.data[k] : 0
  })
  const h = ux.data.map((v, i) => {
    const s = statOf[i]
    return -rstd.data[s] * (v * b[s] + t[i] * c[s]) + ugamma.data[parameterOf[i]] * gz[i]
  })
  const ha = means(layout, (i) => h[i])
  const hb = means(layout, (i) => h[i] * xh[i])
  const gx = project(layout, rstd, xh, h, ha, hb).map((p, i) => {
    const s = statOf[i]
    return weightOf[i] === 0 ? 0 : p - rstd.data[s] ** 2 * xh[i] * (d[s] - u[s] * a[s] - c[s] * b[s])
  })
  return [{ shape: x.shape, data: gx }, parameterSums(layout, gamma, (i) => gz[i] * pu[i]), poolData(layout, q, gy.shape)]
}
