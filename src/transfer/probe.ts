/** @file A linear classifier of frozen features with few labels: softmax regression with a penalty of the weights, by L-BFGS. */
import { allOrNothing } from '../engine/all-or-nothing.js'
import { bindProgram } from '../engine/bound-program.js'
import { add, grad, matmul, mean, mul, reshape, softmaxCe, square, sum } from '../engine/index.js'
import type { DeviceArray } from '../engine/runtime/array.js'
import type { Device } from '../engine/runtime/device.js'
import { type LbfgsOptions, minimise } from './lbfgs.js'
import type { ProbeSettings } from './settings.js'

export interface LinearClassifier {
  /** [features, classes] */
  readonly weights: Float32Array
  /** [classes] */
  readonly bias: Float32Array
}

export interface FitOptions extends Pick<ProbeSettings, 'iterations' | 'l2'>, Pick<LbfgsOptions, 'onIteration'> {
  readonly signal?: AbortSignal | undefined
}

/** Minimises mean cross-entropy + l2 sum(weights²) over `features` [rows, width] from zeros. */
export async function fitLinear(
  device: Device,
  features: Float32Array,
  width: number,
  labels: Int32Array,
  classes: number,
  { iterations, l2, signal, onIteration }: FitOptions,
): Promise<LinearClassifier> {
  const rows = labels.length
  const size = width * classes
  const { program, arrays } = prepareProbe(device, { features, labels, rows, width, classes, l2 })
  const evaluate = async (x: Float64Array) => {
    await Promise.all([
      arrays.weights.write(Float32Array.from(x.subarray(0, size))),
      arrays.bias.write(Float32Array.from(x.subarray(size))),
    ])
    await program.run(arrays, { ...(signal && { signal }) })
    const gradient = new Float64Array(x.length)
    gradient.set((await arrays.weightGradient.read()) as Float32Array)
    gradient.set((await arrays.biasGradient.read()) as Float32Array, size)
    return { value: ((await arrays.value.read()) as Float32Array)[0], gradient }
  }
  try {
    // values and gradients are float32: below that the search would follow rounding
    const { x } = await minimise(evaluate, new Float64Array(size + classes), { iterations, tolerance: 1e-5, onIteration })
    return { weights: Float32Array.from(x.subarray(0, size)), bias: Float32Array.from(x.subarray(size)) }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    program.dispose()
  }
}

export interface ProbeSizes {
  /** [rows, width] and [rows]; absent where the probe is only planned. */
  readonly features?: Float32Array
  readonly labels?: Int32Array
  readonly rows: number
  readonly width: number
  readonly classes: number
  readonly l2: number
}

/** The program of the value and its gradients, and its arrays. */
export const prepareProbe = (device: Device, { features, labels, rows, width, classes, l2 }: ProbeSizes) =>
  allOrNothing((own) => ({
    program: own(
      bindProgram(device, {
        inputs: {
          ...{ features: { shape: [1, rows, width] }, labels: { shape: [1, rows], dtype: 'i32' as const } },
          ...{ weights: { shape: [1, width, classes] }, bias: { shape: [1, 1, classes] } },
        },
        outputs: { value: {}, weightGradient: {}, biasGradient: {} },
        build(v) {
          const loss = mean(softmaxCe(add(matmul(v.features, v.weights), v.bias), v.labels).loss)
          const value = add(loss, mul(sum(square(v.weights)), l2))
          const [weightGradient, biasGradient] = grad(value, [v.weights, v.bias])
          return { value: reshape(value, [1]), weightGradient, biasGradient }
        },
      }),
    ),
    arrays: {
      features: own(device.array('f32', [1, rows, width], features)),
      labels: own(device.array('i32', [1, rows], labels)),
      weights: own(device.array('f32', [1, width, classes])),
      bias: own(device.array('f32', [1, 1, classes])),
      value: own(device.array('f32', [1])),
      weightGradient: own(device.array('f32', [1, width, classes])),
      biasGradient: own(device.array('f32', [1, 1, classes])),
    } as Record<string, DeviceArray>,
  }))
