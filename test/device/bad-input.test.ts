/** @file Bad input to arrays, programs and the graph: a typed error that says what was expected and what came, and a device that still works. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { bindProgram } from '../../src/engine/bound-program.js'
import { compile } from '../../src/engine/compile/pipeline.js'
import * as ops from '../../src/engine/index.js'
import { grad, spec, trace, type Value } from '../../src/engine/index.js'
import type { DeviceArray } from '../../src/engine/runtime/array.js'
import { Device } from '../../src/engine/runtime/device.js'
import { openDevice } from '../../src/engine/runtime/open-device.js'
import { AludelError, type ErrorCode } from '../../src/errors.js'
import { runStep } from './run-step.js'
import { matchingStep } from './step-graphs.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const double = () =>
  device.load(
    compile(
      trace((x) => ops.add(x, x), [spec([3])]),
      { isa: device.isa, names: ['x', 'y'] },
    ),
  )
const floats = (...values: number[]): DeviceArray => device.array('f32', [values.length], Float32Array.from(values))

/** Runs a function of device arrays once; outputs are made here. */
async function run(build: (...values: Value[]) => Value, ...inputs: DeviceArray[]): Promise<Float32Array> {
  const traced = trace(
    (...values) => build(...(values as Value[])),
    inputs.map(({ shape, dtype }) => spec(shape, dtype)),
  )
  const [type] = traced.outputs
  const output = device.array(type.dtype, type.shape)
  await device.load(compile(traced, { isa: device.isa })).run([...inputs, output])
  return (await output.read()) as Float32Array
}

async function expectStillWorks(): Promise<void> {
  expect([...(await run((x) => ops.mul(x, x), floats(1, 2, 3)))]).toEqual([1, 4, 9])
}

async function failureOf(action: () => unknown): Promise<unknown> {
  try {
    await action()
  } catch (error) {
    return error
  }
  return undefined
}

const disposedArray = (): DeviceArray => {
  const array = floats(1, 2, 3)
  array.dispose()
  return array
}

function detachedData(): Float32Array {
  const data = Float32Array.of(1, 2, 3)
  structuredClone(data.buffer, { transfer: [data.buffer] })
  return data
}

interface Resizable extends ArrayBuffer {
  resize(bytes: number): void
}
const resizable = (bytes: number, maxByteLength = bytes): Resizable =>
  new (ArrayBuffer as unknown as new (bytes: number, options: { maxByteLength: number }) => Resizable)(bytes, { maxByteLength })

function beyondItsBuffer(): Float32Array {
  const buffer = resizable(16)
  const data = new Float32Array(buffer, 8, 2)
  buffer.resize(4)
  return data
}

async function closedDevice(): Promise<Device> {
  const other = await Device.open({ threads: 1 })
  await other.close()
  return other
}

const indices = (...values: number[]): DeviceArray => device.array('i32', [values.length], Int32Array.from(values))
const table = (): DeviceArray => device.array('f32', [4, 3], new Float32Array(12))

type Row = readonly [title: string, action: () => unknown, code: ErrorCode, message: RegExp]

