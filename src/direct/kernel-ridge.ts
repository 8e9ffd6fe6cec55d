/** @file Ridge regression on features in closed form, and the loss of its predictions with gradients, of arrays that are there already. */
import { checkOptions, wholeNumber } from '../arguments.js'
import { add, addAll, cast, grad, matmul, mul, reshape, sum, type Value } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import { formatShape } from '../engine/tensor/shape.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import {
  checkRidge,
  checkRidgeLoss,
  checkRidgeReport,
  type Ridge,
  type RidgeHeadOptions,
  type RidgeLoss,
  type RidgeReport,
  repeatedRows,
  ridgeHead,
  ridgeLoss,
  ridgeReport,
} from '../ridge/index.js'
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

export interface KernelRidgeOptions extends DirectOptions, RidgeHeadOptions {
  /** Default KRR-ST's: 1e-6 of the trace, a constant of differentiation. */
  readonly ridge?: Ridge
}

/** What was solved: the ridge that was used, pivots, condition estimate, and groups of equal rows where a first ridge failed. */
export type SolvedRidge = RidgeReport & { readonly repeated?: readonly (readonly number[])[] }

export interface RidgeSolution<O extends KernelRidgeOptions> {
  /** f32 `[d,k]`: predictions are features times these. */
  readonly weights: Result<O, 'weights'>
  readonly report: SolvedRidge
}

/** Real samples: features f32 `[m,d]` and targets f32 `[m,k]`. */
export interface RidgeBatch {
  readonly features: ArrayInput
  readonly targets: ArrayInput
}

export interface RidgeLossOptions extends KernelRidgeOptions {
  /** Default 'mse'. Targets of a cross-entropy are rows of weights, one-hot for labels. */
  readonly loss?: RidgeLoss
  /** tau of 'platt-ce' (default 0). */
  readonly logScale?: number
  /** Whether gradients with respect to features, targets and logScale are computed too (default false). */
  readonly gradient?: boolean
  /** Real rows on the device at once (default 4096). Arrays of the device are taken whole. */
  readonly batchRows?: number
}

export type RidgeLossResult<O extends RidgeLossOptions> = {
  readonly loss: number
  readonly report: SolvedRidge
} & (O extends { readonly gradient: false }
  ? unknown
  : O extends { readonly gradient: boolean }
    ? {
        readonly gradient: {
          /** f32 `[n,d]` */
          readonly features: Result<O, 'features'>
          /** f32 `[n,k]` */
          readonly targets: Result<O, 'targets'>
          /** 0 unless the loss is 'platt-ce'. */
          readonly logScale: number
        }
      }
    : unknown)

const usualRidge: Ridge = { c: 1e-6, scale: 'trace', detach: true }
const solveOptions = { ...directOptions, ridge: true, route: true } as const
const lossOptions = { ...solveOptions, loss: true, logScale: true, gradient: true, batchRows: true } as const
const infoPlaces = 6

type Operands = Record<'features' | 'targets', Operand>

/**
 * Ridge regression of targets f32 `[n,k]` on features f32 `[n,d]` in closed form (KRR-ST 2310.06511, FRePo 2206.00719, KIP 2011.00050):
 *
 *     W = phi^T (phi phi^T + ridge I)^-1 Y        P = phi_real W        L = loss(P, Y_real)
 *
 * Gram matrix, factor and solves in float64, gradients in closed form (`ridgeHead`). Typed arrays and views are copied: those of `features` and
 * `targets` before a call returns its promise, those of real batches a part at a time, so that they must not change before it resolves.
 *
 * Both reject with `invalid_option`, `invalid_dtype`, `invalid_shape`, `detached`, `disposed`, `out_of_memory`, `not_positive_definite` (naming
 * rows that repeat) where ridges up to 1e5 times larger did not help, `not_finite` for NaN or infinity in what is given, and AbortError.
 */
export const kernelRidge = { solve, loss } as const

/** The weights of the regression. */
async function solve<const O extends KernelRidgeOptions>(features: ArrayInput, targets: ArrayInput, options: O): Promise<RidgeSolution<O>> {
  const what = 'kernelRidge.solve'
  checkOptions<KernelRidgeOptions>(what, options, solveOptions)
  const given: KernelRidgeOptions = options
  checkDirectOptions(what, given, ['weights'])
  const operands = trainingOperands(what, features, targets)
  const { weights, report } = await solved(what, given, operands)
  return { weights: (await deliver(given, weights)) as Result<O, 'weights'>, report }
}

