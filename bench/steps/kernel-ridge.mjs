/**
 * @file A ridge regression as a step of KRR-ST solves it: 1,000 rows of 8,193 float32 features, 512 targets. Gram matrix, Cholesky factor and
 * solves, all float64. Value: ||M A - Y|| / ||Y||.
 */
import { bindProgram } from '../../dist/engine/bound-program.js'
import {
  add,
  cast,
  cholesky,
  choleskySolve,
  div,
  gram,
  matmul,
  mul,
  reshape,
  slice,
  sqrt,
  squaredNorm,
  sub,
  sum,
} from '../../dist/engine/index.js'
import { drawn } from './arrays.mjs'

const [n, d, k] = [1000, 8193, 512]

export function prepare(device) {
  const specs = { phi: { shape: [n, d] }, targets: { shape: [n, k] } }
  const system = (phi) => {
    const matrix = gram(phi)
    return { matrix, ridge: mul(sum(slice(reshape(matrix, [n * n]), [0], [n * n], [n + 1])), 1e-6) }
  }
  const program = bindProgram(device, {
    inputs: specs,
    outputs: { coefficients: {} },
    build({ phi, targets }) {
      const { matrix, ridge } = system(phi)
      return { coefficients: choleskySolve(cholesky(matrix, ridge).factor, cast(targets, 'f64')) }
    },
  })
  // Outside the timed program: what it solved, against the system.
  const check = bindProgram(device, {
    inputs: { ...specs, coefficients: { shape: [n, k], dtype: 'f64' } },
    outputs: { residual: {} },
    build({ phi, targets, coefficients }) {
      const { matrix, ridge } = system(phi)
      const y = cast(targets, 'f64')
      const left = sub(add(matmul(matrix, coefficients), mul(coefficients, ridge)), y)
      return { residual: sqrt(div(squaredNorm(left), squaredNorm(y))) }
    },
  })
  let arrays
  let residual
  return {
    plans: [program.plan],
    async step() {
      if (!arrays) {
        const inputs = { phi: await drawn(device, [n, d]), targets: await drawn(device, [n, k]) }
        arrays = { ...inputs, coefficients: device.array('f64', [n, k]) }
        await program.run(arrays)
        const value = device.array('f64', [])
        await check.run({ ...arrays, residual: value })
        residual = (await value.read())[0]
        value.dispose()
      }
      await program.run(arrays)
      return residual
    },
  }
}