const wrongData: readonly Row[] = [
  ['an array of an unknown dtype', () => device.array('f16' as never, [1]), 'invalid_dtype', /expected f32, .* but received 'f16'/],
  ['a shape with a zero', () => device.array('f32', [3, 0]), 'invalid_shape', /expected .*>= 1 but received \[3, 0\]/],
  ['a shape with a fraction', () => device.array('f32', [1.5]), 'invalid_shape', /expected .* but received \[1.5\]/],
  ['a shape of nine dimensions', () => device.array('f32', new Array(9).fill(1)), 'invalid_shape', /at most 8 dimensions/],
  ['a shape that is no list', () => device.array('f32', 3 as never), 'invalid_shape', /expected a list .* but received 3/],
  ['no shape', () => device.array('f32', undefined as never), 'invalid_shape', /expected a list .* but received undefined/],
  ['a shape as a typed array', () => device.array('f32', Int32Array.of(2, 3) as never), 'invalid_shape', /but received Int32Array\(2\)/],
  ['a shape as an object', () => device.array('f32', { length: 1, 0: 3 } as never), 'invalid_shape', /but received an object/],
  ['a shape of text', () => device.array('f32', ['3'] as never), 'invalid_shape', /but received \['3'\]/],
  ['a shape of big integers', () => device.array('f32', [3n] as never), 'invalid_shape', /but received \[3n\]/],
  ['a shape of lists', () => device.array('f32', [[3]] as never), 'invalid_shape', /but received \[\[3\]\]/],
  ['a shape with a hole', () => device.array('f32', new Array(2) as never), 'invalid_shape', /but received \[undefined, undefined\]/],
  ['a shape of NaN', () => device.array('f32', [Number.NaN]), 'invalid_shape', /but received \[NaN\]/],
  ['a negative shape', () => device.array('f32', [-1]), 'invalid_shape', /but received \[-1\]/],
  ['a shape beyond whole numbers', () => device.array('f32', [1e300]), 'invalid_shape', /but received \[1e\+300\]/],
  [
    'a shape that no machine holds',
    () => device.array('f32', [2 ** 24, 2 ** 24]),
    'out_of_memory',
    /array: f32 \[16777216, 16777216\] needs 1125899906842624 bytes/,
  ],
  [
    'a shape whose product is beyond whole numbers',
    () => device.array('u8', [2 ** 52, 2 ** 52, 2 ** 52]),
    'out_of_memory',
    /needs 9.13\d*e\+46 bytes/,
  ],
  ['a shape that the system does not hold', () => device.array('u8', [2 ** 46]), 'out_of_memory', /needs 70368744177664 bytes/],
  [
    'data of another dtype',
    () => floats(1, 2).write(Int32Array.of(1, 2)),
    'invalid_dtype',
    /expected Float32Array .* but received 'Int32Array'/,
  ],
  ['data of another length', () => floats(1, 2).write(Float32Array.of(1)), 'invalid_shape', /expected 2 elements .*\[2\] but received 1/],
  ['a plain list', () => floats(1).write([1] as never), 'invalid_dtype', /expected Float32Array .* but received 'Array'/],
  ['nothing', () => floats(1).write(undefined as never), 'invalid_dtype', /but received 'undefined'/],
  ['big integers', () => floats(1).write(BigInt64Array.of(1n) as never), 'invalid_dtype', /but received 'BigInt64Array'/],
  ['a transferred buffer', () => floats(1, 2, 3).write(detachedData()), 'detached', /transferred away/],
  ['a transferred buffer at creation', () => device.array('f32', [3], detachedData()), 'detached', /transferred away/],
  [
    'what only looks like a typed array',
    () => device.array('f32', [3], Object.create(Float32Array.prototype)),
    'invalid_dtype',
    /expected Float32Array/,
  ],
  ['a typed array behind a proxy', () => floats(1).write(new Proxy(new Float32Array(1), {})), 'invalid_dtype', /expected Float32Array/],
  ['a view beyond its buffer', () => device.array('f32', [2], beyondItsBuffer()), 'invalid_shape', /expected 2 elements .* received 0/],
  ['a copy from nothing', () => floats(1).copyFrom(undefined as never), 'invalid_option', /expected a DeviceArray but received undefined/],
  ['a copy from another shape', () => floats(1, 2).copyFrom(floats(1)), 'invalid_shape', /expected f32 \[2\] but received 'f32 \[1\]'/],
]

