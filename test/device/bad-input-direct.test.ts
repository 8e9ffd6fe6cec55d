/** @file What the direct kernels are called with: arrays of wrong types and shapes, labels of no class, NaN, what was disposed. */
import ndarray from 'ndarray'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { attentionMatch, el2n, perSampleLoss } from '../../src/direct/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { AludelError, type ErrorCode } from '../../src/errors.js'

let device: Device
let other: Device
beforeAll(async () => {
  ;[device, other] = await Promise.all([Device.open({ threads: 2 }), Device.open({ threads: 1 })])
})
afterAll(async () => {
  await device.close()
  await other.close()
})

const values = () => Float32Array.from({ length: 12 }, (_, i) => Math.sin(i))
const logits = () => ({ data: values(), shape: [3, 4] })
const labels = () => Int32Array.of(0, 3, 1)
const map = () => ({ data: values(), shape: [3, 1, 2, 2] })
function detached<T extends Float32Array | Int32Array>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}
const changed = (at: number, value: number) => {
  const data = values()
  data[at] = value
  return data
}

const scored =
  (z: unknown, y: unknown, options: object = {}) =>
  () =>
    perSampleLoss(z as never, y as never, { device, ...options })
const matched =
  (real: unknown, synthetic: unknown, options: object = {}) =>
  () =>
    attentionMatch(real as never, synthetic as never, { device, ...options })
const owned = (make: () => { dispose(): void }, action: (array: never) => Promise<unknown>) => async () => {
  const array = make()
  try {
    return await action(array as never)
  } finally {
    array.dispose()
  }
}

type Row = readonly [title: string, action: () => unknown, code: ErrorCode, message: RegExp]

