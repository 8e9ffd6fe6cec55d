/** @file kernelRidge on arrays against the golden vectors: whole and in parts, views, both routes, and what is refused. */
import { readFileSync } from 'node:fs'
import ndarray from 'ndarray'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { kernelRidge } from '../../src/direct/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { Ridge, RidgeLoss } from '../../src/ridge/index.js'

interface Tensor {
  readonly shape: readonly [number, number]
  readonly data: readonly number[]
}
type Named<N extends string> = Readonly<Record<N, Tensor>>
interface GoldenCase {
  readonly params: Readonly<Record<string, string | number | boolean>>
  readonly inputs: Named<'phi_s' | 'phi_t' | 'y_s' | 'y_t'>
  readonly outputs: Named<'d_phi_s' | 'd_y_s'> & { readonly loss: number; readonly lambda: number; readonly d_logk?: number }
}

const scales: Readonly<Record<string, Ridge['scale']>> = { trace: 'trace', mean_trace: 'meanTrace', absolute: 'absolute' }
const losses: Readonly<Record<string, RidgeLoss>> = { mse_mean: 'mse', half_mse_mean: 'half-mse', platt_ce: 'platt-ce' }

/** K = s phi phi^T + o is the Gram matrix of [sqrt(s) phi, sqrt(o)]. */
function load(name: string) {
  const golden: GoldenCase = JSON.parse(readFileSync(new URL(`../golden/data/krr/${name}.json`, import.meta.url), 'utf8'))
  const { params, inputs, outputs } = golden
  const scale = Math.sqrt(Number(params.kernel_scale))
  const offset = Math.sqrt(Number(params.kernel_offset))
  const extended = ({ shape: [rows, d], data }: Tensor) => {
    const width = offset > 0 ? d + 1 : d
    const values = Float32Array.from({ length: rows * width }, (_, i) => {
      const [row, column] = [Math.floor(i / width), i % width]
      return column === d ? offset : scale * data[row * d + column]
    })
    return { data: values, shape: [rows, width] }
  }
  // cross-entropy takes one-hot rows, the vectors have centred ones
  const shift = params.loss === 'platt_ce' ? 1 / inputs.y_t.shape[1] : 0
  const dense = ({ shape, data }: Tensor, plus = 0) => ({ data: Float32Array.from(data, (x) => x + plus), shape })
  const ridge: Ridge = { c: Number(params.ridge_c), scale: scales[String(params.ridge_mode)], detach: params.ridge_detached === true }
  return {
    ...{ ridge, scale, loss: losses[String(params.loss)], logScale: Number(params.log_platt), outputs },
    ...{ features: extended(inputs.phi_s), targets: dense(inputs.y_s) },
    real: { features: extended(inputs.phi_t), targets: dense(inputs.y_t, shift) },
  }
}

/** Largest difference, of the largest number. */
function relative(received: ArrayLike<number>, wanted: readonly number[]): number {
  expect(received.length).toBe(wanted.length)
  const largest = wanted.reduce((most, value) => Math.max(most, Math.abs(value)), 0)
  return wanted.reduce((most, value, i) => Math.max(most, Math.abs(received[i] - value)), 0) / largest
}

/** Columns of the golden features, without the one that stands for an offset. */
const withoutOffset = (gradient: Float32Array, [rows, width]: readonly number[], columns: number) =>
  Array.from({ length: rows * columns }, (_, i) => gradient[Math.floor(i / columns) * width + (i % columns)])

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

// Well conditioned ones: float32 features move the others by more than float32 does.
const wellPosed = ['krr_ridge_1_trace', 'krr_ridge_1e-2_absolute', 'krr_rfad_mse_jit_5e-3', 'krr_rfad_platt']

