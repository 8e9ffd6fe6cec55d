/** @file Distance of the attention of two sets of feature maps, DataDAM's spatial one and ATOM's channel one, and its gradient. */
import { checkOptions, wholeNumber } from '../arguments.js'
import { channelAttention, spatialAttention } from '../distill/matching/attention.js'
import {
  abs,
  add,
  div,
  full,
  grad,
  maximum,
  mean,
  minimum,
  mul,
  reshape,
  scatterAdd,
  squaredNorm,
  sub,
  type Value,
} from '../engine/index.js'
import { formatShape } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'
import {
  checkDirectOptions,
  checkFlag,
  type DirectOptions,
  deliver,
  directOptions,
  disposeAll,
  type Result,
  readScalar,
  runDirect,
} from './call.js'
import { type ArrayInput, type Operand, operandOf } from './operand.js'

export interface AttentionMatchOptions extends DirectOptions {
  /** w_s, >= 0 (default 1). A kind of weight 0 is not computed. */
  readonly spatialWeight?: number
  /** w_c, >= 0 (default 1). */
  readonly channelWeight?: number
  /** p_s > 0 (default 4). Whole numbers up to 4 are multiplied out, others cost a logarithm for each element. */
  readonly spatialPower?: number
  /** p_c > 0 (default 4). */
  readonly channelPower?: number
  /** Class of each row of both sides, i32 `[N]` and `[M]`, 0..count-1. Without it all rows are one class. */
  readonly classes?: { readonly count: number; readonly real: ArrayInput; readonly synthetic: ArrayInput }
  /** Whether the gradient with respect to the synthetic maps is computed too (default false). */
  readonly gradient?: boolean
}

export type AttentionMatch<O extends AttentionMatchOptions> = {
  /** w_s spatial + w_c channel. */
  readonly loss: number
  /** S, or null when its weight is 0. */
  readonly spatial: number | null
  /** C, or null when its weight is 0. */
  readonly channel: number | null
} & (O extends { readonly gradient: false }
  ? unknown
  : O extends { readonly gradient: boolean }
    ? { /** f32 `[M,H,W,C]` */ readonly gradient: Result<O, 'gradient'> }
    : unknown)

const what = 'attentionMatch'

/**
 * How far two sets of feature maps are apart in their attention (spatial: DataDAM, 2310.00093; channel: ATOM, 2405.01373):
 *
 *     as[b, i] = sum_ch |f[b, i, ch]|^p_s    ac[b, ch] = sum_i |f[b, i, ch]|^p_c    z = a / max(||a||, 1e-12)
 *     S, C = sum_c || mean_b z(real_c) - mean_b z(synthetic_c) ||^2                  loss = w_s S + w_c C
 *
 * `real` f32 `[N,H,W,C]` and `synthetic` f32 `[M,H,W,C]`, channels last; maps of PyTorch's order are a transposed view. Classes that
 * have rows on one side only are left out. Typed arrays and views are copied before the call returns its promise.
 *
 * Throws `invalid_option`, `invalid_dtype`, `invalid_shape`, `detached`, `disposed`, `out_of_memory`, `invalid_index` (a row of no class),
 * `not_finite` (NaN or infinity in a map, or powers beyond float32), and AbortError.
 */
export async function attentionMatch<const O extends AttentionMatchOptions>(
  real: ArrayInput,
  synthetic: ArrayInput,
  options: O,
): Promise<AttentionMatch<O>> {
  const settings = checkedSettings(options)
  const operands = checkedOperands(real, synthetic, settings)
  const maps = operands.synthetic.shape
  const kinds = (['spatial', 'channel'] as const).filter((kind) => settings[kind].weight > 0)
  const { gradient } = settings
  const { into = {} } = options as AttentionMatchOptions
  if (into.gradient && !gradient) throw expected('invalid_option', `${what}: into.gradient`, 'gradient: true beside it', gradient)
  const results = await runDirect(what, options, operands, {
    into,
    key: { ...settings, classes: settings.classes?.count },
    build(v) {
      const distance = classDistance(v, settings.classes?.count)
      const terms = kinds.map((kind) => {
        const attention = (f: Value) => attentions[kind](reshape(magnitude(f, settings[kind].power), [1, ...f.shape]), settings[kind].power)
        return distance(attention(v.real), attention(v.synthetic))
      })
      const loss = terms.map((term, i) => mul(term, settings[kinds[i]].weight)).reduce(add)
      return {
        loss,
        ...Object.fromEntries(terms.map((term, i) => [kinds[i], term])),
        ...(gradient ? { gradient: grad(loss, [v.synthetic])[0] } : {}),
      }
    },
    outputs: { loss: [], ...Object.fromEntries(kinds.map((kind) => [kind, []])), ...(gradient ? { gradient: maps } : {}) },
  })
  try {
    const scalar = (name: string) => (results[name] === undefined ? null : readScalar(results[name]))
    const [loss, spatial, channel] = await Promise.all([scalar('loss') as Promise<number>, scalar('spatial'), scalar('channel')])
    if (!Number.isFinite(loss)) {
      throw expected('not_finite', `${what}: loss`, 'a finite number', loss, 'look for NaN, infinity or numbers beyond 1e9 in the maps')
    }
    const { gradient: array, ...scalars } = results
    disposeAll(scalars, into)
    return { loss, spatial, channel, ...(array ? { gradient: await deliver(options, array) } : {}) } as AttentionMatch<O>
  } catch (error) {
    disposeAll(results, into)
    throw error
  }
}

