/** @file Cross-entropy, EL2N and GraNd of the last layer of every sample, and the gradient of the loss, straight from logits and labels. */
import { checkOptions } from '../arguments.js'
import { div, grad, softmaxCe, softmaxCeOfFeatures, sum, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import { formatShape, type Shape, sameShape, sizeOf } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
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

export interface PerSampleLossOptions extends DirectOptions {
  /** 'none' (default): one loss for each sample, shape `[…]`. 'sum' and 'mean': one loss of all of them, shape `[]`. */
  readonly reduction?: 'none' | 'sum' | 'mean'
  /** Whether the gradient with respect to the logits is computed too (default false): of the sum of the losses, or of their mean. */
  readonly gradient?: boolean
  /** Inputs of the linear layer with bias that made the logits, f32 `[…,D]`; with them `grandLastLayer` is computed in the same pass. */
  readonly features?: ArrayInput
}

export type PerSampleLoss<O extends PerSampleLossOptions> = {
  /** f32 `[…]` in nats, or `[]` when reduced. */
  readonly loss: Result<O, 'loss'>
  /** f32 `[…]`: ||softmax(logits) - target||, from 0 to sqrt 2 for hard labels. */
  readonly el2n: Result<O, 'el2n'>
} & (O extends { readonly gradient: false }
  ? unknown
  : O extends { readonly gradient: boolean }
    ? { readonly gradient: Result<O, 'gradient'> }
    : unknown) &
  (O extends { readonly features: ArrayInput }
    ? {
        /** f32 `[…]`: el2n sqrt(||h||^2 + 1), the norm of the loss's gradient in weights and bias of the last layer. */
        readonly grandLastLayer: Result<O, 'grandLastLayer'>
      }
    : unknown)

const reductions = ['none', 'sum', 'mean'] as const

/**
 * Cross-entropy and EL2N (Paul et al., 2107.07075) of each sample in one pass over the logits; with `features`, the inputs h of the last
 * linear layer, also its GraNd: ||softmax(logits) - target|| sqrt(||h||^2 + 1), exact for a layer with bias and labels that add up to 1.
 *
 * `logits` f32 `[…,K]`. `labels` are hard, class indices 0..K-1 of shape `[…]` (any array of whole numbers of at most 32 bits; i32 on the
 * device), or soft, f32 `[…,K]` of any row sum T: loss = T logsumexp(z) - <t, z>. Typed arrays and views are copied before the call
 * returns its promise. The maximum is subtracted, so logits of 1e4 stay finite.
 *
 * Throws `invalid_option`, `invalid_dtype`, `invalid_shape`, `detached`, `disposed`, `out_of_memory`, `invalid_index` (a label that is no
 * class), `not_finite` (a sample whose loss or score is NaN or infinite, by its index), and AbortError.
 */
export async function perSampleLoss<const O extends PerSampleLossOptions>(
  logits: ArrayInput,
  labels: ArrayInput,
  options: O,
): Promise<PerSampleLoss<O>> {
  const what = 'perSampleLoss'
  checkOptions<PerSampleLossOptions>(what, options, { ...directOptions, reduction: true, gradient: true, features: true })
  const { reduction = 'none', gradient = false, features } = options as PerSampleLossOptions
  checkDirectOptions(what, options, ['loss', 'el2n', 'grandLastLayer', 'gradient'])
  if (!reductions.includes(reduction)) throw expected('invalid_option', `${what}: reduction`, reductions.join(', '), reduction)
  checkFlag(`${what}: gradient`, gradient)
  const operands = checkedOperands(what, logits, labels)
  const samples = operands.logits.shape.slice(0, -1)
  const inputs = features === undefined ? operands : { ...operands, features: checkedFeatures(what, features, samples) }
  const { loss: lossArray, ...others } = (options as PerSampleLossOptions).into ?? {}
  if (others.gradient && !gradient) throw expected('invalid_option', `${what}: into.gradient`, 'gradient: true beside it', gradient)
  if (others.grandLastLayer && !features) throw expected('invalid_option', `${what}: into.grandLastLayer`, 'features beside it', features)
  const into = { ...others, ...(lossArray && { [reduction === 'none' ? 'loss' : 'total']: lossArray }) }
  const results = await runDirect(what, options, inputs, {
    into,
    key: { reduction, gradient },
    build: (v) => {
      const { loss, el2n, ...scores } = rowsOf(v)
      const total = sum(loss)
      const reduced = reduction === 'mean' ? div(total, sizeOf(samples)) : total
      return { loss, el2n, ...scores, total: reduced, ...(gradient ? { gradient: grad(reduced, [v.logits])[0] } : {}) }
    },
    outputs: {
      ...{ loss: samples, el2n: samples, total: [] },
      ...(features ? { grandLastLayer: samples, scoreTotal: [] } : {}),
      ...(gradient ? { gradient: operands.logits.shape } : {}),
    },
  })
  try {
    await checkFinite(what, 'loss', results.total, results.loss, samples)
    if (reduction !== 'none') await checkTotal(what, reduction, results.total)
    const { loss, el2n, total, scoreTotal, ...rest } = results
    if (scoreTotal) await checkFinite(what, 'grandLastLayer', scoreTotal, results.grandLastLayer, samples)
    scoreTotal?.dispose()
    ;(reduction === 'none' ? total : loss).dispose() // never the caller's
    const given = { loss: reduction === 'none' ? loss : total, el2n, ...rest }
    const read = Object.entries(given).map(async ([name, array]) => [name, await deliver(options, array)])
    return Object.fromEntries(await Promise.all(read))
  } catch (error) {
    disposeAll(results, into)
    throw error
  }
}

/**
 * EL2N scores (Paul et al., 2107.07075) of each sample, f32 `[…]`: ||softmax(logits) - target||. Inputs and errors as for
 * `perSampleLoss`, which gives both in the same pass.
 */
export async function el2n<const O extends DirectOptions>(logits: ArrayInput, labels: ArrayInput, options: O): Promise<Result<O, 'el2n'>> {
  const what = 'el2n'
  checkOptions<DirectOptions>(what, options, directOptions)
  checkDirectOptions(what, options, ['el2n'])
  const { into = {} } = options as DirectOptions
  const operands = checkedOperands(what, logits, labels)
  const samples = operands.logits.shape.slice(0, -1)
  const results = await runDirect(what, options, operands, {
    into,
    key: null,
    build: (v) => {
      const { el2n } = softmaxCe(v.logits, v.labels)
      return { el2n, total: sum(el2n) }
    },
    outputs: { el2n: samples, total: [] },
  })
  try {
    await checkFinite(what, 'loss', results.total, results.el2n, samples)
    results.total.dispose()
    return (await deliver(options, results.el2n)) as Result<O, 'el2n'>
  } catch (error) {
    disposeAll(results, into)
    throw error
  }
}

function checkedOperands(what: string, logits: ArrayInput, labels: ArrayInput): Record<'logits' | 'labels', Operand> {
  const [z, t] = [operandOf(`${what}: logits`, logits), operandOf(`${what}: labels`, labels)]
  if (z.dtype !== 'f32') throw expected('invalid_dtype', `${what}: logits`, 'f32', z.dtype)
  if (z.shape.length < 1) throw expected('invalid_shape', `${what}: logits`, '[…, classes]', formatShape(z.shape))
  if (t.dtype !== 'i32' && t.dtype !== 'f32')
    throw expected('invalid_dtype', `${what}: labels`, 'i32 class indices or f32 soft labels', t.dtype)
  const wanted = t.dtype === 'i32' ? z.shape.slice(0, -1) : z.shape
  if (!sameShape(t.shape, wanted)) {
    const todo = z.shape.length === 1 ? 'give the logits as { data, shape: [samples, classes] }' : undefined
    throw expected(
      'invalid_shape',
      `${what}: labels`,
      `${formatShape(wanted)} for logits ${formatShape(z.shape)}`,
      formatShape(t.shape),
      todo,
    )
  }
  return { logits: z, labels: t }
}

/** Results of each row; with features also the last layer's norms and their sum. */
function rowsOf({ logits, labels, features }: Readonly<Record<string, Value>>): Record<'loss' | 'el2n', Value> & Record<string, Value> {
  if (!features) return softmaxCe(logits, labels)
  const { lastLayer: grandLastLayer, ...others } = softmaxCeOfFeatures(logits, labels, features)
  return { ...others, grandLastLayer, scoreTotal: sum(grandLastLayer) }
}

function checkedFeatures(what: string, given: ArrayInput, samples: Shape): Operand {
  const features = operandOf(`${what}: features`, given)
  if (features.dtype !== 'f32') throw expected('invalid_dtype', `${what}: features`, 'f32', features.dtype)
  if (features.shape.length === samples.length + 1 && sameShape(features.shape.slice(0, -1), samples)) return features
  throw expected('invalid_shape', `${what}: features`, `[${[...samples, 'width'].join(', ')}]`, formatShape(features.shape))
}

/** The total says whether any value is not finite, at the price of one number; only then are they looked at one by one. */
async function checkFinite(
  what: string,
  name: 'loss' | 'grandLastLayer',
  total: DeviceArray,
  values: DeviceArray,
  samples: Shape,
): Promise<void> {
  if (Number.isFinite(await readScalar(total))) return
  const read = await values.read()
  const turn = new Turn()
  for (let i = 0; i < read.length; i++) {
    if (i % 65_536 === 0) await turn.breathe()
    if (!Number.isFinite(read[i])) {
      throw new AludelError(
        'not_finite',
        `${what}: sample ${i} of ${sizeOf(samples)}: expected a finite ${name} but received ${read[i]}; look at its ${name === 'loss' ? 'logits and label' : 'features'}`,
      )
    }
  }
}

async function checkTotal(what: string, reduction: string, total: DeviceArray): Promise<void> {
  const value = await readScalar(total)
  if (!Number.isFinite(value))
    throw expected('not_finite', `${what}: ${reduction} of the losses`, 'a finite number', value, "take reduction 'none'")
}
