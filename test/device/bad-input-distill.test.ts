/** @file Bad input to the library above the engine: data sets, settings, runs that diverge or lose their device. No artifact comes of them. */
import { appendFileSync, existsSync, mkdirSync, truncateSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { createDataset, openDataset } from '../../src/data/index.js'
import { distill, methodByName, methodNames } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { AludelError, type ErrorCode } from '../../src/errors.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import type { DistillSettings, RunEvent } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { networkByName } from '../../src/nn/networks/registry.js'
import { fakeExperts } from '../fake-experts.js'
import { stripes } from '../method/contract.js'
import { freshDir, mnistDir, write } from '../unit/data/fixtures.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const dataset = stripes([8, 9, 7])
const settings: DistillSettings = { method: 'dm', ipc: 1, iterations: 2, realBatch: 4, augment: 'none' }
const distilled = (changes: Record<string, unknown>) => () => distill(dataset, { ...settings, ...changes, device }).result
const evaluated = (changes: Record<string, unknown>) => () =>
  evaluate(randomRealSet(dataset, 1, 0), { networks: ['convnet'], repeats: 1, epochs: 1, test: dataset, device, ...changes })

function spoiledMnist(spoil: (path: string) => void, file = 'train-images-idx3-ubyte') {
  return () => {
    const dir = mnistDir()
    spoil(join(dir, file))
    return openDataset(`mnist:${dir}`, file.startsWith('t10k') ? 'test' : 'train')
  }
}

function cifarDir(content: Uint8Array): string {
  const dir = freshDir()
  for (let i = 1; i <= 5; i++) write(dir, `data_batch_${i}.bin`, content)
  return dir
}

const fields = {
  name: 'bad',
  split: 'train',
  classes: ['a', 'b'],
  images: new Uint8Array(8),
  shape: [2, 2, 2, 1],
  labels: Int32Array.of(0, 1),
  mean: [0],
  std: [1],
  flip: true,
} as const
const created = (changes: Record<string, unknown>) => () => createDataset({ ...fields, ...changes })

type Row = readonly [title: string, action: () => unknown, code: ErrorCode, message: RegExp]

const hollow = createDataset({ ...fields, classes: ['a', 'b', 'c'], labels: Int32Array.of(0, 2) })

const badSettings: readonly Row[] = [
  ...[0, -1, 1.5, Number.NaN, '2'].flatMap((value): Row[] => [
    [`ipc ${value}`, distilled({ ipc: value }), 'invalid_option', /ipc: expected a whole number >= 1 but received/],
    [`iterations ${value}`, distilled({ iterations: value }), 'invalid_option', /iterations: expected a whole number >= 1 but received/],
    [`realBatch ${value}`, distilled({ realBatch: value }), 'invalid_option', /realBatch: expected a whole number >= 1 but received/],
  ]),
  ...[0, -1, Number.NaN, Number.POSITIVE_INFINITY, '1'].map(
    (value): Row => [`imageLr ${value}`, distilled({ imageLr: value }), 'invalid_option', /imageLr: expected a number > 0 but received/],
  ),
  ...[-1, 0.5, Number.NaN, 2 ** 53].map(
    (value): Row => [`seed ${value}`, distilled({ seed: value }), 'invalid_option', /seed: expected a whole number .* but received/],
  ),
  [
    'more images than a class has',
    distilled({ ipc: 8 }),
    'invalid_option',
    /class 'stripe 2': expected at least 8 .* but received 7; lower ipc/,
  ],
  [
    'more synthetic pixels than one array holds',
    distilled({ ipc: 2 ** 30, init: 'noise' }),
    'out_of_memory',
    /ipc 1073741824: expected at most 8589934592 bytes .*; lower ipc/,
  ],
  [
    'a class without images',
    () => distill(hollow, { ...settings, device }),
    'invalid_option',
    /class 'b': expected at least 1 .* received 0/,
  ],
  ['an unknown method', distilled({ method: 'dmm' }), 'not_found', /method: expected one of .*dm.* but received 'dmm'/],
  ['a method of the prototype', distilled({ method: 'toString' }), 'not_found', /received 'toString'/],
  ['an unknown network', distilled({ network: 'no-such-net' }), 'not_found', /network: expected one of .* but received 'no-such-net'/],
  ['an unknown augmentation', distilled({ augment: 'color_blur' }), 'invalid_option', /augment: expected .* but received 'color_blur'/],
  ['an empty augmentation', distilled({ augment: '' }), 'invalid_option', /augment: expected .* but received ''/],
  ['an unknown start', distilled({ init: 'zeros' }), 'invalid_option', /init: expected 'real' or 'noise' but received 'zeros'/],
]

const badEvaluations: readonly Row[] = [
  ...[0, -2, Number.NaN].flatMap((value): Row[] => [
    [`repeats ${value}`, evaluated({ repeats: value }), 'invalid_option', /repeats: expected a whole number >= 1 but received/],
    [`epochs ${value}`, evaluated({ epochs: value }), 'invalid_option', /epochs: expected a whole number >= 1 but received/],
  ]),
  ['no networks', evaluated({ networks: [] }), 'invalid_option', /networks: expected at least one network/],
  ['an unknown network', evaluated({ networks: ['no-such-net'] }), 'not_found', /received 'no-such-net'/],
  [
    'test images of another size',
    evaluated({ test: createDataset({ ...fields, classes: ['a', 'b', 'c'] }) }),
    'invalid_data',
    /test images: expected .*\[12, 12, 3\].* but received '\[2, 2, 1\]'/,
  ],
  ['test images of other classes', evaluated({ test: stripes([2, 2]) }), 'invalid_data', /test classes: expected 3 .* but received 2/],
  ['more images than a class has', () => randomRealSet(stripes([3, 1]), 2, 0), 'invalid_option', /expected .* but received/],
]

const badData: readonly Row[] = [
  ['a misspelt data set', () => openDataset('cfiar10:x'), 'invalid_option', /unknown data set 'cfiar10'; did you mean 'cifar10'/],
  ['no directory', () => openDataset('mnist'), 'invalid_option', /needs the directory .*mnist:DIR/],
  ['a directory that is not there', () => openDataset(`mnist:${join(freshDir(), 'none')}`), 'not_found', /expected one of .* found none/],
  ['a file that ends early', spoiledMnist((path) => truncateSync(path, 100)), 'invalid_data', /announces 256 bytes but the file has 100/],
  [
    'a file that ends in its header',
    spoiledMnist((path) => truncateSync(path, 7)),
    'invalid_data',
    /header of 16 bytes but the file ends after 7/,
  ],
  ['a file that goes on', spoiledMnist((path) => appendFileSync(path, 'more')), 'invalid_data', /announces 256 bytes but the file has 260/],
  [
    'a damaged gzip file',
    spoiledMnist((path) => truncateSync(path, 40), 't10k-images-idx3-ubyte.gz'),
    'invalid_data',
    /reading failed|ends after/,
  ],
  [
    'a file of CIFAR-10 that ends in a record',
    () => openDataset(`cifar10:${cifarDir(new Uint8Array(3000))}`),
    'invalid_data',
    /multiple of 3073 bytes .* but received 3000/,
  ],
  [
    'a class beyond ten',
    () => openDataset(`cifar10:${cifarDir(new Uint8Array(3073).fill(10))}`),
    'invalid_data',
    /record 0: expected a class in \[0, 10\) but received 10/,
  ],
  ['images of another length', created({ images: new Uint8Array(7) }), 'invalid_data', /images: expected 8 bytes .* but received 7/],
  ['labels of another length', created({ labels: Int32Array.of(0) }), 'invalid_data', /labels: expected 2 labels but received 1/],
  [
    'a label beyond the classes',
    created({ labels: Int32Array.of(0, 2) }),
    'invalid_data',
    /label of image 1: expected a class in \[0, 2\) but received 2/,
  ],
  ['a shape of three dimensions', created({ shape: [2, 2, 2] }), 'invalid_data', /shape: expected four whole numbers/],
  ['a deviation of zero', created({ std: [0] }), 'invalid_data', /std: expected 1 positive numbers/],
  ['a row beyond the set', () => dataset.subset([24]), 'invalid_index', /expected a row in \[0, 24\) but received 24/],
]

describe.each([
  ['settings of a run', badSettings],
  ['settings of an evaluation', badEvaluations],
  ['data sets', badData],
] as const)('%s', (_, rows) => {
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
  })
})

