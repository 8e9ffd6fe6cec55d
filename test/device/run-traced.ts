/** @file Compiles a traced function for a device, runs it on reference tensors and reads its results. */
import { type CompileOptions, compile } from '../../src/engine/compile/pipeline.js'
import type { Plan } from '../../src/engine/compile/program.js'
import { convert, type RefTensor, type Traced, type TypedArray } from '../../src/engine/index.js'
import type { DeviceArray } from '../../src/engine/runtime/array.js'
import type { Device } from '../../src/engine/runtime/device.js'

export interface Ran {
  readonly results: readonly TypedArray[]
  readonly plan: Plan
}

export async function runTraced(
  device: Device,
  traced: Traced,
  inputs: readonly RefTensor[],
  options: Omit<CompileOptions, 'isa'> = {},
): Promise<Ran> {
  const program = compile(traced, { ...options, isa: device.isa })
  const executable = device.load(program)
  const arrays: DeviceArray[] = []
  try {
    for (const { dtype, shape, slots } of program.arguments) arrays.push(device.array(dtype, slots > 0 ? [slots, ...shape] : shape))
    const writes = program.inputArguments.map((argument, i) => arrays[argument].write(convert(arrays[argument].dtype, inputs[i].data)))
    await Promise.all([...writes, executable.run(arrays)])
    const results = await Promise.all(program.outputArguments.map((argument) => arrays[argument].read()))
    return { results, plan: executable.plan }
  } finally {
    for (const array of arrays) array.dispose()
    executable.dispose()
  }
}
