/**
 * @file Normalisation fused with ReLU and 2x2 average pooling: forward, vjp, and vjp of the vjp. Layout x [G,N,H,W,C].
 * The forward form can sum powers of the ReLU map before it is pooled, so that attention maps cost no map in memory.
 */
import { checkOptions } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { checkValues, emit, emitOne, zerosLike } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs, intAttr, numberAttr } from './check.js'
import { defineOp, type OpDef } from './define.js'
import { add } from './elementwise.js'
import { broadcast, reshape } from './movement.js'
import { type NormKind, normForward, normGrad, normGradGrad, normKinds } from './norm-reference.js'
import { largestPower, type PowerSums, powerSumShapes, powerSumsVjp } from './power-sums.js'

export interface NormOptions {
  readonly kind: NormKind
  /** Channel groups of the group norm. */
  readonly groups?: number
  readonly eps?: number
  readonly relu?: boolean
  /** 2: average pooling over 2x2 windows after the ReLU. */
  readonly pool?: 0 | 2
  /** 0/1 per image `[G,N]` (batch norm only): rows of weight 0 are left out and give exact zeros. */
  readonly rowWeights?: Value
}

/** y, and the statistics: instance `[G,N,C]`, group `[G,N,groups]`, batch `[G,C]`; they carry no gradient. */
export interface NormResult {
  readonly y: Value
  readonly mean: Value
  readonly rstd: Value
}

const optionNames = { kind: true, groups: true, eps: true, relu: true, pool: true, rowWeights: true } as const

/**
 * y = pool(relu(gamma (x - mean) rstd + beta)) with biased variance. x `[G,N,H,W,C]`, gamma and beta `[G,C]` (or `[1,C]` and `[C]`
 * for all groups), f32. Without the group axis (x `[N,H,W,C]`) the outputs have none either.
 */
export function normActPool(x: Value, gamma: Value, beta: Value, options: NormOptions): NormResult {
  checkValues('norm_act_pool', [x, gamma, beta])
  checkOptions('norm_act_pool', options, optionNames)
  const [y, mean, rstd] = emitNorm(x, gamma, beta, options)
  return { y, mean, rstd }
}

/**
 * `normActPool` with a ReLU that also sums the given power (a whole number from 1 to 4) of the ReLU map, before it is pooled: over
 * channels `[G,N,H,W]` and over positions `[G,N,C]`. Nothing of the map's size is written.
 */
export function normActPoolSums(x: Value, gamma: Value, beta: Value, options: NormOptions & { power: number }): NormResult & PowerSums {
  checkValues('norm_act_pool', [x, gamma, beta])
  checkOptions('norm_act_pool', options, { ...optionNames, power: true })
  const [y, mean, rstd, positions, channels] = emitNorm(x, gamma, beta, options)
  return { y, mean, rstd, positions, channels }
}

function emitNorm(x: Value, gamma: Value, beta: Value, options: NormOptions & { power?: number }): readonly Value[] {
  if (x.shape.length === 4) {
    const rows = options.rowWeights
    const grouped = rows ? { ...options, rowWeights: reshape(rows, [1, sizeOf(rows.shape)]) } : options
    return emitNorm(reshape(x, [1, ...x.shape]), gamma, beta, grouped).map((v) => reshape(v, v.shape.slice(1)))
  }
  const { kind, groups = 1, eps = 1e-5, relu = false, pool = 0, power, rowWeights } = options
  // Parameters are tiny: one set for all groups is repeated, and the repetition sums their gradients.
  const perGroup = [x.shape[0], x.shape.at(-1) as number]
  const inputs = [x, broadcast(gamma, perGroup), broadcast(beta, perGroup)]
  const attrs = { kind: normKinds.indexOf(kind), groups, eps, relu, pool, ...(power !== undefined && { power }) }
  return emit('norm_act_pool', rowWeights ? [...inputs, rowWeights] : inputs, attrs)
}

const batchKind = normKinds.indexOf('batch')

interface NormTypes {
  readonly x: TensorType
  readonly parameters: Shape
  readonly statistics: Shape
  readonly y: Shape
}

