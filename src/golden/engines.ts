/** @file The two engines that replay a case: the float64 interpreter (the mathematics) and the compiled float32 program (the product). */
import { bindProgram } from '../engine/bound-program.js'
import { interpret, spec, trace, type Value } from '../engine/index.js'
import type { Device } from '../engine/runtime/device.js'
import { convert, type DType } from '../engine/tensor/dtype.js'
import type { EngineName } from './compare.js'
import type { GoldenTensor } from './tensor.js'

export interface GoldenInput extends GoldenTensor {
  /** Default 'f32'. */
  readonly dtype?: DType
}

export type Inputs = Readonly<Record<string, GoldenInput>>
export type Build = (values: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>

export interface GoldenEngine {
  readonly name: EngineName
  /** Where it computes; absent for the interpreter. */
  readonly device?: Device
  /** Traces `build` over the inputs, runs it once, and returns its results by name. */
  run(build: Build, inputs: Inputs): Promise<Record<string, GoldenTensor>>
}

function traceNamed(build: Build, inputs: Inputs) {
  const inputNames = Object.keys(inputs)
  let outputNames: string[] = []
  const traced = trace(
    (...values: Value[]) => {
      const built = build(Object.fromEntries(values.map((value, i) => [inputNames[i], value])))
      outputNames = Object.keys(built)
      return Object.values(built)
    },
    inputNames.map((name) => spec(inputs[name].shape, inputs[name].dtype ?? 'f32')),
  )
  return { traced, outputNames }
}

export const float64Engine: GoldenEngine = {
  name: 'f64',
  async run(build, inputs) {
    const { traced, outputNames } = traceNamed(build, inputs)
    const results = interpret(traced, Object.values(inputs))
    return Object.fromEntries(results.map((result, i) => [outputNames[i], result]))
  },
}

/** The compiled program on `device`, which stays the caller's. */
export function float32Engine(device: Device): GoldenEngine {
  return {
    name: 'f32',
    device,
    async run(build, inputs) {
      const { traced, outputNames } = traceNamed(build, inputs)
      // A result may have the name of an input; bound arrays may not.
      const outputKey = (i: number) => `result.${i}`
      const program = bindProgram(device, {
        inputs: Object.fromEntries(Object.entries(inputs).map(([name, { shape, dtype = 'f32' }]) => [name, { shape, dtype }])),
        outputs: Object.fromEntries(outputNames.map((_, i) => [outputKey(i), {}])),
        build: (values) => Object.fromEntries(Object.values(build(values)).map((value, i) => [outputKey(i), value])),
      })
      const outputs = traced.outputs.map(({ shape, dtype }) => device.array(dtype, shape))
      const bound = Object.entries(inputs).map(
        ([name, { shape, data, dtype = 'f32' }]) => [name, device.array(dtype, shape, convert(dtype, data))] as const,
      )
      try {
        await program.run(Object.fromEntries([...bound, ...outputs.map((array, i) => [outputKey(i), array] as const)]))
        const read = await Promise.all(outputs.map((array) => array.read()))
        return Object.fromEntries(read.map((data, i) => [outputNames[i], { shape: outputs[i].shape, data: Float64Array.from(data) }]))
      } finally {
        for (const array of [...outputs, ...bound.map(([, array]) => array)]) array.dispose()
        program.dispose()
      }
    },
  }
}
