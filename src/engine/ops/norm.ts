/** @file Normalisation fused with ReLU and 2x2 average pooling: forward, vjp, and vjp of the vjp. Layout x [G,N,H,W,C]. */
import { checkOptions } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import type { Attrs, TensorType, Value } from '../graph/node.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { checkValues, emit, zerosLike } from './build.js'
import { checkArity, checkDtype, checkRank, checkShapeIs, intAttr, numberAttr } from './check.js'
import { defineOp, type OpDef } from './define.js'
import { broadcast, reshape } from './movement.js'
import { type NormKind, normForward, normGrad, normGradGrad, normKinds } from './norm-reference.js'

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

/**
 * y = pool(relu(gamma (x - mean) rstd + beta)) with biased variance. x `[G,N,H,W,C]`, gamma and beta `[G,C]` (or `[1,C]` and `[C]`
 * for all groups), f32. mean and rstd are the statistics: instance `[G,N,C]`, group `[G,N,groups]`, batch `[G,C]`; they carry no gradient.
 * Without the group axis (x `[N,H,W,C]`) the outputs have none either.
 */
export function normActPool(x: Value, gamma: Value, beta: Value, options: NormOptions): { y: Value; mean: Value; rstd: Value } {
  checkValues('norm_act_pool', [x, gamma, beta])
  checkOptions('norm_act_pool', options, { kind: true, groups: true, eps: true, relu: true, pool: true, rowWeights: true })
  if (x.shape.length === 4) {
    const rows = options.rowWeights
    const grouped = rows ? { ...options, rowWeights: reshape(rows, [1, sizeOf(rows.shape)]) } : options
    const { y, mean, rstd } = normActPool(reshape(x, [1, ...x.shape]), gamma, beta, grouped)
    const [flatY, flatMean, flatRstd] = [y, mean, rstd].map((v) => reshape(v, v.shape.slice(1)))
    return { y: flatY, mean: flatMean, rstd: flatRstd }
  }
  const { kind, groups = 1, eps = 1e-5, relu = false, pool = 0, rowWeights } = options
  // Parameters are tiny: one set for all groups is repeated, and the repetition sums their gradients.
  const perGroup = [x.shape[0], x.shape.at(-1) as number]
  const inputs = [x, broadcast(gamma, perGroup), broadcast(beta, perGroup)]
  const attrs = { kind: normKinds.indexOf(kind), groups, eps, relu, pool }
  const [y, mean, rstd] = emit('norm_act_pool', rowWeights ? [...inputs, rowWeights] : inputs, attrs)
  return { y, mean, rstd }
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

const encodeNorm = (attrs: Attrs): readonly number[] => [
  attrs.kind as number,
  attrs.groups as number,
  attrs.eps as number,
  attrs.relu ? 1 : 0,
  attrs.pool as number,
]

/** Batch axis 1 for instance and group norm; batch statistics mix the samples. `batched` marks the inputs that carry the batch. */
const normSlice =
  (batched: readonly boolean[], outputs: readonly (1 | 'sum')[]): NonNullable<OpDef['slice']> =>
  (axes, node) => {
    if (axes.every((a) => a === null)) return node.outputs.map(() => null)
    if (axes.every((a) => a === 0)) return node.outputs.map(() => 0)
    if (node.attrs.kind === batchKind || node.inputs.length > batched.length) return undefined
    return axes.every((a, i) => a === (batched[i] ? 1 : null)) ? outputs : undefined
  }

const normOp = defineOp({
  doc: 'Instance, group or batch normalisation with scale and shift, then ReLU and 2x2 average pooling as asked.',
  type(inputs, attrs) {
    checkArity('norm_act_pool', inputs, 3, 4)
    const { y, statistics } = checkNorm('norm_act_pool', inputs, attrs, inputs[3])
    return [f32(y), f32(statistics), f32(statistics)]
  },
  differentiable: [0, 1, 2],
  vjp({ node, inputs, outputs: [, mean, rstd], cotangents: [gy, gmean, grstd] }) {
    if (gmean || grstd) {
      throw new AludelError(
        'not_differentiable',
        'norm_act_pool: mean and rstd carry no gradient; compute the statistics with mean() to differentiate them, or use stopGradient()',
      )
    }
    const [x, gamma, beta, ...rowWeights] = inputs
    const grads = emit('norm_act_pool_grad', [x, gamma, beta, mean, rstd, gy as Value, ...rowWeights], node.attrs)
    return [...grads, ...rowWeights.map(() => null)]
  },
  reference: normForward,
  flops: ([x]) => 9 * sizeOf(x.shape),
  encode: encodeNorm,
  slice: normSlice([true, false, false], [1, 1, 1]),
})

function checkGradInputs(op: string, inputs: readonly TensorType[], attrs: Attrs, rowWeights?: TensorType): NormTypes {
  const types = checkNorm(op, inputs, attrs, rowWeights)
  for (const input of inputs) checkDtype(op, input, 'f32')
  checkShapeIs(op, 'mean', inputs[3], types.statistics)
  checkShapeIs(op, 'rstd', inputs[4], types.statistics)
  checkShapeIs(op, 'gy', inputs[5], types.y)
  return types
}

const normGradOp = defineOp({
  doc: 'Gradients of norm_act_pool with respect to x, gamma and beta; mean and rstd are caches of the statistics of x.',
  type(inputs, attrs) {
    const op = 'norm_act_pool_grad'
    checkArity(op, inputs, 6, 7)
    const { x, parameters } = checkGradInputs(op, inputs, attrs, inputs[6])
    return [f32(x.shape), f32(parameters), f32(parameters)]
  },
  // The gradient with respect to beta is zero almost everywhere (it only moves the ReLU's edge).
  differentiable: [0, 1, 5],
  vjp({ node, inputs, outputs, cotangents }) {
    const rowWeights = inputs.slice(6)
    const u = cotangents.map((cotangent, i) => cotangent ?? zerosLike(outputs[i]))
    const [gx, ggamma, ggy] = emit('norm_act_pool_grad_grad', [...inputs.slice(0, 6), ...u, ...rowWeights], node.attrs)
    return [gx, ggamma, null, null, null, ggy, ...rowWeights.map(() => null)]
  },
  reference: normGrad,
  flops: ([x]) => 16 * sizeOf(x.shape),
  encode: encodeNorm,
  slice: normSlice([true, false, false, true, true, true], [1, 'sum', 'sum']),
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
