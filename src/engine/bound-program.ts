/** @file A compiled step with named inputs and outputs: traces, compiles and loads once, then binds arrays by name at each run. */
import { checkDevice, checkOptions, isRecord } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { type CompileOptions, compile } from './compile/pipeline.js'
import type { Plan } from './compile/program.js'
import type { Value } from './graph/node.js'
import type { DeviceArray } from './runtime/array.js'
import type { Device } from './runtime/device.js'
import type { RunOptions } from './runtime/executable.js'
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

/** `I`, `O` and `S` are the names of inputs, outputs and step: `build` is checked against them where they are known. */
export interface BoundProgramSpec<I extends string = string, O extends string = string, S extends string = string> {
  readonly inputs: Readonly<Record<I, NamedInput>>
  readonly outputs: Readonly<Record<O, NamedOutput>>
  /** Name under which `build` receives the replay index, u32 [1]. */
  readonly step?: S
  readonly build: (inputs: Readonly<Record<I | S, Value>>) => Readonly<Record<O, Value>>
  readonly options?: Pick<CompileOptions, 'winograd' | 'slicing' | 'memoryBudget' | 'windows'>
}

export interface BoundProgram {
  readonly plan: Plan
  /** Replays once, or `n` times from `startStep`; `arrays` holds every input and every output that is not donated, by name. */
  run(arrays: Readonly<Record<string, DeviceArray>>, options?: RunOptions & { n?: number; startStep?: number }): Promise<void>
  dispose(): void
}

/**
 * Traces `build`, compiles it for the device and loads it.
 * @throws AludelError `invalid_option` for a specification that is none or a `build` that leaves an output out; what tracing, compiling
 * and loading throw: `invalid_shape`, `invalid_dtype`, `out_of_memory`.
 */
export function bindProgram<I extends string, O extends string, S extends string = never>(
  device: Device,
  given: BoundProgramSpec<I, O, S>,
): BoundProgram {
  checkDevice('bindProgram', device)
  const spec: BoundProgramSpec = given
  checkSpec(spec)
  const inputNames = Object.keys(spec.inputs)
  const outputNames = Object.keys(spec.outputs)
  checkNames(spec)
  const specs = inputNames.map((name) => ({ shape: spec.inputs[name].shape, dtype: spec.inputs[name].dtype ?? ('f32' as DType) }))
  if (spec.step !== undefined) specs.push({ shape: [1], dtype: 'u32' })
  const traced = trace((...values: Value[]) => {
    const results = spec.build(Object.fromEntries(values.map((value, i) => [inputNames[i] ?? spec.step, value])))
    if (!isRecord(results)) throw expected('invalid_option', 'bindProgram: build', 'a function that returns values by name', results)
    return outputNames.map((name) => {
      if (results[name] !== undefined) return results[name]
      throw expected('invalid_option', 'bindProgram: build', `a value for output '${name}'`, Object.keys(results))
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
    isa: device.isa,
    precision: device.precision,
    donate,
    slots: { inputs: slotsOf(inputNames.map((n) => spec.inputs[n])), outputs: slotsOf(outputNames.map((n) => spec.outputs[n])) },
    ...(spec.step === undefined ? {} : { stepInput: inputNames.length }),
    names: [...inputNames, ...outputNames.filter((n) => spec.outputs[n].donate === undefined)],
  })
  const executable = device.load(program)
  const order = program.arguments.map((argument) => argument.name)
  return {
    plan: executable.plan,
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