const wrongRuns: readonly Row[] = [
  ['too few arrays', () => double().run([floats(1, 2, 3)]), 'invalid_option', /expected 2 arrays but received '1'/],
  ['no list of arrays', () => double().run({} as never), 'invalid_option', /expected 2 arrays but received 'object'/],
  [
    'a typed array for an array',
    () => double().run([new Float32Array(3), floats(0, 0, 0)] as never),
    'invalid_option',
    /argument 0 \(x\): expected a DeviceArray/,
  ],
  [
    'an array of another dtype',
    () => double().run([indices(1, 2, 3), floats(0, 0, 0)]),
    'invalid_dtype',
    /argument 0 \(x\): expected f32 but received 'i32'/,
  ],
  [
    'an array of another shape',
    () => double().run([floats(1, 2), floats(0, 0, 0)]),
    'invalid_shape',
    /argument 0 \(x\): expected \[3\] but received '\[2\]'/,
  ],
  ['minus one replays', () => double().repeat(-1, []), 'invalid_option', /expected a whole number .* but received -1/],
  ['half a replay', () => double().repeat(0.5, []), 'invalid_option', /but received 0.5/],
  ['a start step beyond 32 bits', () => double().repeat(1, [], { startStep: 2 ** 32 }), 'invalid_option', /startStep: expected/],
  ['options that are no object', () => double().run([], 3 as never), 'invalid_option', /run: options: expected an object with signal/],
  ['no options', () => double().repeat(1, [], null as never), 'invalid_option', /repeat: options: expected .* but received null/],
  ['a mistyped option', () => double().repeat(1, [], { startstep: 1 } as never), 'invalid_option', /did you mean 'startStep'\?/],
  [
    'a controller for a signal',
    () => double().run([floats(1, 2, 3), floats(0, 0, 0)], { signal: new AbortController() as never }),
    'invalid_option',
    /run: signal: expected an AbortSignal but received AbortController; give a controller's `signal`/,
  ],
  [
    'a program on no device',
    () => bindProgram(undefined as never, { inputs: {}, outputs: {}, build: () => ({}) }),
    'invalid_option',
    /bindProgram: device: expected an open device but received undefined/,
  ],
  [
    'a program of nothing',
    () => bindProgram(device, undefined as never),
    'invalid_option',
    /bindProgram: options: expected an object with inputs/,
  ],
  [
    'a program without outputs',
    () => bindProgram(device, { inputs: {}, build: () => ({}) } as never),
    'invalid_option',
    /bindProgram: outputs: expected an object of specifications/,
  ],
  [
    'a program that builds nothing',
    () => bindProgram(device, { inputs: { x: { shape: [1] } }, outputs: { y: {} } } as never),
    'invalid_option',
    /bindProgram: build: expected a function but received undefined/,
  ],
  [
    'a name that is not bound',
    () =>
      bindProgram(device, { inputs: { x: { shape: [2] } }, outputs: { y: {} }, build: ({ x }) => ({ y: ops.neg(x) }) }).run({
        x: floats(1, 2),
      }),
    'invalid_option',
    /expected an array for 'y' but received none/,
  ],
  [
    'a program that is no program',
    () => device.load({ bytes: new Uint8Array(64), arguments: [], plan: {} }),
    'invalid_program',
    /expected .* but received/,
  ],
  ['a program of another opcode table', () => device.load(withOtherHash()), 'invalid_program', /expected opcode hash .* but received/],
  ['nothing to load', () => device.load(undefined as never), 'invalid_program', /expected a program with bytes but received 'undefined'/],
]

function withOtherHash() {
  const program = compile(
    trace((x) => ops.neg(x), [spec([3])]),
    { isa: device.isa },
  )
  const bytes = program.bytes.slice()
  bytes[4] ^= 1
  return { ...program, bytes }
}