const losses: readonly Row[] = [
  [
    'no options',
    () => perSampleLoss(logits(), labels(), undefined as never),
    'invalid_option',
    /perSampleLoss: options: expected an object/,
  ],
  [
    'no device',
    scored(logits(), labels(), { device: undefined }),
    'invalid_option',
    /device: expected an open device but received undefined/,
  ],
  ['a mistyped option', scored(logits(), labels(), { Gradient: true }), 'invalid_option', /did you mean 'gradient'\?/],
  ['another result', scored(logits(), labels(), { out: 'list' }), 'invalid_option', /out: expected 'typed' or 'array' but received 'list'/],
  ['another reduction', scored(logits(), labels(), { reduction: 'max' }), 'invalid_option', /reduction: expected none, sum, mean/],
  ['a number for the gradient', scored(logits(), labels(), { gradient: 1 }), 'invalid_option', /gradient: expected true or false/],
  [
    'features of other rows',
    scored(logits(), labels(), { features: { data: values(), shape: [4, 3] } }),
    'invalid_shape',
    /features: expected \[3, width\] but received '\[4, 3\]'/,
  ],
  ['features of whole numbers', scored(logits(), labels(), { features: { data: labels(), shape: [3, 1] } }), 'invalid_dtype', /features/],
  [
    'features that are not finite',
    scored(logits(), labels(), { features: { data: changed(5, Number.NaN), shape: [3, 4] } }),
    'not_finite',
    /sample 1 of 3: expected a finite grandLastLayer/,
  ],
  [
    'somewhere to put norms of no features',
    async () => {
      const grandLastLayer = device.array('f32', [3])
      try {
        return await perSampleLoss(logits(), labels(), { device, into: { grandLastLayer } })
      } finally {
        grandLastLayer.dispose()
      }
    },
    'invalid_option',
    /into.grandLastLayer: expected features beside it/,
  ],
  ['an object for a signal', scored(logits(), labels(), { signal: {} }), 'invalid_option', /signal: expected an AbortSignal/],
  ['no logits', scored(undefined, labels()), 'invalid_option', /logits: expected a typed array, a view .* but received undefined/],
  ['a list of lists', scored([[1, 2]], labels()), 'invalid_option', /logits: .* but received \[\[1, 2\]\]/],
  ['a promise of logits', scored(Promise.resolve(logits()), labels()), 'invalid_option', /logits: .* but received Promise/],
  [
    'logits of double precision',
    scored({ data: new Float64Array(12), shape: [3, 4] }, labels()),
    'invalid_dtype',
    /received Float64Array\(12\); convert/,
  ],
  [
    'logits of whole numbers',
    scored({ data: new Int32Array(12), shape: [3, 4] }, labels()),
    'invalid_dtype',
    /logits: expected f32 but received 'i32'/,
  ],
  ['a generic ndarray', scored(ndarray([1, 2, 3, 4], [1, 4]), labels()), 'invalid_dtype', /logits: data: expected a Float32Array/],
  ['a DataView', scored(new DataView(new ArrayBuffer(8)), labels()), 'invalid_dtype', /logits: data: expected a Float32Array/],
  [
    'big integers',
    scored(logits(), BigInt64Array.of(1n, 2n, 3n)),
    'invalid_dtype',
    /labels: data: expected .* but received BigInt64Array\(3\)/,
  ],
  ['what inherits from an array', scored(Object.create(values()), labels()), 'invalid_option', /logits: expected a typed array/],
  ['logits of one axis', scored(values(), labels()), 'invalid_shape', /labels: expected \[\] for logits|give the logits as \{ data, shape/],
  ['logits without axes', scored({ data: values(), shape: [] }, labels()), 'invalid_shape', /logits: expected \[…, classes\]/],
  ['no class', scored({ data: values(), shape: [3, 0] }, labels()), 'invalid_shape', /each a whole number >= 1 but received \[3, 0\]/],
  ['a shape with a hole', scored({ data: values(), shape: new Array(2) }, labels()), 'invalid_shape', /logits: shape: expected a list/],
  ['a text for a shape', scored({ data: values(), shape: '3,4' }, labels()), 'invalid_shape', /logits: shape: expected a list/],
  ['too few elements', scored({ data: values(), shape: [3, 5] }, labels()), 'invalid_shape', /elements 0 to 14, but the data has 12/],
  ['an offset past the end', scored({ ...logits(), offset: 1 }, labels()), 'invalid_shape', /elements 1 to 12, but the data has 12/],
  ['a stride before the start', scored({ ...logits(), stride: [-4, 1] }, labels()), 'invalid_shape', /elements -8 to 3/],
  ['an offset of one half', scored({ ...logits(), offset: 0.5 }, labels()), 'invalid_shape', /offset: expected a whole number/],
  ['too few strides', scored({ ...logits(), stride: [1] }, labels()), 'invalid_shape', /stride: expected 2 whole numbers/],
  ['strides of no number', scored({ ...logits(), stride: [Number.NaN, 1] }, labels()), 'invalid_shape', /stride: expected 2 whole numbers/],
  [
    'a shape beyond all memory',
    scored({ data: values(), shape: [2 ** 31, 4], stride: [0, 1] }, { data: labels(), shape: [2 ** 31], stride: [0] }),
    'out_of_memory',
    /needs \d+ bytes/,
  ],
  [
    'more rows than there are numbers for',
    scored({ data: values(), shape: [2 ** 32, 4], stride: [0, 1] }, { data: labels(), shape: [2 ** 32], stride: [0] }),
    'invalid_shape',
    /shape: expected dimensions below 2\^32/,
  ],
  ['too few labels', scored(logits(), Int32Array.of(1, 2)), 'invalid_shape', /labels: expected \[3\] .*but received '\[2\]'/],
  [
    'soft labels of another width',
    scored(logits(), { data: new Float32Array(9), shape: [3, 3] }),
    'invalid_shape',
    /labels: expected \[3, 4\]/,
  ],
  ['a label beyond the classes', scored(logits(), Int32Array.of(0, 4, 1)), 'invalid_index', /label 4 of row 1 is outside 0..3/],
  ['a negative label', scored(logits(), Int8Array.of(0, 1, -1)), 'invalid_index', /label -1 of row 2/],
  ['an unsigned label beyond 2^31', scored(logits(), Uint32Array.of(0, 2 ** 32 - 1, 1)), 'invalid_index', /of row 1 is outside/],
  [
    'NaN among the logits',
    scored({ data: changed(9, Number.NaN), shape: [3, 4] }, labels()),
    'not_finite',
    /sample 2 of 3: expected a finite loss but received NaN/,
  ],
  [
    'infinity among the logits',
    scored({ data: changed(5, Number.POSITIVE_INFINITY), shape: [3, 4] }, labels()),
    'not_finite',
    /sample 1 of 3/,
  ],
  [
    'the label of an impossible class',
    scored({ data: changed(7, Number.NEGATIVE_INFINITY), shape: [3, 4] }, labels()),
    'not_finite',
    /sample 1 of 3: .* received Infinity/,
  ],
  ['NaN among the soft labels', scored(logits(), { data: changed(0, Number.NaN), shape: [3, 4] }), 'not_finite', /sample 0 of 3/],
  ['logits that were transferred', scored({ data: detached(values()), shape: [3, 4] }, labels()), 'detached', /logits: .* transferred/],
  ['labels that were transferred', scored(logits(), detached(labels())), 'detached', /labels: .* transferred/],
  ['el2n of NaN', () => el2n({ data: changed(0, Number.NaN), shape: [3, 4] }, labels(), { device }), 'not_finite', /el2n: sample 0/],
  ['el2n with a gradient', () => el2n(logits(), labels(), { device, gradient: true } as never), 'invalid_option', /expected names among/],
  [
    'logits that were disposed',
    owned(
      () => device.array('f32', [3, 4]),
      (z: { dispose(): void }) => {
        z.dispose()
        return scored(z, labels())()
      },
    ),
    'disposed',
    /logits: DeviceArray f32 \[3, 4\] was used after dispose/,
  ],
  [
    'logits of another device',
    owned(
      () => other.array('f32', [3, 4]),
      (z) => scored(z, labels())(),
    ),
    'invalid_option',
    /another device/,
  ],
  [
    'labels of bytes on the device',
    owned(
      () => device.array('u8', [3]),
      (y) => scored(logits(), y)(),
    ),
    'invalid_dtype',
    /labels: expected i32 .* but received 'u8'|i32 class indices/,
  ],
  [
    'a device array as a worker receives it',
    scored(structuredClone({ shape: [3, 4], dtype: 'f32', bytes: 48 }), labels()),
    'invalid_option',
    /logits: expected a typed array/,
  ],
]

const matches: readonly Row[] = [
  ['no weight', matched(map(), map(), { spatialWeight: 0, channelWeight: 0 }), 'invalid_option', /a weight above 0/],
  ['a negative weight', matched(map(), map(), { spatialWeight: -1 }), 'invalid_option', /spatialWeight: expected a number >= 0/],
  ['a power of 0', matched(map(), map(), { channelPower: 0 }), 'invalid_option', /channelPower: expected a number > 0/],
  ['a power of NaN', matched(map(), map(), { spatialPower: Number.NaN }), 'invalid_option', /spatialPower: expected a number > 0/],
  ['null for classes', matched(map(), map(), { classes: null }), 'invalid_option', /classes: options: expected an object/],
  ['no number of classes', matched(map(), map(), { classes: { real: labels(), synthetic: labels() } }), 'invalid_option', /classes.count/],
  [
    'classes of one side',
    matched(map(), map(), { classes: { count: 4, real: labels() } }),
    'invalid_option',
    /classes.synthetic: expected/,
  ],
  [
    'classes of too few rows',
    matched(map(), map(), { classes: { count: 4, real: labels(), synthetic: labels().subarray(1) } }),
    'invalid_shape',
    /classes.synthetic: expected \[3\], one for each row/,
  ],
  [
    'classes as numbers',
    matched(map(), map(), { classes: { count: 4, real: labels(), synthetic: new Float32Array(3) } }),
    'invalid_dtype',
    /classes.synthetic: expected i32/,
  ],
  [
    'a class beyond the count',
    matched(map(), map(), { classes: { count: 3, real: labels(), synthetic: Int32Array.of(0, 1, 2) } }),
    'invalid_index',
    /3/,
  ],
  [
    'maps of three axes',
    matched({ data: values(), shape: [3, 2, 2] }, map()),
    'invalid_shape',
    /real: expected \[rows, height, width, channels\]/,
  ],
  ['maps of two sizes', matched(map(), { data: values(), shape: [3, 2, 1, 2] }), 'invalid_shape', /synthetic: expected maps of the shape/],
  ['maps of whole numbers', matched(map(), { data: new Uint8Array(12), shape: [3, 1, 2, 2] }), 'invalid_dtype', /synthetic: expected f32/],
  [
    'NaN in a map',
    matched({ data: changed(3, Number.NaN), shape: [3, 1, 2, 2] }, map()),
    'not_finite',
    /loss: expected a finite number but received NaN/,
  ],
  [
    'a power beyond float32',
    matched({ data: changed(3, 1e10), shape: [3, 1, 2, 2] }, map(), { gradient: true }),
    'not_finite',
    /beyond 1e9/,
  ],
  [
    'a map that was transferred',
    matched(map(), { data: detached(values()), shape: [3, 1, 2, 2] }),
    'detached',
    /synthetic: .* transferred/,
  ],
]

describe.each([
  ['perSampleLoss and el2n', losses],
  ['attentionMatch', matches],
] as const)('%s refuse', (_, rows) => {
  it.each(rows)('%s', async (_, action, code, message) => {
    const error = await Promise.resolve(action()).then(
      () => undefined,
      (thrown: unknown) => thrown,
    )
    expect(error).toBeInstanceOf(AludelError)
    const { code: received, message: text } = error as AludelError
    expect({ code: received, message: text }).toEqual({ code, message: expect.stringMatching(message) })
    expect(device.memory().arrayBytes).toBe(0)
    await expect(perSampleLoss(logits(), labels(), { device })).resolves.toBeDefined()
  })
})

describe('ends', () => {
  it('a closed device is refused, and one that closes meanwhile says so', async () => {
    const short = await Device.open({ threads: 1 })
    const call = perSampleLoss(logits(), labels(), { device: short })
    const outcome = call.then(
      () => 'done',
      (error: AludelError) => error.code,
    )
    await short.close()
    expect(['done', 'disposed']).toContain(await outcome)
    await expect(perSampleLoss(logits(), labels(), { device: short })).rejects.toMatchObject({ code: 'disposed' })
  })

  it('an aborted call rejects with AbortError and leaves nothing behind', async () => {
    await expect(perSampleLoss(logits(), labels(), { device, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
    expect(device.memory().arrayBytes).toBe(0)
  })

  it('a buffer that a getter shrinks is read once', async () => {
    let reads = 0
    const view = {
      get data() {
        reads++
        return reads === 1 ? values() : values().subarray(0, 1)
      },
      shape: [3, 4],
    }
    await expect(perSampleLoss(view, labels(), { device })).resolves.toBeDefined()
    expect(reads).toBe(1)
  })
})