/** The loss of the regression's predictions for real samples, and its gradients. */
async function loss<const O extends RidgeLossOptions>(
  features: ArrayInput,
  targets: ArrayInput,
  real: RidgeBatch,
  options: O,
): Promise<RidgeLossResult<O>> {
  const what = 'kernelRidge.loss'
  checkOptions<RidgeLossOptions>(what, options, lossOptions)
  const given: RidgeLossOptions = options
  const { loss: kind = 'mse', logScale = 0, gradient = false, batchRows = 4096, into = {} } = given
  checkDirectOptions(what, given, ['features', 'targets'])
  checkRidgeLoss(`${what}: loss`, kind)
  checkFlag(`${what}: gradient`, gradient)
  wholeNumber(`${what}: batchRows`, batchRows)
  if (!Number.isFinite(logScale)) throw expected('invalid_option', `${what}: logScale`, 'a finite number', logScale)
  if (logScale !== 0 && kind !== 'platt-ce')
    throw expected('invalid_option', `${what}: logScale`, "0 without the loss 'platt-ce'", logScale)
  if (Object.keys(into).length > 0 && !gradient) throw expected('invalid_option', `${what}: into`, 'gradient: true beside it', gradient)
  const operands = trainingOperands(what, features, targets)
  const batch = realOperands(what, real, operands)
  const parts = partsOf(batch, batchRows)
  const job: LossJob = { what, options: given, operands, batch, parts, kind, logScale, gradient }
  const { total, report, gradients } = parts.length === 1 ? await lossAtOnce(job) : await lossInParts(job)
  try {
    if (!Number.isFinite(total)) {
      const todo = 'look for NaN and infinity in features and targets, and for values beyond float32'
      throw new AludelError('not_finite', `${what}: expected a finite loss but it is ${total}; ${todo}`)
    }
    if (!gradients) return { loss: total, report } as RidgeLossResult<O>
    const { features: own, targets: towards, logScale: scale, finite } = gradients
    const [slope, check] = [scale ? await readScalar(scale) : 0, await readScalar(finite)]
    scale?.dispose()
    finite.dispose()
    if (!Number.isFinite(slope + check)) {
      const todo = 'bring features nearer to 1 (their gradient grows as they get smaller), or take a larger ridge or temperature'
      throw new AludelError('not_finite', `${what}: expected finite gradients but they are beyond float32; ${todo}`)
    }
    const results = { features: await deliver(given, own), targets: await deliver(given, towards), logScale: slope }
    return { loss: total, report, gradient: results } as unknown as RidgeLossResult<O>
  } catch (error) {
    if (gradients) disposeAll(gradients, into)
    throw error
  }
}

interface LossJob {
  readonly what: string
  readonly options: RidgeLossOptions
  readonly operands: Operands
  readonly batch: Operands
  readonly parts: readonly Operands[]
  readonly kind: RidgeLoss
  readonly logScale: number
  readonly gradient: boolean
}

interface ComputedLoss {
  readonly total: number
  readonly report: SolvedRidge
  readonly gradients?: Readonly<Record<string, DeviceArray>>
}

/** 0, or NaN where a gradient has an element that is not finite. */
const zeroOf = (gradients: readonly Value[]): Value => addAll(gradients.map((gradient) => sum(mul(gradient, 0))))

/** Names that no output has. */
const solveInputs = ({ features, targets }: Operands): Record<'phi' | 'y', Operand> => ({ phi: features, y: targets })

/** The loss of one part of the real batch under weights. */
const partLoss = ({ kind, batch }: LossJob, v: Readonly<Record<string, Value>>, weights: Value): Value =>
  ridgeLoss(matmul(v.realFeatures, weights, { precision: 'f32' }), v.realTargets, kind, {
    rows: batch.features.shape[0],
    ...(kind === 'platt-ce' && { logScale: reshape(v.tau, []) }),
  })

const scaleOperand = ({ kind, logScale, what }: LossJob): Record<string, Operand> =>
  kind === 'platt-ce' ? { tau: operandOf(what, Float32Array.of(logScale)) } : {}

