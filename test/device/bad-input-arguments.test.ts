/** @file What distill, evaluate and the baselines are called with: no data, no device, options of wrong types and mistyped names. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset } from '../../src/data/index.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { AludelError, type ErrorCode } from '../../src/errors.js'
import { evaluate, herdingSet, randomRealSet } from '../../src/evaluate/index.js'
import { createSyntheticSet } from '../../src/experiment/synthetic-set.js'
import type { SyntheticSet } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { stripes } from '../method/contract.js'
import { freshDir } from '../unit/data/fixtures.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const dataset = stripes([8, 9, 7])
const fields = () => {
  const { name, split, classes, images, shape, labels, mean, std, flip } = dataset
  return { name, split, classes, images: images.slice(), shape, labels: labels.slice(), mean, std, flip }
}
const settings = { method: 'dm', ipc: 1, iterations: 2, realBatch: 4, augment: 'none' }
const distilled = (changes: object) => () => distill(dataset, { ...settings, device, ...changes }).result
const distilledFrom = (data: unknown) => () => distill(data as never, { ...settings, device }).result
const set = () => randomRealSet(dataset, 1, 0)
const evaluated = (changes: object) => () =>
  evaluate(set(), { networks: ['convnet'], repeats: 1, epochs: 1, test: dataset, device, ...changes })
const evaluatedOn = (source: unknown) => () =>
  evaluate(source as never, { networks: ['convnet'], repeats: 1, epochs: 1, test: dataset, device })
const made = (changes: object) => () => createSyntheticSet({ ...createSyntheticSet(set()), ...changes } as SyntheticSet)
const herded = (changes: object) => () => herdingSet(dataset, 1, { device, ...changes })
const network = () => convNet({ input: [12, 12, 3], classes: 3, depth: 1, width: 4 })

function detached<T extends Float32Array | Int32Array>(array: T): T {
  structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  return array
}

function detachedSet(): SyntheticSet {
  const taken = createSyntheticSet({ ...set(), images: set().images })
  detached(taken.images)
  return taken
}

type Row = readonly [title: string, action: () => unknown, code: ErrorCode, message: RegExp]

const runs: readonly Row[] = [
  [
    'no options',
    () => distill(dataset, undefined as never),
    'invalid_option',
    /distill: options: expected an object with method, ipc, .*device/,
  ],
  ['null for options', () => distill(dataset, null as never), 'invalid_option', /options: expected .* but received null/],
  ['a list for options', () => distill(dataset, [] as never), 'invalid_option', /options: expected .* but received \[\]/],
  ['a name for options', () => distill(dataset, 'dm' as never), 'invalid_option', /options: expected .* but received 'dm'/],
  [
    'a mistyped name',
    distilled({ realbatch: 3 }),
    'invalid_option',
    /distill: expected names among method, ipc, iterations, realBatch, .*signal,? .*but received 'realbatch'; did you mean 'realBatch'\?/,
  ],
  ['an unknown name', distilled({ epochs: 3 }), 'invalid_option', /expected names among .* but received 'epochs'$/],
  ['a mistyped name without a value', distilled({ image_lr: undefined }), 'invalid_option', /did you mean 'imageLr'\?/],
  ['no device', distilled({ device: undefined }), 'invalid_option', /distill: device: expected an open device but received undefined/],
  ['an object for a device', distilled({ device: {} }), 'invalid_option', /device: expected an open device but received an object/],
  ['the name of a device', distilled({ device: 'cpu' }), 'invalid_option', /device: .* but received 'cpu'; give one of openDevice\(\)/],
  [
    'a device that is not awaited',
    distilled({ device: Promise.resolve() }),
    'invalid_option',
    /device: .* received Promise; await it first/,
  ],
  [
    'an object for a signal',
    distilled({ signal: {} }),
    'invalid_option',
    /distill: signal: expected an AbortSignal but received an object/,
  ],
  [
    'a controller for a signal',
    distilled({ signal: new AbortController() }),
    'invalid_option',
    /received AbortController; give .* `signal`/,
  ],
  ['null for a signal', distilled({ signal: null }), 'invalid_option', /signal: expected an AbortSignal but received null/],
  ['no data', distilledFrom(undefined), 'invalid_data', /data set: expected an object with its fields but received undefined/],
  ['a path for data', distilledFrom('data/cifar10'), 'invalid_data', /but received 'data\/cifar10'; give what createDataset or a reader/],
  ['an object for data', distilledFrom({}), 'invalid_data', /data set: name: expected a text but received undefined/],
  ['data that is not awaited', distilledFrom(Promise.resolve(dataset)), 'invalid_data', /received Promise; await it first/],
  ['fields of a wrong type', distilledFrom({ ...fields(), images: [1] }), 'invalid_data', /images: expected an array of type Uint8Array/],
  ['a synthetic set for data', () => distilledFrom(set())(), 'invalid_data', /data set: name: expected a text/],
  ['a device for data', () => distilledFrom(device)(), 'invalid_data', /data set: name: expected a text/],
  ['ipc as text', distilled({ ipc: '1' }), 'invalid_option', /ipc: expected a whole number >= 1 but received '1'/],
  ['ipc as an object of no class', distilled({ ipc: Object.create(null) }), 'invalid_option', /ipc: .* but received an object/],
  ['ipc as a symbol', distilled({ ipc: Symbol('one') }), 'invalid_option', /ipc: .* but received Symbol\(one\)/],
  ['no ipc', distilled({ ipc: undefined }), 'invalid_option', /ipc: .* but received undefined/],
  ['a number to start from', distilled({ init: 3 }), 'invalid_option', /init: expected 'real' or 'noise' but received 3/],
  [
    'a seed of one and a half',
    distilled({ seed: 1.5 }),
    'invalid_option',
    /seed: expected a whole number in \[0, 2\^53\) but received 1.5/,
  ],
  ['a big integer for a seed', distilled({ seed: 1n }), 'invalid_option', /seed: .* but received 1n/],
  ['a seed as text', distilled({ seed: '1' }), 'invalid_option', /seed: .* but received '1'/],
  ...['seed', 'iterations', 'realBatch', 'imageLr', 'init', 'augment', 'network'].map(
    (name): Row => [`null for ${name}`, distilled({ [name]: null }), 'invalid_option', /expected .* but received null/],
  ),
  ['a number for a method', distilled({ method: 3 }), 'invalid_option', /method: expected one of dm, .* but received 3/],
  ['a list for a method', distilled({ method: ['dm'] }), 'invalid_option', /method: expected one of dm, .* but received \['dm'\]/],
  ['a symbol for a method', distilled({ method: Symbol('dm') }), 'invalid_option', /method: .* but received Symbol\(dm\)/],
  ['no method', distilled({ method: undefined }), 'invalid_option', /method: .* but received undefined/],
  ['a number for a preset', distilled({ preset: 3 }), 'not_found', /preset of dm: expected one of .* but received 3/],
  [
    'a number for an augmentation',
    distilled({ augment: 3 }),
    'invalid_option',
    /augment: expected 'none', 'dsa', 'frepo' or .* but received 3/,
  ],
  ['a list for an augmentation', distilled({ augment: ['flip'] }), 'invalid_option', /augment: .* but received \['flip'\]/],
  ['a number for a network', distilled({ network: 3 }), 'invalid_option', /network: expected a registry name, or .* but received 3/],
  [
    'a network with tensors that are none',
    () => distilled({ network: { ...network(), parameters: [null] } })(),
    'invalid_option',
    /parameters: expected specifications with name and shape but received null/,
  ],
  [
    'a network with a shape that is none',
    () => distilled({ network: { ...network(), state: [{ name: 'mean', shape: [0] }] } })(),
    'invalid_shape',
    /mean: expected a list of .* but received \[0\]/,
  ],
  [
    'a network with an input that is none',
    () => distilled({ network: { ...network(), input: Object.create(null) } })(),
    'invalid_option',
    /input: expected \[12, 12, 3\] as the images have but received an object/,
  ],
  ...[[], 'ab', 3, null].map(
    (value): Row => [
      `${JSON.stringify(value)} for the options of the method`,
      distilled({ methodOptions: value }),
      'invalid_option',
      /methodOptions: expected an object of options by name but received/,
    ],
  ),
]

const evaluations: readonly Row[] = [
  [
    'no options',
    () => evaluate(set(), undefined as never),
    'invalid_option',
    /evaluate: options: expected an object with networks, .*test, device/,
  ],
  ['a mistyped name', evaluated({ repeat: 3 }), 'invalid_option', /evaluate: expected names among networks, .* but received 'repeat'/],
  ['a name in other letters', evaluated({ onprogress: () => {} }), 'invalid_option', /did you mean 'onProgress'\?/],
  ['no test images', evaluated({ test: undefined }), 'invalid_option', /evaluate: test: expected a data set .* but received undefined/],
  ['an object for test images', evaluated({ test: {} }), 'invalid_data', /data set: name: expected a text but received undefined/],
  ['test images that are not awaited', evaluated({ test: Promise.resolve(dataset) }), 'invalid_data', /received Promise; await it first/],
  ['no device', evaluated({ device: undefined }), 'invalid_option', /evaluate: device: expected an open device but received undefined/],
  ['an object for a device', evaluated({ device: {} }), 'invalid_option', /evaluate: device: .* but received an object/],
  ['an object for a signal', evaluated({ signal: {} }), 'invalid_option', /evaluate: signal: expected an AbortSignal/],
  ['a number for a callback', evaluated({ onProgress: 3 }), 'invalid_option', /evaluate: onProgress: expected a function but received 3/],
  ['null for a callback', evaluated({ onResult: null }), 'invalid_option', /evaluate: onResult: expected a function but received null/],
  ['a seed of one and a half', evaluated({ seed: 1.5 }), 'invalid_option', /seed: .* but received 1.5/],
  ['repeats as text', evaluated({ repeats: '2' }), 'invalid_option', /repeats: expected a whole number >= 1 but received '2'/],
  ['null for epochs', evaluated({ epochs: null }), 'invalid_option', /epochs: .* but received null/],
  ['null for an augmentation', evaluated({ augment: null }), 'invalid_option', /augment: .* but received null/],
  ['one network outside a list', evaluated({ networks: 'convnet' }), 'invalid_option', /networks: .* but received 'convnet'/],
  ['null for a network', evaluated({ networks: [null] }), 'invalid_option', /network: expected a registry name, or .* received null/],
  ['no set', evaluatedOn(undefined), 'invalid_data', /synthetic set: expected an object with its fields but received undefined/],
  ['an object for a set', evaluatedOn({}), 'invalid_data', /synthetic set: shape: expected four whole numbers/],
  ['a set that is not awaited', evaluatedOn(Promise.resolve()), 'invalid_data', /received Promise; await it first/],
  ['a data set for a set', evaluatedOn(dataset), 'invalid_option', /synthetic set: expected names among images, .* but received 'name'/],
  [
    'a function that makes no set',
    evaluatedOn(() => 3),
    'invalid_data',
    /synthetic set: expected an object with its fields but received 3/,
  ],
  ['a set whose images were transferred away', () => evaluatedOn(detachedSet())(), 'detached', /synthetic set: images: .*transferred away/],
  ['a set that was overwritten with NaN', () => evaluatedOn(withNaN())(), 'not_finite', /synthetic image 0: expected finite pixels/],
]

function withNaN(): SyntheticSet {
  const spoiled = set()
  spoiled.images[0] = Number.NaN
  return spoiled
}

const sets: readonly Row[] = [
  ['images of another type', made({ images: [0] }), 'invalid_data', /images: expected an array of type Float32Array but received \[0\]/],
  ['no images', made({ images: undefined }), 'invalid_data', /images: .* but received undefined/],
  [
    'labels as a list',
    made({ labels: [0, 1, 2] }),
    'invalid_data',
    /labels: expected an array of type Int32Array but received \[0, 1, 2\]/,
  ],
  ['a mean as a typed array', made({ mean: Float32Array.of(0, 0, 0) }), 'invalid_data', /mean: .* but received Float32Array\(3\)/],
  ['a std of zero', made({ std: [1, 0, 1] }), 'invalid_data', /std: expected 3 positive numbers .* but received \[1, 0, 1\]/],
  [
    'two classes of one name',
    made({ classes: ['a', 'b', 'a'] }),
    'invalid_data',
    /name of class 2: expected one that no class before it has/,
  ],
  ['no source', made({ source: undefined }), 'invalid_data', /source: expected an object with name, split and sha256/],
  ['a config that is none', made({ config: [] }), 'invalid_data', /config: expected settings by name/],
  ['a config that no JSON holds', made({ config: { seed: 1n } }), 'invalid_data', /config: expected settings by name/],
  ['flip as text', made({ flip: 'no' }), 'invalid_data', /flip: expected true or false but received 'no'/],
  ['a mistyped name', made({ sourceids: Int32Array.of(1) }), 'invalid_option', /did you mean 'sourceIds'\?/],
  [
    'random images of no data',
    () => randomRealSet(undefined as never, 1, 0),
    'invalid_data',
    /data set: expected an object with its fields/,
  ],
  ['no random images', () => randomRealSet(dataset, 0, 0), 'invalid_option', /ipc: expected a whole number >= 1 but received 0/],
  [
    'random images without a seed',
    () => randomRealSet(dataset, 1, undefined as never),
    'invalid_option',
    /seed: .* but received undefined/,
  ],
  ['random images of half a draw', () => randomRealSet(dataset, 1, 0, 0.5), 'invalid_option', /draw: expected a whole number >= 0/],
  [
    'herding without options',
    () => herdingSet(dataset, 1, undefined as never),
    'invalid_option',
    /herdingSet: options: expected an object/,
  ],
  ['herding without a device', herded({ device: undefined }), 'invalid_option', /herdingSet: device: expected an open device/],
  ['herding with a mistyped name', herded({ epoch: 1 }), 'invalid_option', /herdingSet: expected names among device, epochs/],
  ['herding of epochs as text', herded({ epochs: '2' }), 'invalid_option', /epochs: .* but received '2'/],
  ['herding of no data', () => herdingSet(undefined as never, 1, { device }), 'invalid_data', /data set: expected an object/],
]

describe.each([
  ['distill', runs],
  ['evaluate', evaluations],
  ['sets', sets],
] as const)('%s refuses', (_, rows) => {
  it.each(rows)('%s', async (_, action, code, message) => {
    let error: unknown
    try {
      await action()
    } catch (thrown) {
      error = thrown
    }
    expect(error).toBeInstanceOf(AludelError)
    const { code: received, message: text } = error as AludelError
    expect({ code: received, message: text }).toEqual({ code, message: expect.stringMatching(message) })
    expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
  })
})

it('distill refuses wrong arguments at the call, before there is a run', () => {
  for (const wrong of [{ device: undefined }, { realbatch: 3 }, { signal: {} }, { ipc: '1' }]) {
    expect(() => distill(dataset, { ...settings, device, ...wrong } as never)).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  }
})

describe('data whose arrays the caller transfers', () => {
  const take = (array: Uint8Array | Int32Array) => structuredClone(array.buffer, { transfer: [array.buffer as ArrayBuffer] })
  const expectedImages = async () => [...(await distill(dataset, { ...settings, device }).result).images]

  it('before the run: the data set has a copy', async () => {
    const given = fields()
    const copy = createDataset(given)
    take(given.images)
    take(given.labels)
    expect([...(await distill(copy, { ...settings, device }).result).images]).toEqual(await expectedImages())
  })

  it('while the run goes on, right after the call', async () => {
    const given = fields()
    const run = distill(given, { ...settings, device })
    take(given.images)
    take(given.labels)
    expect([...(await run.result).images]).toEqual(await expectedImages())
  })

  it('from the data set itself: detached, before the run and right after the call', async () => {
    const taken = createDataset(fields())
    take(taken.images)
    expect(() => distill(taken, { ...settings, device })).toThrow(expect.objectContaining({ code: 'detached' }))
    const late = createDataset(fields())
    const run = distill(late, { ...settings, device })
    take(late.images)
    await expect(run.result).rejects.toMatchObject({ code: 'detached' })
    await expect(evaluated({ test: taken })()).rejects.toMatchObject({ code: 'detached' })
    expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
  })

  it('a set whose images are gone is not saved', async () => {
    await expect(detachedSet().save(freshDir())).rejects.toMatchObject({ code: 'detached' })
  })
})

it.each([1, 2, 4, 5])('images with %i channels are distilled, saved and evaluated', async (channels) => {
  const noise = createDataset({
    name: 'noise',
    split: 'train',
    classes: ['a', 'b'],
    images: Uint8Array.from({ length: 4 * 64 * channels }, (_, i) => (i * 89) % 251),
    shape: [4, 8, 8, channels],
    labels: [0, 1, 0, 1],
    mean: Array<number>(channels).fill(0.5),
    std: Array<number>(channels).fill(0.25),
    flip: true,
  })
  const result = await distill(noise, { ...settings, realBatch: 2, augment: 'dsa', device }).result
  await result.save(freshDir())
  const [accuracy] = await evaluate(result, { networks: ['convnet-d1'], repeats: 1, epochs: 1, test: noise, device })
  expect(accuracy.n).toBe(1)
})
