/** @file Runs a step graph on a device and reads everything it writes. */
import { type BoundProgramSpec, bindProgram } from '../../src/engine/bound-program.js'
import type { Plan } from '../../src/engine/compile/program.js'
import { spec, type TypedArray, trace, type Value } from '../../src/engine/index.js'
import type { DeviceArray } from '../../src/engine/runtime/array.js'
import type { Device } from '../../src/engine/runtime/device.js'
import type { StepGraph } from './step-graphs.js'

export interface StepRun {
  /** Outputs by name after the last replay; rings whole. */
  readonly results: Readonly<Record<string, TypedArray>>
  readonly plan: Plan
}

export interface StepRunOptions {
  readonly compile?: BoundProgramSpec['options']
  /** Replays of each call, one call after the other (default [1]). */
  readonly calls?: readonly number[]
  readonly startStep?: number
}

/** Types of the outputs, from a trace of their own. */
function outputTypes({ spec: { inputs, outputs, step, build } }: StepGraph) {
  const names = [...Object.keys(inputs), ...(step === undefined ? [] : [step])]
  const specs = names.map((name) => (name === step ? spec([1], 'u32') : spec(inputs[name].shape, inputs[name].dtype)))
  const traced = trace((...values) => {
    const results = build(Object.fromEntries(names.map((name, i) => [name, values[i] as Value])))
    return Object.keys(outputs).map((name) => results[name])
  }, specs)
  return Object.keys(outputs).map((name, i) => ({ name, ...outputs[name], type: traced.outputs[i] }))
}

export async function runStep(device: Device, graph: StepGraph, options: StepRunOptions = {}): Promise<StepRun> {
  const { spec: program, data } = graph
  const { calls = [1], startStep = 0, compile } = options
  const bound = bindProgram(device, { ...program, ...(compile && { options: compile }) })
  const arrays: Record<string, DeviceArray> = {}
  try {
    for (const [name, { shape, dtype = 'f32', slots }] of Object.entries(program.inputs)) {
      arrays[name] = device.array(dtype, slots ? [slots.count, ...shape] : shape, data[name])
    }
    const outputs = outputTypes(graph)
    for (const { name, donate, slots, type } of outputs) {
      if (donate === undefined) arrays[name] = device.array(type.dtype, slots ? [slots.count, ...type.shape] : type.shape)
    }
    let step = startStep
    for (const n of calls) {
      await bound.run(arrays, { n, startStep: step })
      step += n
    }
    const read = outputs.map(async ({ name, donate }) => [name, await arrays[donate ?? name].read()] as const)
    return { results: Object.fromEntries(await Promise.all(read)), plan: bound.plan }
  } finally {
    for (const array of Object.values(arrays)) array.dispose()
    bound.dispose()
  }
}