it('frees everything that a refused call had made', async () => {
  expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
  await distill(dataset, { ...settings, device }).result
  expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
})

// methods with centred labels, which would be 0, refuse one class: test/device/label-regression.test.ts
const ofAnyClasses = methodNames.filter((name) => !('regression' in methodByName(name)))
it.each(ofAnyClasses)('%s of a single class is a run like any other', async (method) => {
  const data = stripes([8])
  const matched = 'trajectory' in methodByName(method)
  const { realBatch: _, ...others } = settings
  const general = matched
    ? {
        ...others,
        experts: fakeExperts(networkByName('convnet', data.shape.slice(1) as [number, number, number], 1), data, {
          epochs: 8,
          record: { network: 'convnet' },
        }),
      }
    : settings
  const methodOptions = matched ? { innerSteps: 2, maxStartEpoch: 4, threshold: null } : {}
  const { images, labels } = await distill(data, { ...general, method, methodOptions, device }).result
  expect([labels.length, images.every(Number.isFinite)]).toEqual([1, true])
})

describe('runs that do not end well', () => {
  it.each([1, 2, 40])('a learning rate far too high, %i iterations: not_finite', async (iterations) => {
    // Beyond float32 every pixel is lost; below it the norms of the network may still bring finite images out.
    for (const imageLr of [1e38, 1e300]) {
      const run = distill(dataset, { ...settings, iterations, imageLr, device })
      const events: RunEvent[] = []
      const failure = (async () => {
        for await (const event of run) events.push(event)
      })()
      const outcome = await run.result.then(
        (set) => set.images.every(Number.isFinite),
        (error) => error.code,
      )
      if (outcome === true) expect(imageLr).toBe(1e38)
      else {
        expect(outcome).toBe('not_finite')
        await expect(failure).rejects.toMatchObject({ code: 'not_finite' })
        expect(events.filter(({ type }) => type === 'done')).toEqual([])
      }
      await failure.catch(() => undefined)
    }
    await distill(dataset, { ...settings, device }).result
  })

  it.each([Number.NaN, Number.POSITIVE_INFINITY, 1e38])('a network that starts with weights of %s', async (value) => {
    const base = convNet({ input: [12, 12, 3], classes: 3, depth: 1, width: 4 })
    const [first, ...others] = base.parameters
    const network = { ...base, parameters: [{ ...first, init: { kind: 'constant' as const, value } }, ...others] }
    for (const method of ['dm', 'dc']) {
      await expect(distill(dataset, { ...settings, method, network, device }).result).rejects.toMatchObject({
        code: 'not_finite',
        message: expect.stringMatching(/^the loss of step 1 is NaN.*: look at the normalisation .* weights that the network starts with$/),
      })
    }
    await expect(evaluated({ networks: [network] })()).rejects.toMatchObject({
      code: 'not_finite',
      message: expect.stringMatching(/^the training loss of network 0 is NaN/),
    })
  })

  it('an abort before the start', async () => {
    const run = distill(dataset, { ...settings, device, signal: AbortSignal.abort('no') })
    await expect(run.result).rejects.toMatchObject({ name: 'AbortError', cause: 'no' })
    expect(device.memory().arrayBytes).toBe(0)
  })

  it('a device closed in the middle: disposed, for reader and result alike', async () => {
    const other = await Device.open({ threads: 1 })
    const run = distill(dataset, { ...settings, iterations: 100_000, device: other })
    const read = (async () => {
      for await (const event of run) if (event.type === 'step' && event.step === 3) await other.close()
    })()
    await expect(run.result).rejects.toMatchObject({ code: 'disposed' })
    await expect(read).rejects.toMatchObject({ code: 'disposed' })
  })

  it('a device closed in the middle of an evaluation', async () => {
    const other = await Device.open({ threads: 1 })
    const closing = evaluated({ epochs: 10_000, device: other, onProgress: () => void other.close() })()
    await expect(closing).rejects.toMatchObject({ code: 'disposed' })
  })

  it('a device that was closed before', async () => {
    const other = await Device.open({ threads: 1 })
    await other.close()
    await expect(distill(dataset, { ...settings, device: other }).result).rejects.toMatchObject({ code: 'disposed' })
    await expect(evaluated({ device: other })()).rejects.toMatchObject({ code: 'disposed' })
  })

  it('an evaluation that is aborted, and the next one', async () => {
    await expect(evaluated({ signal: AbortSignal.abort('no') })()).rejects.toMatchObject({ name: 'AbortError', cause: 'no' })
    const controller = new AbortController()
    const aborted = evaluated({ epochs: 10_000, signal: controller.signal, onProgress: () => controller.abort() })()
    await expect(aborted).rejects.toMatchObject({ name: 'AbortError' })
    expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0 })
    expect(await evaluated({})()).toHaveLength(1)
  })

  it('a set saved where a file stands', async () => {
    const set = await distill(dataset, { ...settings, device }).result
    const dir = freshDir()
    const path = write(dir, 'taken', 'text')
    await expect(set.save(path)).rejects.toBeInstanceOf(Error)
    mkdirSync(join(dir, 'free'))
    await set.save(join(dir, 'free'))
    expect(existsSync(join(dir, 'free', 'manifest.json'))).toBe(true)
  })
})
