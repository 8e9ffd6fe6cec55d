/** @file Losses of a ridge regression's predictions: only the gradient with respect to them differs from one to the next. */
import { cast, div, exp, logSumExp, mean, mul, square, sub, sum, type Value } from '../engine/index.js'
import { formatShape } from '../engine/tensor/shape.js'
import { expected } from '../errors.js'

/**
 * With E = P - Y of m rows and k columns: 'mse' sum(E^2) / (m k) (KRR-ST); 'half-mse' half of it (KIP, RFAD); 'half-squares' sum(E^2) / (2 m)
 * (FRePo); 'platt-ce' the mean cross-entropy of the logits exp(tau) P against Y, tau learned (RFAD); { ce: tau } that of P / tau, tau > 0 fixed.
 */
export type RidgeLoss = 'mse' | 'half-mse' | 'half-squares' | 'platt-ce' | { readonly ce: number }

const named = ['mse', 'half-mse', 'half-squares', 'platt-ce']

/** Throws `invalid_option` naming what the loss is of. */
export function checkRidgeLoss(what: string, loss: RidgeLoss): void {
  if (typeof loss === 'string' && named.includes(loss)) return
  const ce = typeof loss === 'object' && loss !== null ? loss.ce : undefined
  if (!(typeof ce === 'number' && Number.isFinite(ce) && ce > 0))
    throw expected('invalid_option', what, `${named.join(', ')}, or { ce: a temperature above 0 }`, loss)
}

/**
 * The loss f64 `[]` of predictions and targets `[m,k]`, f32 or f64, as a part of `rows` rows (default m): parts of a batch add up. Targets of a
 * cross-entropy are rows of weights, one-hot for labels. `logScale` is tau of 'platt-ce', `[]`.
 */
export function ridgeLoss(prediction: Value, targets: Value, loss: RidgeLoss, options: { logScale?: Value; rows?: number } = {}): Value {
  checkRidgeLoss('ridgeLoss', loss)
  const [m, k] = prediction.shape
  if (formatShape(targets.shape) !== formatShape(prediction.shape))
    throw expected('invalid_shape', 'ridgeLoss: targets', formatShape(prediction.shape), formatShape(targets.shape))
  const { logScale, rows = m } = options
  const [p, y] = [prediction, targets].map((v) => cast(v, 'f64'))
  const share = m / rows
  if (typeof loss === 'object' || loss === 'platt-ce') {
    if (loss === 'platt-ce' && !logScale)
      throw expected('invalid_option', "ridgeLoss: 'platt-ce'", 'logScale, the logarithm of the scale', 'none')
    const scale = logScale && exp(cast(logScale, 'f64'))
    const logits = typeof loss === 'object' ? div(p, loss.ce) : mul(p, scale as Value)
    const entropy = sub(mul(sum(y, { axes: [1] }), logSumExp(logits)), sum(mul(y, logits), { axes: [1] }))
    return mul(mean(entropy), share)
  }
  const squares = sum(square(sub(p, y)))
  const divisor = loss === 'mse' ? rows * k : loss === 'half-mse' ? 2 * rows * k : 2 * rows
  return div(squares, divisor)
}
