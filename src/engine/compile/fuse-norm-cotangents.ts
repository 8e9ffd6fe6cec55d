/**
 * @file The gradient of a normalised ReLU map without the map and its cotangent: where the cotangent comes from a 2x2 average pool, and from sums of
 * powers of the map, the gradient of the norm takes what these hand back and makes the rest itself.
 */
import type { Attrs } from '../graph/node.js'
import { sizeOf } from '../tensor/shape.js'
import { type IrBuilder, type IrGraph, type IrNode, type IrValue, rewrite } from './ir.js'

export const fuseNormCotangents = (graph: IrGraph): IrGraph =>
  rewrite(graph, (node, inputs, builder) => fused(node, inputs, builder) ?? builder.clone(node, inputs))

function fused(node: IrNode, inputs: readonly IrValue[], builder: IrBuilder): readonly IrValue[] | undefined {
  if (node.op !== 'norm_act_pool_grad' || node.attrs.pool !== 0 || node.attrs.power !== undefined) return undefined
  const cotangent = inputs[5]
  const sums = inputs.length === 6 && node.attrs.relu ? sumsIn(cotangent, inputs, node.numbers) : undefined
  const rest = sums ? sums.rest : cotangent
  const pooled = isPoolGradient(rest) && (!sums || isEven(inputs[0])) ? rest.node.inputs[0] : undefined
  if (!sums && !pooled) return undefined
  const pool = pooled ? 2 : 0
  const attrs: Attrs = { ...node.attrs, pool, ...(sums && { power: sums.power }) }
  const numbers = [...node.numbers.slice(0, 4), pool, ...(sums ? [sums.power] : [])]
  const operands = [...inputs.slice(0, 5), pooled ?? rest, ...inputs.slice(6), ...(sums ? cotangentsOf(sums, inputs[0], builder) : [])]
  return builder.add(node.op, operands, numbers, node.outputs, { attrs })
}

const isPoolGradient = ({ node }: IrValue): boolean => node.op === 'avg_pool2d_grad' && node.numbers.every((n) => n === 2)
const isEven = ({ shape: [, , height, width] }: IrValue): boolean => height % 2 === 0 && width % 2 === 0

interface Sums {
  readonly power: number
  /** What the sums hand back: [G,N,H,W,1] and [G,N,1,1,C], or one of them. */
  readonly both: readonly IrValue[]
  /** The other cotangents of the map. */
  readonly rest: IrValue
}

/**
 * rest + power both map^(power - 1), as the gradient of `power_sums` has it, where the map is that of the norm of these `inputs` and `numbers`
 * (kind, groups, eps).
 */
function sumsIn({ node }: IrValue, [x, gamma, beta]: readonly IrValue[], numbers: readonly number[]): Sums | undefined {
  if (node.op !== 'add') return undefined
  const isMap = ({ node: { op, inputs, attrs, numbers: own }, index }: IrValue): boolean =>
    op === 'norm_act_pool' &&
    index === 0 &&
    attrs.pool === 0 &&
    inputs.length === 3 &&
    [x, gamma, beta].every((input, i) => inputs[i] === input) &&
    [0, 1, 2].every((i) => own[i] === numbers[i])
  for (const [term, rest] of bothWays(node)) {
    // what was broadcast along with the sum is no cotangent by itself
    if (term.node.op !== 'mul' || `${rest.shape}` !== `${x.shape}`) continue
    for (const [scaled, power] of bothWays(term.node)) {
      const exponent = exponentOf(power, isMap)
      if (exponent === undefined || scaled.node.op !== 'mul') continue
      for (const [sum, factor] of bothWays(scaled.node)) {
        if (!isConstant(factor, exponent + 1)) continue
        const both = partsOf(sum, x)
        if (both) return { power: exponent + 1, both, rest }
      }
    }
  }
  return undefined
}

/** One value of positions and one of channels that make up `sum`, or the sum itself where it is one of the two. */
function partsOf(sum: IrValue, x: IrValue): readonly IrValue[] | undefined {
  if (sum.node.op === 'add') {
    for (const [a, b] of bothWays(sum.node)) if (a !== b && isOf(a, x, positionsOf) && isOf(b, x, channelsOf)) return [a, b]
  }
  return isOf(sum, x, positionsOf) || isOf(sum, x, channelsOf) ? [sum] : undefined
}

const bothWays = ({ inputs: [a, b] }: IrNode) => [[a, b] as const, [b, a] as const]

/** 1, 2 or 3 where `v` is that power of the map as `wholePower` makes it. */
function exponentOf(v: IrValue, isMap: (v: IrValue) => boolean): number | undefined {
  if (isMap(v)) return 1
  if (v.node.op === 'square') return isMap(v.node.inputs[0]) ? 2 : undefined
  if (v.node.op !== 'mul') return undefined
  return bothWays(v.node).some(([a, b]) => a.node.op === 'square' && isMap(a.node.inputs[0]) && isMap(b)) ? 3 : undefined
}

const isConstant = ({ node, shape }: IrValue, value: number): boolean =>
  node.op === 'constant' && sizeOf(shape) === 1 && Number(node.data?.[0]) === value

const positionsOf = ([G, N, H, W]: readonly number[]) => [G, N, H, W, 1]
const channelsOf = ([G, N, , , C]: readonly number[]) => [G, N, 1, 1, C]
const isOf = (v: IrValue, x: IrValue, shapeOf: (shape: readonly number[]) => number[]): boolean => `${v.shape}` === `${shapeOf(x.shape)}`

/** Positions [G,N,H,W] and channels [G,N,C]; zeros for the one that is not there. */
function cotangentsOf({ both }: Sums, x: IrValue, builder: IrBuilder): readonly IrValue[] {
  const positions = both.find((v) => isOf(v, x, positionsOf))
  const channels = both.find((v) => v !== positions && isOf(v, x, channelsOf))
  const [G, N, H, W, C] = x.shape
  const zero = builder.constant(Float32Array.of(0), { shape: [], dtype: 'f32' })
  const given = (v: IrValue | undefined, shape: readonly number[]): IrValue =>
    v ? builder.reshape(v, shape) : builder.add('broadcast', [zero], [], [{ shape, dtype: 'f32' }], { attrs: { shape } })[0]
  return [given(positions, [G, N, H, W]), given(channels, [G, N, C])]
}
