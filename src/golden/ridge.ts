/** @file Replays of ridge regressions: coefficients, predictions, losses and gradients, by every route that there is. */
import { add, concat, full, grad, gram, matmul, mul, type Value } from '../engine/index.js'
import { kernelRidgeSolve, type Ridge, type RidgeLoss, ridgeHead, ridgeLoss } from '../ridge/index.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, Inputs } from './engines.js'
import { fieldAt, numberAt, scalarTensor, tensorAt } from './fields.js'

export const isRidge = (golden: GoldenCase): boolean => fieldAt(golden, 'kind') === 'krr'

const scales: Readonly<Record<string, Ridge['scale']>> = { trace: 'trace', mean_trace: 'meanTrace', absolute: 'absolute' }
const losses: Readonly<Record<string, RidgeLoss>> = {
  mse_mean: 'mse',
  half_mse_mean: 'half-mse',
  half_sum_k_mean_m: 'half-squares',
  platt_ce: 'platt-ce',
}

const matrices = ['phi_s', 'phi_t', 'y_s', 'y_t'] as const
const gradients = ['d_phi_s', 'd_phi_t', 'd_y_s', 'd_logk'] as const

/** K = scale phi phi^T + offset, as features: a factor, and a constant column. */
function scaled(phi: Value, scale: number, offset: number): Value {
  const factor = scale === 1 ? phi : mul(phi, Math.sqrt(scale))
  return offset === 0 ? factor : concat([factor, full([phi.shape[0], 1], Math.sqrt(offset), phi.dtype, phi.node.graph)], 1)
}

/** float64 throughout, as ridge regression is in the product too; each case brings its tolerance. */
export async function replayRidge(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  const tolerance = numberAt(golden, 'tolerance_hint', 'float64')
  const parameter = (name: string) => numberAt(golden, 'params', name)
  const [scale, offset] = [parameter('kernel_scale'), parameter('kernel_offset')]
  const ridge: Ridge = {
    c: parameter('ridge_c'),
    scale: scales[String(fieldAt(golden, 'params', 'ridge_mode'))],
    detach: fieldAt(golden, 'params', 'ridge_detached') === true,
  }
  const loss = losses[String(fieldAt(golden, 'params', 'loss'))]
  const platt = loss === 'platt-ce'
  const inputs: Inputs = {
    ...Object.fromEntries(matrices.map((name) => [name, { ...tensorAt(golden, 2, 'inputs', name), dtype: 'f64' as const }])),
    ...(platt && { logk: { ...scalarTensor(parameter('log_platt')), dtype: 'f64' as const } }),
  }
  const solve = {
    dual: (phi: Value, real: Value, y: Value) => {
      const { weights, coefficients, info } = ridgeHead(phi, y, ridge, { route: 'dual' })
      return { A: coefficients as Value, P: matmul(real, weights), info }
    },
    primal(phi: Value, real: Value, y: Value) {
      const { weights, info } = ridgeHead(phi, y, ridge, { route: 'primal' })
      return { P: matmul(real, weights), info }
    },
    kernel(phi: Value, real: Value, y: Value) {
      const { coefficients, info } = kernelRidgeSolve(gram(phi), y, ridge)
      return { A: coefficients, P: matmul(matmul(real, phi, { transposeB: true }), coefficients), info }
    },
  }
  const [n, d] = inputs.phi_s.shape
  for (const [route, of] of Object.entries(solve)) {
    // Where features are more than rows, the primal system is far worse than the one that the tolerance is of.
    if (route === 'primal' && d > n) continue
    const results = await engine.run((v) => {
      const solved = of(scaled(v.phi_s, scale, offset), scaled(v.phi_t, scale, offset), v.y_s)
      // Labels are centred one-hot rows: the cross-entropy takes them as they were.
      const total = ridgeLoss(solved.P, platt ? add(v.y_t, 1 / v.y_t.shape[1]) : v.y_t, loss, { logScale: v.logk })
      const wrt = [v.phi_s, v.phi_t, v.y_s, ...(platt ? [v.logk] : [])]
      const found = grad(total, wrt)
      return { ...solved, loss: total, ...Object.fromEntries(found.map((g, i) => [gradients[i], g])) }
    }, inputs)
    const { info, ...tensors } = results
    const wanted = (name: string) => {
      const value = fieldAt(golden, 'outputs', name)
      return typeof value === 'number' ? scalarTensor(value) : tensorAt(golden, 2, 'outputs', name)
    }
    for (const [name, tensor] of Object.entries(tensors)) checks.add(`${route}.${name}`, tolerance, tensor, wanted(name))
    checks.add(`${route}.lambda`, tolerance, scalarTensor(info.data[0]), wanted('lambda'))
    checks.add(`${route}.tries`, 'exact', scalarTensor(info.data[4]), scalarTensor(0))
  }
  return checks.checks
}