interface Settings {
  readonly spatial: { readonly weight: number; readonly power: number }
  readonly channel: { readonly weight: number; readonly power: number }
  readonly classes: AttentionMatchOptions['classes']
  readonly gradient: boolean
}

function checkedSettings(options: AttentionMatchOptions): Settings {
  checkOptions<AttentionMatchOptions>(what, options, {
    ...directOptions,
    spatialWeight: true,
    channelWeight: true,
    spatialPower: true,
    channelPower: true,
    classes: true,
    gradient: true,
  })
  checkDirectOptions(what, options, ['gradient'])
  const { spatialWeight = 1, channelWeight = 1, spatialPower = 4, channelPower = 4, classes, gradient = false } = options
  checkFlag(`${what}: gradient`, gradient)
  for (const [name, value] of Object.entries({ spatialWeight, channelWeight }))
    if (!(Number.isFinite(value) && value >= 0)) throw expected('invalid_option', `${what}: ${name}`, 'a number >= 0', value)
  for (const [name, value] of Object.entries({ spatialPower, channelPower }))
    if (!(Number.isFinite(value) && value > 0)) throw expected('invalid_option', `${what}: ${name}`, 'a number > 0', value)
  if (spatialWeight + channelWeight === 0)
    throw expected('invalid_option', what, 'a weight above 0 in spatialWeight or channelWeight', 'none')
  if (classes !== undefined) {
    checkOptions(`${what}: classes`, classes, { count: true, real: true, synthetic: true })
    if (wholeNumber(`${what}: classes.count`, classes.count) > mostClasses)
      throw expected('invalid_option', `${what}: classes.count`, `at most ${mostClasses}`, classes.count)
  }
  return {
    spatial: { weight: spatialWeight, power: spatialPower },
    channel: { weight: channelWeight, power: channelPower },
    classes,
    gradient,
  }
}

/** Counts of rows are float32. */
const mostClasses = 2 ** 24

function checkedOperands(real: ArrayInput, synthetic: ArrayInput, { classes }: Settings): Record<'real' | 'synthetic', Operand> {
  const maps = { real: operandOf(`${what}: real`, real), synthetic: operandOf(`${what}: synthetic`, synthetic) }
  for (const [name, { dtype, shape }] of Object.entries(maps)) {
    if (dtype !== 'f32') throw expected('invalid_dtype', `${what}: ${name}`, 'f32', dtype)
    if (shape.length !== 4) throw expected('invalid_shape', `${what}: ${name}`, '[rows, height, width, channels]', formatShape(shape))
  }
  const [own, other] = [maps.synthetic.shape.slice(1), maps.real.shape.slice(1)].map(formatShape)
  if (own !== other) throw expected('invalid_shape', `${what}: synthetic`, `maps of the shape of the real ones, ${other}`, own)
  if (classes === undefined) return maps
  const indices = {
    realClasses: operandOf(`${what}: classes.real`, classes.real),
    syntheticClasses: operandOf(`${what}: classes.synthetic`, classes.synthetic),
  }
  for (const [name, side] of [
    ['real', 'realClasses'],
    ['synthetic', 'syntheticClasses'],
  ] as const) {
    const { dtype, shape } = indices[side]
    if (dtype !== 'i32') throw expected('invalid_dtype', `${what}: classes.${name}`, 'i32 class indices', dtype)
    const rows = formatShape(maps[name].shape.slice(0, 1))
    if (formatShape(shape) !== rows)
      throw expected('invalid_shape', `${what}: classes.${name}`, `${rows}, one for each row`, formatShape(shape))
  }
  return { ...maps, ...indices }
}

const attentions = { spatial: spatialAttention, channel: channelAttention }

/** Even powers need no absolute value. */
const magnitude = (f: Value, power: number): Value => (power % 2 === 0 ? f : abs(f))

/** sum_c || mean_b a_c - mean_b b_c ||^2 of rows of the real and of the synthetic side. */
function classDistance(v: Readonly<Record<string, Value>>, classes: number | undefined): (real: Value, synthetic: Value) => Value {
  if (classes === undefined) return (real, synthetic) => squaredNorm(sub(mean(real, { axes: [0] }), mean(synthetic, { axes: [0] })))
  const sides = [v.realClasses, v.syntheticClasses].map((index) => ({
    index,
    counts: scatterAdd(full([index.shape[0], 1], 1), index, classes),
  }))
  const onBothSides = sides.map(({ counts }) => minimum(counts, 1)).reduce(mul)
  return (...rows) => {
    const [a, b] = rows.map((row, i) => div(scatterAdd(row, sides[i].index, classes), maximum(sides[i].counts, 1)))
    return squaredNorm(mul(sub(a, b), onBothSides))
  }
}