/** One program: a real batch that fits. */
async function lossAtOnce(job: LossJob): Promise<ComputedLoss> {
  const { what, options, operands, parts, kind, gradient } = job
  const { ridge = usualRidge, route = 'auto', into = {} } = options
  const inputs = { ...solveInputs(operands), realFeatures: parts[0].features, realTargets: parts[0].targets, ...scaleOperand(job) }
  const wrt: readonly (readonly [output: string, input: string])[] = [
    ['features', 'phi'],
    ['targets', 'y'],
    ...(kind === 'platt-ce' ? [['logScale', 'tau'] as const] : []),
  ]
  const shapes = Object.fromEntries(wrt.map(([output, input]) => [output, inputs[input as keyof typeof inputs].shape]))
  const { total, info, ...gradients } = await runDirect(what, options, inputs, {
    into,
    key: { kind, ridge, route, gradient },
    build: (v) => {
      const { weights, info: solvedInfo } = ridgeHead(v.phi, v.y, ridge, { route })
      const value = partLoss(job, v, weights)
      const slopes = gradient
        ? grad(
            value,
            wrt.map(([, input]) => v[input]),
          )
        : []
      const named = Object.fromEntries(slopes.map((slope, i) => [wrt[i][0], slope]))
      return { total: value, info: solvedInfo, ...named, ...(gradient && { finite: zeroOf(slopes) }) }
    },
    outputs: { total: [], info: [infoPlaces], ...(gradient ? { ...shapes, finite: [] } : {}) },
    dtypes: { total: 'f64', info: 'f64' },
  })
  try {
    const report = await checkedReport(what, info, operands)
    return { total: await readScalar(total), report, ...(gradient && { gradients }) }
  } catch (error) {
    disposeAll(gradients, into)
    throw error
  } finally {
    info.dispose()
    total.dispose()
  }
}

/**
 * A part of the real batch at a time: H, the gradient of the weights, is summed over them in float64, and the regression is differentiated once
 * at the end with it as its cotangent.
 */
async function lossInParts(job: LossJob): Promise<ComputedLoss> {
  const { what, options, operands, parts, kind, gradient } = job
  const { ridge = usualRidge, route = 'auto', into = {} } = options
  const { weights, report } = await solved(what, { ...options, into: {} }, operands)
  const [, d] = operands.features.shape
  const [, k] = operands.targets.shape
  const platt = kind === 'platt-ce'
  const names = ['total', ...(gradient ? ['weightGradient', ...(platt ? ['logScale'] : [])] : [])]
  const shapes: Record<string, readonly number[]> = { total: [], weightGradient: [d, k], logScale: [1] }
  let sums: Record<string, DeviceArray> | undefined
  try {
    for (const part of parts) {
      const before: Record<string, Operand> = sums
        ? Object.fromEntries(Object.entries(sums).map(([name, array]) => [`${name}Before`, operandOf(what, array)]))
        : {}
      const inputs = { weights: operandOf(what, weights), realFeatures: part.features, realTargets: part.targets }
      const next = await runDirect(
        what,
        options,
        { ...inputs, ...scaleOperand(job), ...before },
        {
          into: {},
          key: { kind, gradient, rows: job.batch.features.shape[0], first: sums === undefined },
          build: (v) => {
            const value = partLoss(job, v, v.weights)
            const slopes = gradient ? grad(value, [v.weights, ...(platt ? [v.tau] : [])]) : []
            const own: Record<string, Value> = {
              total: value,
              ...(gradient && { weightGradient: slopes[0], ...(platt && { logScale: slopes[1] }) }),
            }
            const wide = names.map((name) => [name, cast(own[name], 'f64')] as const)
            return Object.fromEntries(wide.map(([name, one]) => [name, v[`${name}Before`] ? add(v[`${name}Before`], one) : one]))
          },
          outputs: Object.fromEntries(names.map((name) => [name, shapes[name]])),
          dtypes: Object.fromEntries(names.map((name) => [name, 'f64'])),
        },
      )
      disposeAll(sums ?? {}, {})
      sums = next
    }
    const { total, weightGradient, logScale } = sums as Record<string, DeviceArray>
    const value = await readScalar(total)
    if (!gradient) return { total: value, report }
    const inputs = { ...solveInputs(operands), cotangent: operandOf(what, weightGradient) }
    const gradients = await runDirect(what, options, inputs, {
      into,
      key: { ridge, route, part: 'gradient' },
      build: (v) => {
        const head = ridgeHead(v.phi, v.y, ridge, { route })
        const [features, targets] = grad(sum(mul(cast(head.weights, 'f64'), v.cotangent)), [v.phi, v.y])
        return { features, targets, finite: zeroOf([features, targets]) }
      },
      outputs: { features: operands.features.shape, targets: operands.targets.shape, finite: [] },
    })
    if (!logScale) return { total: value, report, gradients }
    const { logScale: _, ...rest } = sums as Record<string, DeviceArray>
    sums = rest
    return { total: value, report, gradients: { ...gradients, logScale } }
  } finally {
    weights.dispose()
    disposeAll(sums ?? {}, {})
  }
}