/** Checks x, gamma, beta and the attributes; the shapes of everything else follow. */
function checkNorm(op: string, [x, gamma, beta]: readonly TensorType[], attrs: Attrs, rowWeights?: TensorType): NormTypes {
  checkRank(op, 'x', x, 5, '[G,N,H,W,C]')
  for (const input of rowWeights ? [x, gamma, beta, rowWeights] : [x, gamma, beta]) checkDtype(op, input, 'f32')
  const [groups, images, height, width, channels] = x.shape
  const kind = intAttr(op, attrs, 'kind')
  const channelGroups = intAttr(op, attrs, 'groups', 1)
  const pool = intAttr(op, attrs, 'pool')
  if (kind >= normKinds.length) throw expected('invalid_option', op, `kind ${normKinds.map((k, i) => `${i} (${k})`).join(', ')}`, kind)
  if (channels % channelGroups !== 0) throw expected('invalid_option', op, `groups that divide ${channels} channels`, channelGroups)
  if (pool !== 0 && pool !== 2) throw expected('invalid_option', op, 'pool 0 or 2', pool)
  if (pool === 2 && (height < 2 || width < 2)) throw expected('invalid_shape', op, 'an image of at least 2x2 to pool', formatShape(x.shape))
  if (!(numberAttr(op, attrs, 'eps') >= 0)) throw expected('invalid_option', op, 'eps >= 0', attrs.eps)
  const parameters = [groups, channels]
  checkShapeIs(op, 'gamma', gamma, parameters)
  checkShapeIs(op, 'beta', beta, parameters)
  if (rowWeights) {
    if (kind !== batchKind) throw expected('invalid_option', op, 'rowWeights only with batch norm', normKinds[kind])
    checkShapeIs(op, 'rowWeights', rowWeights, [groups, images])
  }
  const perKind = [[groups, images, channels], [groups, images, channelGroups], parameters]
  const size = pool === 2 ? [Math.floor(height / 2), Math.floor(width / 2)] : [height, width]
  return { x, parameters, statistics: perKind[kind], y: [groups, images, ...size, channels] }
}

const f32 = (shape: Shape): TensorType => ({ shape, dtype: 'f32' })

const encodeNorm = ({ kind, groups, eps, relu, pool, power }: Attrs): readonly number[] => [
  kind as number,
  groups as number,
  eps as number,
  relu ? 1 : 0,
  pool as number,
  ...(power === undefined ? [] : [power as number]),
]

/** Batch axis 1 for instance and group norm; batch statistics mix the samples. `batched` marks the inputs that carry the batch. */
const normSlice =
  (batched: readonly boolean[], outputs: readonly (1 | 'sum')[]): NonNullable<OpDef['slice']> =>
  (axes, node) => {
    if (axes.every((a) => a === null)) return node.outputs.map(() => null)
    if (axes.every((a) => a === 0)) return node.outputs.map(() => 0)
    if (node.attrs.kind === batchKind || node.inputs.length > batched.length) return undefined
    return axes.every((a, i) => a === (batched[i] ? 1 : null)) ? outputs.slice(0, node.outputs.length) : undefined
  }

/** Shapes of the sums of powers; none when they were not asked for. */
function checkPower(op: string, x: TensorType, attrs: Attrs): readonly Shape[] {
  if (attrs.power === undefined) return []
  const power = intAttr(op, attrs, 'power', 1)
  if (power > largestPower) throw expected('invalid_option', op, `power to be at most ${largestPower}`, power)
  if (!attrs.relu) throw expected('invalid_option', op, 'power only with relu', attrs.relu)
  return powerSumShapes(x)
}

const normOp = defineOp({
  doc: 'Instance, group or batch normalisation with scale and shift, then ReLU and 2x2 average pooling as asked; sums of powers of the ReLU map.',
  type(inputs, attrs) {
    checkArity('norm_act_pool', inputs, 3, 4)
    const { x, y, statistics } = checkNorm('norm_act_pool', inputs, attrs, inputs[3])
    return [y, statistics, statistics, ...checkPower('norm_act_pool', x, attrs)].map(f32)
  },
  differentiable: [0, 1, 2],
  vjp({ node, inputs, outputs: [, mean, rstd], cotangents: [gy, gmean, grstd, ...gsums] }) {
    if (gmean || grstd) {
      throw new AludelError(
        'not_differentiable',
        'norm_act_pool: mean and rstd carry no gradient; compute the statistics with mean() to differentiate them, or use stopGradient()',
      )
    }
    const [x, gamma, beta, ...rowWeights] = inputs
    const { power, ...attrs } = node.attrs
    const through = gsums.some((g) => g)
      ? mapCotangent(inputs, { attrs, power: power as number, gy, gsums })
      : { attrs, cotangent: gy as Value }
    const grads = emit('norm_act_pool_grad', [x, gamma, beta, mean, rstd, through.cotangent, ...rowWeights], through.attrs)
    return [...grads, ...rowWeights.map(() => null)]
  },
  reference: normForward,
  flops: ([x], _, { power = 0 }) => (9 + (power ? (power as number) + 1 : 0)) * sizeOf(x.shape),
  encode: encodeNorm,
  slice: normSlice([true, false, false], [1, 1, 1, 1, 1]),
})

interface SumCotangents {
  readonly attrs: Attrs
  readonly power: number
  readonly gy: Value | null
  readonly gsums: readonly (Value | null)[]
}

