/** @file The program that looks at a real batch: every sample's features under the step's network, and its treatment effect. */
import { type BoundProgram, bindProgram } from '../../engine/bound-program.js'
import {
  div,
  gather,
  greater,
  mul,
  randomUniform,
  reshape,
  select,
  spec,
  sqrt,
  square,
  sum,
  trace,
  type Value,
} from '../../engine/index.js'
import type { Device } from '../../engine/runtime/device.js'
import { purpose } from '../../engine/tensor/key.js'
import { batchesOf, batchInputs, featuresKey, type StepShape, viewOf } from '../matching-step.js'
import type { LossMethod } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import { treatmentEffects } from './treatment-effect.js'

export interface LookProgram {
  readonly program: BoundProgram
  /** Widths of the features that it puts out, [realRows, width] each. */
  readonly widths: readonly number[]
}

/**
 * Inputs as the step's without `velocity`, and `picked`, i32 [probes * classes], the synthetic image of class c that probe p moves in place
 * p * classes + c, with `pickedClass`, its class. Outputs `effects` [realRows] and the features.
 */
export function buildLook(
  device: Device,
  settings: ResolvedSettings & { readonly method: LossMethod },
  probes: number,
  shape: StepShape,
): LookProgram {
  const { method, methodOptions, network, ipc } = settings
  const { classes, image, realRows } = shape
  const probed = [probes * classes, ...image]
  const inputs = {
    ...batchInputs(settings, shape),
    picked: { shape: [probes * classes], dtype: 'i32' as const },
    pickedClass: { shape: [probes * classes], dtype: 'i32' as const },
  }
  const look = (v: Readonly<Record<string, Value>>) => {
    const context = { network, key: v.key, step: v.step, classes, ...batchesOf(v, shape) }
    const pixels = gather(v.images, v.picked)
    const batch = { images: viewOf(v)(pixels, v.pickedClass), classIndex: v.pickedClass, counts: v.syntheticCounts }
    const coin = greater(randomUniform(v.key, v.step, probed, purpose.score), 0.5)
    return treatmentEffects(method, methodOptions, context, { probes: { pixels, batch, directions: select(coin, 1, -1) }, ipc })
  }
  const widths = featureWidths(inputs, look)
  const outputs = ['effects', ...widths.map((_, i) => featuresKey(i))]
  const program = bindProgram<string, string, string>(device, {
    inputs,
    outputs: Object.fromEntries(outputs.map((name) => [name, {}])),
    step: 'step',
    build(v) {
      const { along, features } = look(v)
      // One image of `ipc` was moved: the others' share of the squared length is as large on average.
      const squared = div(mul(sum(square(along), { axes: [2] }), ipc), probes)
      return { effects: reshape(sqrt(squared), [realRows]), ...Object.fromEntries(features.map((f, i) => [featuresKey(i), f])) }
    },
  })
  return { program, widths }
}

/** What the loss reads is known only once it is traced. */
function featureWidths(
  inputs: ReturnType<typeof batchInputs>,
  look: (v: Readonly<Record<string, Value>>) => { readonly features: readonly Value[] },
): number[] {
  const names = [...Object.keys(inputs), 'step']
  const specs = [...Object.values(inputs).map(({ shape, dtype = 'f32' }) => spec(shape, dtype)), spec([1], 'u32')]
  let widths: number[] = []
  trace((...values: Value[]) => {
    const { features } = look(Object.fromEntries(values.map((value, i) => [names[i], value])))
    widths = features.map(({ shape: [, width] }) => width)
    return features
  }, specs)
  return widths
}