const ce = (z: Value, labels: Value) => ops.softmaxCe(z, labels).loss
const wrongIndices: readonly Row[] = [
  ['a label beyond the classes', () => run(ce, table(), indices(0, 1, 3, 2)), 'invalid_index', /label 3 of row 2 is outside 0\.\.2/],
  ['a negative label', () => run(ce, table(), indices(0, -1, 1, 2)), 'invalid_index', /label -1 of row 1 is outside 0\.\.2/],
  [
    'a label beyond the classes in a gradient',
    () => run((z, t) => grad(ops.sum(ce(z, t)), [z])[0], table(), indices(0, 1, 2, 9)),
    'invalid_index',
    /label 9/,
  ],
  ['an index beyond the rows', () => run(ops.gather, table(), indices(0, 4)), 'invalid_index', /index 4 at position 1 is outside 0\.\.3/],
  ['a negative index', () => run(ops.gather, table(), indices(-1)), 'invalid_index', /index -1 at position 0 is outside 0\.\.3/],
  [
    'a scatter beyond the rows',
    () => run((g, i) => ops.scatterAdd(g, i, 4), table(), indices(0, 1, 2, 4)),
    'invalid_index',
    /index 4 at position 3 is outside 0\.\.3/,
  ],
  [
    'an image beyond the set',
    () => run(ops.imageGather, device.array('u8', [2, 4, 4, 1]), indices(0, 2), floats(1), floats(0)),
    'invalid_index',
    /index 2 at position 1 is outside 0\.\.1/,
  ],
  [
    'an augmentation of no kind',
    () => run((x, t) => ops.augment(x, t), device.array('f32', [1, 4, 4, 1]), device.array('f32', [1, 8], new Float32Array(8).fill(6.5))),
    'invalid_index',
    /kind 6.5 of row 0 is not one of 0\.\.5/,
  ],
  [
    'an augmentation of kind NaN',
    () =>
      run(
        (x, t) => ops.augment(x, t),
        device.array('f32', [1, 4, 4, 1]),
        device.array('f32', [1, 8], new Float32Array(8).fill(Number.NaN)),
      ),
    'invalid_index',
    /kind -?nan of row 0/,
  ],
]

const afterTheEnd: readonly Row[] = [
  ['writing to a disposed array', () => disposedArray().write(new Float32Array(3)), 'disposed', /used after dispose/],
  ['reading a disposed array', () => disposedArray().read(), 'disposed', /DeviceArray f32 \[3\]: used after dispose/],
  ['copying from a disposed array', () => floats(1, 2, 3).copyFrom(disposedArray()), 'disposed', /used after dispose/],
  ['running with a disposed array', () => double().run([floats(1, 2, 3), disposedArray()]), 'disposed', /used after dispose/],
  [
    'running a disposed program',
    () => {
      const executable = double()
      executable.dispose()
      return executable.run([])
    },
    'disposed',
    /executable was used after dispose/,
  ],
  ['an array on a closed device', async () => (await closedDevice()).array('f32', [1]), 'disposed', /the device is closed/],
  ['a program on a closed device', async () => (await closedDevice()).load(withOtherHash()), 'disposed', /the device is closed/],
]

const wrongDevices: readonly Row[] = [
  ['no threads', () => Device.open({ threads: 0 }), 'invalid_option', /expected a whole number from 1 to 256 but received 0/],
  ['NaN threads', () => Device.open({ threads: Number.NaN }), 'invalid_option', /expected .* but received NaN/],
  ['too many threads', () => Device.open({ threads: 257 }), 'invalid_option', /but received 257/],
  ['options that are no object', () => openDevice('cpu' as never), 'invalid_option', /openDevice: options: expected .* but received 'cpu'/],
  ['null for options', () => openDevice(null as never), 'invalid_option', /openDevice: options: expected .* but received null/],
  [
    'a mistyped option',
    () => openDevice({ thread: 2 } as never),
    'invalid_option',
    /openDevice: expected names among device, threads, isa, index, precision, memory but received 'thread'/,
  ],
  ['an instruction set that is no text', () => openDevice({ isa: 3 as never }), 'invalid_option', /isa: expected a string/],
  ['an unknown instruction set', () => Device.open({ isa: 'mmx' }), 'unavailable', /expected one of .* but received 'mmx'/],
]