/** The sums' gradient needs the ReLU map: it is made again, and the pool becomes a step of its own. */
function mapCotangent(inputs: readonly Value[], { attrs, power, gy, gsums: [positions, channels] }: SumCotangents) {
  const unpooled = { ...attrs, pool: 0 }
  const [map] = emit('norm_act_pool', inputs, unpooled)
  const ofSums = powerSumsVjp(map, power, positions, channels)
  if (gy === null) return { attrs: unpooled, cotangent: ofSums }
  const [height, width] = map.shape.slice(2, 4)
  const window = { windowH: 2, windowW: 2, strideH: 2, strideW: 2 }
  const ofPooled = attrs.pool === 2 ? emitOne('avg_pool2d_grad', [gy], { ...window, height, width }) : gy
  return { attrs: unpooled, cotangent: add(ofPooled, ofSums) }
}

function checkGradInputs(op: string, inputs: readonly TensorType[], attrs: Attrs, rowWeights?: TensorType): NormTypes {
  const types = checkNorm(op, inputs, attrs, rowWeights)
  for (const input of inputs) checkDtype(op, input, 'f32')
  checkShapeIs(op, 'mean', inputs[3], types.statistics)
  checkShapeIs(op, 'rstd', inputs[4], types.statistics)
  checkShapeIs(op, 'gy', inputs[5], types.y)
  return types
}

/** With power: gy is joined by the cotangents of both sums, of which every pixel needs its window. */
function checkSumCotangents(op: string, inputs: readonly TensorType[], attrs: Attrs): NormTypes {
  checkArity(op, inputs, 8)
  const types = checkGradInputs(op, inputs, attrs)
  const [, , height, width] = types.x.shape
  if (attrs.pool === 2 && (height % 2 === 1 || width % 2 === 1))
    throw expected('invalid_shape', op, 'an even height and width beside cotangents of sums', formatShape(types.x.shape))
  for (const [i, shape] of checkPower(op, types.x, attrs).entries()) checkShapeIs(op, ['positions', 'channels'][i], inputs[6 + i], shape)
  return types
}

const gradBatched = [true, false, false, true, true, true]

const normGradOp = defineOp({
  doc: 'Gradients of norm_act_pool with respect to x, gamma and beta, those of its sums of powers included; mean and rstd are caches of the statistics of x.',
  type(inputs, attrs) {
    const op = 'norm_act_pool_grad'
    checkArity(op, inputs, 6, 8)
    const ofSums = attrs.power !== undefined
    const { x, parameters } = ofSums ? checkSumCotangents(op, inputs, attrs) : checkGradInputs(op, inputs, attrs, inputs[6])
    if (!ofSums) checkArity(op, inputs, 6, 7)
    return [f32(x.shape), f32(parameters), f32(parameters)]
  },
  // The gradient with respect to beta is zero almost everywhere (it only moves the ReLU's edge).
  differentiable: [0, 1, 5],
  vjp({ node, inputs, outputs, cotangents }) {
    // Only the compiler makes it, after the last derivative.
    if (node.attrs.power !== undefined)
      throw new AludelError('not_differentiable', 'norm_act_pool_grad: with cotangents of sums it has no derivative')
    const rowWeights = inputs.slice(6)
    const u = cotangents.map((cotangent, i) => cotangent ?? zerosLike(outputs[i]))
    const [gx, ggamma, ggy] = emit('norm_act_pool_grad_grad', [...inputs.slice(0, 6), ...u, ...rowWeights], node.attrs)
    return [gx, ggamma, null, null, null, ggy, ...rowWeights.map(() => null)]
  },
  reference: normGrad,
  flops: ([x], _, { power = 0 }) => (16 + (power ? (power as number) + 2 : 0)) * sizeOf(x.shape),
  encode: encodeNorm,
  slice: (axes, node) =>
    normSlice(node.attrs.power === undefined ? gradBatched : [...gradBatched, true, true], [1, 'sum', 'sum'])(axes, node),
})

const normGradGradOp = defineOp({
  doc: 'Gradients of <norm_act_pool_grad, (ux, ugamma, ubeta)> with respect to x, gamma and gy; not differentiable again.',
  type(inputs, attrs) {
    const op = 'norm_act_pool_grad_grad'
    checkArity(op, inputs, 9, 10)
    const { x, parameters, y } = checkGradInputs(op, inputs, attrs, inputs[9])
    checkShapeIs(op, 'ux', inputs[6], x.shape)
    checkShapeIs(op, 'ugamma', inputs[7], parameters)
    checkShapeIs(op, 'ubeta', inputs[8], parameters)
    return [f32(x.shape), f32(parameters), f32(y)]
  },
  reference: normGradGrad,
  flops: ([x]) => 30 * sizeOf(x.shape),
  encode: encodeNorm,
  slice: normSlice([true, false, false, true, true, true, true, false, false], [1, 'sum', 1]),
})

export const normOps = { norm_act_pool: normOp, norm_act_pool_grad: normGradOp, norm_act_pool_grad_grad: normGradGradOp }