describe.each(wellPosed)('%s', (name) => {
  it.each([
    ['at once', {}],
    ['in parts of 2 real rows', { batchRows: 2 }],
    ['by the primal route', { route: 'primal' as const }],
  ])('has the golden loss and gradients %s', async (_, options) => {
    const { features, targets, real, ridge, loss, logScale, scale, outputs } = load(name)
    const result = await kernelRidge.loss(features, targets, real, { device, ridge, loss, logScale, gradient: true, ...options })
    expect(result.loss).toBeCloseTo(outputs.loss, 5)
    expect(result.report.ridge / outputs.lambda).toBeCloseTo(1, 5)
    expect(result.report).not.toHaveProperty('repeated')
    const [, d] = outputs.d_phi_s.shape
    const inner = withoutOffset(result.gradient.features, features.shape, d).map((x) => x * scale)
    expect(relative(inner, outputs.d_phi_s.data)).toBeLessThan(1e-4)
    expect(relative(result.gradient.targets, outputs.d_y_s.data)).toBeLessThan(1e-4)
    if (outputs.d_logk !== undefined) expect(result.gradient.logScale).toBeCloseTo(outputs.d_logk, 5)
    else expect(result.gradient.logScale).toBe(0)
  })

  it('takes ndarrays, and has the same bits', async () => {
    const { features, targets, real, ridge, loss, logScale } = load(name)
    const settings = { device, ridge, loss, logScale, gradient: true as const }
    const plain = await kernelRidge.loss(features, targets, real, settings)
    const transposed = ({ data, shape: [rows, columns] }: { data: Float32Array; shape: readonly number[] }) => {
      const turned = Float32Array.from({ length: data.length }, (_, i) => data[(i % rows) * columns + Math.floor(i / rows)])
      return ndarray(turned, [columns, rows]).transpose(1, 0)
    }
    const views = { features: transposed(real.features), targets: transposed(real.targets) }
    const viewed = await kernelRidge.loss(transposed(features), transposed(targets), views, settings)
    expect(viewed).toEqual(plain)
  })
})

describe('solve', () => {
  it('gives the weights that predict the targets, on both routes', async () => {
    const { features, targets, ridge } = load('krr_ridge_1e-2_absolute')
    const dual = await kernelRidge.solve(features, targets, { device, ridge, route: 'dual' })
    const primal = await kernelRidge.solve(features, targets, { device, ridge, route: 'primal' })
    expect(relative(dual.weights, [...primal.weights])).toBeLessThan(1e-5)
    expect(dual.report.condition).toBeGreaterThan(1)
    expect(dual.report.residual).toBeLessThan(1e-10)
  })

  it('leaves weights on the device, and writes into an array', async () => {
    const { features, targets, ridge } = load('krr_ridge_1_trace')
    const { weights } = await kernelRidge.solve(features, targets, { device, ridge })
    const into = { weights: device.array('f32', [features.shape[1], targets.shape[1]]) }
    const { weights: own } = await kernelRidge.solve(features, targets, { device, ridge, into })
    expect(own).toBe(into.weights)
    expect(await own.read()).toEqual(weights)
    own.dispose()
  })

  it.each([1e-30, 1e-20, 1e20, 1e30])('regularises features of %s, whose squares float32 does not hold', async (scale) => {
    const { features, targets } = load('krr_ridge_1_trace')
    const ridge: Ridge = { c: 0.1, scale: 'trace', detach: true }
    const scaled = { ...features, data: features.data.map((x) => x * scale) }
    const usual = await kernelRidge.solve(features, targets, { device, ridge })
    for (const detach of [true, false]) {
      const { weights, report } = await kernelRidge.solve(scaled, targets, { device, ridge: { ...ridge, detach } })
      expect(report.share).toBeCloseTo(0.1, 12)
      expect(
        relative(
          weights.map((x) => x * scale),
          [...usual.weights],
        ),
      ).toBeLessThan(1e-5)
    }
  })

  it('names equal rows where a larger ridge was needed', async () => {
    const features = { data: Float32Array.of(3e15, 1, 2, 3e15, 1, 2, 1, 0, 5), shape: [3, 3] }
    const { report } = await kernelRidge
      .solve(
        features,
        { data: new Float32Array(3), shape: [3, 1] },
        {
          ...{ device, route: 'dual' },
          ridge: { c: 1e-3, scale: 'absolute', detach: true },
        },
      )
      .catch((error) => ({ report: error }))
    expect(JSON.stringify(report.repeated ?? report.message)).toMatch(/\[0,1\]|rows 0 and 1/)
  })
})