const wrongGraphs: readonly Row[] = [
  [
    'shapes that do not broadcast',
    () => trace((x, y) => ops.add(x, y), [spec([2]), spec([3])]),
    'invalid_shape',
    /expected .* but received/,
  ],
  ['an element type that is none', () => spec([2], 'f16' as never), 'invalid_dtype', /spec: expected one of f32, .* but received 'f16'/],
  ['a trace of no function', () => trace(3 as never, []), 'invalid_option', /trace: expected a function of traced values but received 3/],
  ['a trace without specs', () => trace((x) => x, undefined as never), 'invalid_option', /trace: specs: expected a list/],
  ['a trace of null', () => trace((x) => x as never, [null]), 'invalid_shape', /trace: spec '0': expected .* but received undefined/],
  ['a trace of a shape alone', () => trace((x) => x as never, [{ shape: [1] }]), 'invalid_dtype', /trace: spec '0': expected one of f32/],
  [
    'a tensor of too few elements',
    () => ops.refTensor([2], [1]),
    'invalid_shape',
    /refTensor: expected 2 elements for shape \[2\] but received 1/,
  ],
  ['a tensor of nothing', () => ops.refTensor([2], undefined as never), 'invalid_shape', /refTensor: expected 2 elements/],
  ['an interpretation of nothing', () => ops.interpret(undefined as never, []), 'invalid_option', /interpret: expected what trace returns/],
  [
    'an interpretation without inputs',
    () =>
      ops.interpret(
        trace((x) => ops.neg(x), [spec([2])]),
        undefined as never,
      ),
    'invalid_option',
    /interpret: inputs: expected a list/,
  ],
  [
    'an interpretation of numbers',
    () =>
      ops.interpret(
        trace((x) => ops.neg(x), [spec([2])]),
        [1] as never,
      ),
    'invalid_shape',
    /interpret: input 0: expected '?\[2\]'? but received 'no tensor'/,
  ],
  [
    'inner axes that differ',
    () => trace((x, y) => ops.matmul(x, y), [spec([2, 3]), spec([4, 2])]),
    'invalid_shape',
    /expected .* but received/,
  ],
  ['dtypes that differ', () => trace((x, y) => ops.add(x, y), [spec([2]), spec([2], 'f64')]), 'invalid_dtype', /expected .* but received/],
  ['a gradient of a vector', () => trace((x) => grad(x, [x])[0], [spec([2])]), 'invalid_shape', /expected a scalar .* but received/],
  [
    'a gradient through an op without one',
    () => trace((z, t) => grad(ops.sum(ops.softmaxCe(z, t).el2n), [z])[0], [spec([2, 3]), spec([2], 'i32')]),
    'not_differentiable',
    /softmax_ce.*el2n/,
  ],
  [
    'a value of another trace',
    () => trace((x) => trace((y) => ops.add(x, y), [spec([2])]).outputs[0] as never, [spec([2])]),
    'internal',
    /another graph/,
  ],
  [
    'zero rows a slice',
    () =>
      compile(
        trace((x) => ops.neg(x), [spec([2])]),
        { slicing: { rows: 0 } },
      ),
    'invalid_option',
    /slicing.rows: expected .* but received 0/,
  ],
  [
    'a negative memory budget',
    () =>
      compile(
        trace((x) => ops.neg(x), [spec([2])]),
        { memoryBudget: -1 },
      ),
    'invalid_option',
    /expected bytes >= 0/,
  ],
  [
    'a donation of another shape',
    () =>
      compile(
        trace((x) => ops.sum(x), [spec([2])]),
        { donate: { 0: 0 } },
      ),
    'invalid_option',
    /expected/,
  ],
  [
    'a donation of no input',
    () =>
      compile(
        trace((x) => ops.neg(x), [spec([2])]),
        { donate: { 0: 5 } },
      ),
    'invalid_option',
    /expected/,
  ],
]

describe.each([
  ['data', wrongData],
  ['runs', wrongRuns],
  ['indices inside device data', wrongIndices],
  ['use after the end', afterTheEnd],
  ['devices', wrongDevices],
  ['graphs', wrongGraphs],
] as const)('%s', (_, rows) => {
  it.each(rows)('%s', async (_, action, code, message) => {
    const error = (await failureOf(action)) as AludelError
    expect(error).toBeInstanceOf(AludelError)
    expect({ code: error.code, message: error.message }).toEqual({ code, message: expect.stringMatching(message) })
    await expectStillWorks()
  })
})

