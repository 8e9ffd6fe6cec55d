/** @file A compiled step with named inputs and outputs: traces, compiles and loads once, then binds arrays by name at each run. */
import { checkDevice, checkOptions, isRecord } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { type CompileOptions, compile } from './compile/pipeline.js'
import type { Isa, Plan } from './compile/program.js'
import type { Value } from './graph/node.js'
import type { DeviceArray } from './runtime/array.js'
import type { Device } from './runtime/device.js'
import type { Executable, RunOptions } from './runtime/executable.js'
import type { DType } from './tensor/dtype.js'
import type { Shape } from './tensor/shape.js'
import { trace } from './trace/trace.js'

export interface NamedInput {
  readonly shape: Shape
  /** Default 'f32'. */
  readonly dtype?: DType
  /** The bound array has shape [slots, ...shape] and replay `step` reads row (step * mul + add) mod slots. */
  readonly slots?: { readonly count: number; readonly mul?: number; readonly add?: number }
}

export interface NamedOutput {
  /** Written into the buffer of this input. */
  readonly donate?: string
  readonly slots?: { readonly count: number; readonly mul?: number; readonly add?: number }
}

export interface BoundProgramSpec {
  readonly inputs: Readonly<Record<string, NamedInput>>
  readonly outputs: Readonly<Record<string, NamedOutput>>
  /** Name under which `build` receives the replay index, u32 [1]. */
  readonly step?: string
  readonly build: (inputs: Readonly<Record<string, Value>>) => Readonly<Record<string, Value>>
  readonly options?: Pick<CompileOptions, 'winograd' | 'slicing' | 'memoryBudget'>
}

export interface BoundProgram {
  readonly plan: Plan
  /** Replays once, or `n` times from `startStep`; `arrays` holds every input and every output that is not donated, by name. */
  run(arrays: Readonly<Record<string, DeviceArray>>, options?: RunOptions & { n?: number; startStep?: number }): Promise<void>
  dispose(): void
}

export function bindProgram(device: Device, spec: BoundProgramSpec): BoundProgram {
  checkDevice('bindProgram', device)
  checkSpec(spec)
  const inputNames = Object.keys(spec.inputs)
  const outputNames = Object.keys(spec.outputs)
  checkNames(spec)
  const specs = inputNames.map((name) => ({ shape: spec.inputs[name].shape, dtype: spec.inputs[name].dtype ?? ('f32' as DType) }))
  if (spec.step !== undefined) specs.push({ shape: [1], dtype: 'u32' })
  const traced = trace((...values: Value[]) => {
    const results = spec.build(Object.fromEntries(values.map((value, i) => [inputNames[i] ?? spec.step, value])))
    return outputNames.map((name) => {
      if (results[name] === undefined) throw new AludelError('internal', `program output '${name}' was not built`)
      return results[name]
    })
  }, specs)
  const slotsOf = (entries: readonly (NamedInput | NamedOutput)[]) =>
    Object.fromEntries(
      entries.flatMap(({ slots }, i) => (slots ? [[i, { count: slots.count, mul: slots.mul ?? 1, add: slots.add ?? 0 }]] : [])),
    )
  const donate = Object.fromEntries(
    outputNames.flatMap((name, i) => (spec.outputs[name].donate === undefined ? [] : [[i, inputNames.indexOf(spec.outputs[name].donate)]])),
  )
  const program = compile(traced, {
    ...spec.options,
    isa: device.isa as Isa,
    donate,
    slots: { inputs: slotsOf(inputNames.map((n) => spec.inputs[n])), outputs: slotsOf(outputNames.map((n) => spec.outputs[n])) },
    ...(spec.step === undefined ? {} : { stepInput: inputNames.length }),
    names: [...inputNames, ...outputNames.filter((n) => spec.outputs[n].donate === undefined)],
  })
  const executable: Executable = device.load(program)
  const order = program.arguments.map((argument) => argument.name)
  return {
    plan: program.plan,
    run(arrays, options = {}) {
      const args = order.map((name) => {
        if (arrays[name] === undefined)
          throw new AludelError('invalid_option', `program run: expected an array for '${name}' but received none`)
        return arrays[name]
      })
      const { n = 1, startStep = 0, ...rest } = options
      return executable.repeat(n, args, { ...rest, startStep })
    },
    dispose: () => executable.dispose(),
  }
}

function checkSpec(spec: BoundProgramSpec): void {
  checkOptions('bindProgram', spec, { inputs: true, outputs: true, step: true, build: true, options: true })
  for (const list of ['inputs', 'outputs'] as const) {
    if (!isRecord(spec[list]) || !Object.values(spec[list]).every(isRecord)) {
      throw expected('invalid_option', `bindProgram: ${list}`, 'an object of specifications by name', spec[list])
    }
  }
  if (typeof spec.build !== 'function') throw expected('invalid_option', 'bindProgram: build', 'a function', spec.build)
}

/** One name is one array: an output may share an input's name only when it is written into that input. */
function checkNames({ inputs, outputs, step }: BoundProgramSpec): void {
  for (const [name, { donate }] of Object.entries(outputs)) {
    if (donate !== undefined && !Object.hasOwn(inputs, donate))
      throw expected('invalid_option', `output '${name}': donate`, 'the name of an input', donate)
    if (donate !== name && Object.hasOwn(inputs, name)) {
      throw expected('invalid_option', `output '${name}'`, 'a name that no input has, or donate to that input', name)
    }
  }
  if (step !== undefined && Object.hasOwn(inputs, step)) throw expected('invalid_option', 'step', 'a name that no input has', step)
}