describe('refuses', () => {
  const base = () => load('krr_ridge_1_trace')
  it.each<[string, (input: ReturnType<typeof base>) => Promise<unknown>, string, RegExp]>([
    [
      'no ridge',
      ({ features, targets }) => kernelRidge.solve(features, targets, { device, ridge: { c: 0, scale: 'trace', detach: true } }),
      'invalid_option',
      /c/,
    ],
    ['features of one axis', ({ targets }) => kernelRidge.solve(new Float32Array(4), targets, { device }), 'invalid_shape', /\[n,d\]/],
    [
      'other rows in the targets',
      ({ features }) => kernelRidge.solve(features, { data: new Float32Array(2), shape: [2, 1] }, { device }),
      'invalid_shape',
      /a row for each row/,
    ],
    [
      'real features of another width',
      ({ features, targets, real }) =>
        kernelRidge.loss(
          features,
          targets,
          { ...real, features: { data: new Float32Array(real.targets.shape[0]), shape: [real.targets.shape[0], 1] } },
          { device },
        ),
      'invalid_shape',
      /real.features/,
    ],
    [
      'a loss that is none',
      ({ features, targets, real }) => kernelRidge.loss(features, targets, real, { device, loss: 'l1' as never }),
      'invalid_option',
      /loss/,
    ],
    [
      'class indices for features',
      ({ targets }) => kernelRidge.solve({ data: new Int32Array(targets.shape[0]), shape: [targets.shape[0], 1] }, targets, { device }),
      'invalid_dtype',
      /float32/,
    ],
    [
      'a temperature that nothing learns by',
      ({ features, targets, real }) => kernelRidge.loss(features, targets, real, { device, logScale: 3 }),
      'invalid_option',
      /logScale: expected 0 without the loss 'platt-ce' but received 3/,
    ],
    [
      'one array for both gradients',
      ({ features, targets, real }) => {
        const one = device.array('f32', features.shape)
        return kernelRidge.loss(features, targets, real, { device, gradient: true, into: { features: one, targets: one } })
      },
      'invalid_option',
      /into\.targets: expected another array than that of into\.features/,
    ],
  ])('%s', async (_, call, code, message) => {
    await expect(call(base())).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it.each(['features', 'targets'] as const)('NaN in %s, as not_finite', async (place) => {
    const input = base()
    input[place].data[1] = Number.NaN
    await expect(kernelRidge.solve(input.features, input.targets, { device })).rejects.toMatchObject({ code: 'not_finite' })
    await expect(kernelRidge.loss(input.features, input.targets, input.real, { device })).rejects.toMatchObject({ code: 'not_finite' })
  })

  it.each([4096, 1])('gradients beyond float32, in parts of %s rows', async (batchRows) => {
    const { features, targets, real } = base()
    const small = ({ data, shape }: typeof features) => ({ data: data.map((x) => x * 1e-20), shape })
    const batch = { features: small(real.features), targets: real.targets }
    const ridge: Ridge = { c: 1e-6, scale: 'trace', detach: true }
    const options = { device, ridge, route: 'dual', batchRows } as const
    expect((await kernelRidge.loss(small(features), targets, batch, options)).loss).toBeLessThan(1e3)
    await expect(kernelRidge.loss(small(features), targets, batch, { ...options, gradient: true })).rejects.toMatchObject({
      code: 'not_finite',
      message: expect.stringMatching(/gradients.*beyond float32/),
    })
  })

  it('NaN in real samples, as not_finite', async () => {
    const { features, targets, real } = base()
    real.features.data[0] = Number.NaN
    await expect(kernelRidge.loss(features, targets, real, { device, gradient: true })).rejects.toMatchObject({ code: 'not_finite' })
    await expect(kernelRidge.loss(features, targets, real, { device, batchRows: 1 })).rejects.toMatchObject({ code: 'not_finite' })
  })
})