describe('data that may change under a reader', () => {
  const values = [1, -2, 3.5]
  const growing = new Float32Array(resizable(0, 64))
  ;(growing.buffer as Resizable).resize(12)
  const sources: readonly (readonly [string, Float32Array])[] = [
    ['shared memory', new Float32Array(new SharedArrayBuffer(12))],
    ['a part of shared memory', new Float32Array(new SharedArrayBuffer(64), 16, 3)],
    ['a resizable buffer', new Float32Array(resizable(12, 24))],
    ['a view that grew with its buffer', growing],
  ]

  it.each(sources)('%s is copied before the call returns', async (_, data) => {
    data.set(values)
    const made = device.array('f32', [3], data)
    const written = floats(0, 0, 0)
    const writing = written.write(data)
    data.fill(9)
    await writing
    for (const array of [made, written]) expect([...(await array.read())]).toEqual(values)
  })
})

it('leaves donated state as it was when a step fails', async () => {
  const program = bindProgram(device, {
    inputs: { weights: { shape: [3] }, data: { shape: [4, 3] }, index: { shape: [1], dtype: 'i32', slots: { count: 3 } } },
    outputs: { weights: { donate: 'weights' } },
    build: ({ weights, data, index }) => ({ weights: ops.add(weights, ops.reshape(ops.gather(data, index), [3])) }),
  })
  const arrays = {
    weights: floats(1, 2, 3),
    data: device.array('f32', [4, 3], new Float32Array(12).fill(1)),
    index: device.array('i32', [3, 1], Int32Array.of(0, 3, 4)),
  }
  await expect(program.run(arrays, { n: 3 })).rejects.toMatchObject({ code: 'invalid_index' })
  // Steps 0 and 1 took effect, step 2 did not.
  expect([...(await arrays.weights.read())]).toEqual([3, 4, 5])
  await program.run(arrays, { n: 2 })
  expect([...(await arrays.weights.read())]).toEqual([5, 6, 7])
})

describe('abort of a matching step', () => {
  const graph = matchingStep()
  const { inputs, outputs, step, build } = graph.spec

  async function prepared() {
    const program = bindProgram(device, { inputs, outputs, step: step as string, build })
    const entries = Object.entries(inputs).map(([name, { shape, dtype = 'f32' }]) => [name, device.array(dtype, shape, graph.data[name])])
    const arrays: Record<string, DeviceArray> = { ...Object.fromEntries(entries), loss: device.array('f32', [8]) }
    return { program, arrays }
  }

  it('before the call rejects with the reason and changes nothing', async () => {
    const { program, arrays } = await prepared()
    const reason = new Error('enough')
    const failure = await failureOf(() => program.run(arrays, { signal: AbortSignal.abort(reason) }))
    expect(failure).toMatchObject({ name: 'AbortError', code: 'aborted', cause: reason, completed: 0 })
    expect(await arrays.synthetic.read()).toEqual(graph.data.synthetic)
  })

  it.each([0, 3, 10, 25, 60])('%s ms into a long call leaves the state of a whole number of steps', async (delay) => {
    const { program, arrays } = await prepared()
    const controller = new AbortController()
    const call = program.run(arrays, { n: 100_000, signal: controller.signal })
    setTimeout(() => controller.abort(), delay)
    const { completed } = (await failureOf(() => call)) as { completed: number }
    expect(completed).toBeLessThan(100_000)
    const { results } = await runStep(device, graph, { calls: [completed] })
    for (const name of ['synthetic', 'velocity', 'loss'])
      expect(await arrays[name].read(), `${name} after ${completed}`).toEqual(results[name])
  })

  it('after the call changes nothing', async () => {
    const { program, arrays } = await prepared()
    const controller = new AbortController()
    await program.run(arrays, { signal: controller.signal })
    controller.abort()
    await program.run(arrays, { startStep: 1 })
    const { results } = await runStep(device, graph, { calls: [2] })
    expect(await arrays.synthetic.read()).toEqual(results.synthetic)
  })
})