/** Weights on the device, and what was solved. */
async function solved(
  what: string,
  options: KernelRidgeOptions,
  operands: Operands,
): Promise<{ weights: DeviceArray; report: SolvedRidge }> {
  const { ridge = usualRidge, route = 'auto', into = {} } = options
  const [, d] = operands.features.shape
  const [, k] = operands.targets.shape
  checkRidge(`${what}: ridge`, ridge)
  const { weights, info } = await runDirect(what, options, solveInputs(operands), {
    into,
    key: { ridge, route },
    build: (v) => {
      const head = ridgeHead(v.phi, v.y, ridge, { route })
      return { weights: head.weights, info: head.info }
    },
    outputs: { weights: [d, k], info: [infoPlaces] },
    dtypes: { info: 'f64' },
  })
  try {
    return { weights, report: await checkedReport(what, info, operands) }
  } catch (error) {
    disposeAll({ weights }, into)
    throw error
  } finally {
    info.dispose()
  }
}

async function checkedReport(what: string, info: DeviceArray, { features, targets }: Operands): Promise<SolvedRidge> {
  const report = ridgeReport((await info.read()) as Float64Array)
  const [n] = features.shape
  const repeated = report.failedTries > 0 ? await repeatedIn(features) : undefined
  checkRidgeReport(what, report, n, repeated)
  if (!Number.isFinite(report.residual) && targets.shape[1] > 0)
    throw new AludelError(
      'not_finite',
      `${what}: expected finite targets but the solution is ${report.residual}; look for NaN or infinity in them`,
    )
  return repeated ? { ...report, repeated } : report
}

async function repeatedIn({ shape: [n, d], source }: Operand): Promise<number[][]> {
  if (!('data' in source)) return repeatedRows((await source.read()) as Float32Array, n, d)
  const { data, offset, stride } = source
  const dense = new Float32Array(n * d)
  const turn = new Turn()
  for (let row = 0; row < n; row++) {
    for (let i = 0; i < d; i++) dense[row * d + i] = data[offset + row * stride[0] + i * stride[1]]
    await turn.breathe()
  }
  return repeatedRows(dense, n, d)
}

function trainingOperands(what: string, features: ArrayInput, targets: ArrayInput): Operands {
  const operands = { features: operandOf(`${what}: features`, features), targets: operandOf(`${what}: targets`, targets) }
  checkPair(what, operands, ['n', 'd', 'k'])
  return operands
}

function realOperands(what: string, real: RidgeBatch, training: Operands): Operands {
  if (typeof real !== 'object' || real === null || !('features' in real) || !('targets' in real))
    throw expected('invalid_option', `${what}: real`, '{ features, targets } of real samples', real)
  const operands = {
    features: operandOf(`${what}: real.features`, real.features),
    targets: operandOf(`${what}: real.targets`, real.targets),
  }
  checkPair(`${what}: real`, operands, ['m', 'd', 'k'])
  for (const [name, { shape }] of Object.entries(operands)) {
    const wanted = training[name as keyof Operands].shape[1]
    if (shape[1] !== wanted) throw expected('invalid_shape', `${what}: real.${name}`, `[m,${wanted}]`, formatShape(shape))
  }
  return operands
}

function checkPair(what: string, { features, targets }: Operands, [rows, width, columns]: readonly string[]): void {
  for (const [name, { shape, dtype }] of Object.entries({ features, targets })) {
    const layout = `[${rows},${name === 'features' ? width : columns}]`
    if (dtype !== 'f32') throw expected('invalid_dtype', `${what}: ${name}`, 'float32', dtype, 'convert it first')
    if (shape.length !== 2 || shape.includes(0))
      throw expected('invalid_shape', `${what}: ${name}`, `${layout} without empty axes`, formatShape(shape))
  }
  if (targets.shape[0] !== features.shape[0])
    throw expected(
      'invalid_shape',
      `${what}: targets`,
      `[${features.shape[0]},${columns}], a row for each row of features`,
      formatShape(targets.shape),
    )
}

/** Stretches of rows; arrays of the device stay whole. */
function partsOf({ features, targets }: Operands, rows: number): Operands[] {
  const [m] = features.shape
  if (m <= rows || !('data' in features.source) || !('data' in targets.source)) return [{ features, targets }]
  const part = ({ shape, dtype, source }: Operand, from: number): Operand => {
    if (!('data' in source)) throw new AludelError('internal', 'a part of an array of the device')
    const { data, offset, stride } = source
    return { shape: [Math.min(rows, m - from), shape[1]], dtype, source: { data, offset: offset + from * stride[0], stride } }
  }
  return Array.from({ length: Math.ceil(m / rows) }, (_, i) => ({ features: part(features, i * rows), targets: part(targets, i * rows) }))
}
