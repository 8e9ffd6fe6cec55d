/** @file ONNX models in ONNX Runtime: accuracy of sound ones, refusal of unfit ones, and that the device's queue waits meanwhile. */
import { readFileSync } from 'node:fs'
import { writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDataset } from '../../src/data/dataset.js'
import { Device } from '../../src/engine/runtime/device.js'
import { type EvaluateModelOptions, evaluateModel } from '../../src/evaluate/onnx-accuracy.js'
import { encodeModel, type OnnxModel } from '../../src/export/onnx/encode-model.js'
import { OnnxClassifier, RuntimeProcess } from '../../src/onnx/index.js'
import { encoded, externalTensor, meanModel } from '../unit/onnx/models.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

/** Images of one value each; classes 0, 1, 2 in turn. */
const dataset = (values: readonly number[]) =>
  createDataset({
    name: 'flat',
    split: 'test',
    classes: ['a', 'b', 'c'],
    images: Uint8Array.from(values.flatMap((v) => [v, v, v, v])),
    shape: [values.length, 2, 2, 1],
    labels: values.map((_, i) => i % 3),
    mean: [0.5],
    std: [0.5],
    flip: false,
  })
const test = dataset([255, 0, 0, 255, 255, 0])
// After (u/255 - 0.5) the mean model says class 0 for bright images and, on the tie of 0 and 0, class 1 for dark ones.
const centred = { mean: [0.5] }
const measure = (model: Uint8Array | string, options: Partial<EvaluateModelOptions> = centred) =>
  evaluateModel(model, { test, device, ...options })

describe('the accuracy of a model', () => {
  it('is counted over the test images and by class', async () => {
    expect(await measure(await encoded())).toEqual({
      ...{ images: 6, correct: 3, provider: 'cpu' },
      ...{ accuracy: 50, perClass: [100, 50, 0] },
    })
  })

  it('follows the normalisation given', async () => {
    // never below 0: the first class wins every tie
    expect((await measure(await encoded(), { scale: 1 })).perClass).toEqual([100, 0, 0])
    expect((await measure(await encoded(), { scale: 1, mean: [254.5], std: [10] })).perClass).toEqual([100, 50, 0])
  })

  it("follows the model's metadata when none is given", async () => {
    const metadata = { 'aludel.mean': '[0.5]', 'aludel.std': '[0.5]', 'aludel.classes': '["a","b","c"]' }
    expect((await measure(await encoded({ metadata }), {})).perClass).toEqual([100, 50, 0])
  })

  it.each([1, 4, 100])('is the same for a model with a batch of %i', async (batch) => {
    const model = await encoded({ input: { name: 'images', dims: [batch, 1, 2, 2] }, output: { name: 'logits', dims: [batch, 3] } })
    expect((await measure(model)).perClass).toEqual([100, 50, 0])
  })

  it('is read from a file, from the output that fits, and reported on the way', async () => {
    const path = join(tmpdir(), `aludel-model-${process.pid}.onnx`)
    const images: number[] = []
    await writeFile(path, await encoded({ output: { name: 'scores', dims: ['n', 3] }, nodes: renamed('scores') }))
    const { accuracy } = await measure(path, { ...centred, onProgress: (progress) => images.push(progress.images) })
    expect([accuracy, images]).toEqual([50, [6]])
  })
})

const renamed = (output: string): OnnxModel['nodes'] => [meanModel.nodes[0], { ...meanModel.nodes[1], output }]
const taking = (dims: readonly (number | string)[]) => encoded({ input: { name: 'images', dims } })

describe('a model that does not fit', () => {
  it.each<[string, () => Promise<Uint8Array>, Partial<EvaluateModelOptions>, string, RegExp]>([
    ['no normalisation', () => encoded(), {}, 'invalid_option', /does not say how its input is normalised; give mean and std/],
    [
      'another size',
      () => taking(['n', 1, 3, 2]),
      centred,
      'invalid_data',
      /\[N, 1, 2, 2\] as the images are but received '\[n, 1, 3, 2\]'/,
    ],
    ['another side', () => taking(['n', 1, 8, 8]), centred, 'invalid_data', /the model takes 8 pixels.*--size 8/],
    ['channels last', () => taking(['n', 2, 2, 1]), centred, 'invalid_data', /takes NHWC/],
    ['rows', () => taking(['n', 4]), centred, 'invalid_data', /received '\[n, 4\]'/],
    ['a batch of 0', () => taking([0, 1, 2, 2]), centred, 'invalid_data', /batch of at least 1/],
    ['a batch of a terabyte', () => taking([2 ** 36, 1, 2, 2]), centred, 'invalid_data', /a batch of at least 1 and at most 67108864 but/],
    ['a batch beyond whole numbers', () => taking([2 ** 52, 1, 2, 2]), centred, 'invalid_data', /at most 67108864/],
    ['more classes', () => encoded({ output: { name: 'logits', dims: ['n', 4] } }), centred, 'invalid_data', /a logit for each class/],
    [
      'classes in another order',
      () => encoded({ metadata: { 'aludel.classes': '["b","a","c"]' } }),
      centred,
      'invalid_data',
      /those of the data \(a, b, c\)/,
    ],
    [
      'metadata that is none',
      () => encoded({ metadata: { 'aludel.mean': '0.5' } }),
      {},
      'invalid_data',
      /'aludel.mean': expected a JSON list/,
    ],
    ['two means for one channel', () => encoded(), { mean: [1, 2] }, 'invalid_option', /1 or 1 numbers/],
    ['a mean that is no list', () => encoded(), { mean: 0.5 as never }, 'invalid_option', /1 or 1 numbers but received 0.5/],
    ['a deviation of 0', () => encoded(), { std: [0] }, 'invalid_option', /numbers > 0/],
    [
      'an operator that there is not',
      () => encoded({ nodes: [{ ...meanModel.nodes[0], op: 'Flatter' }, meanModel.nodes[1]] }),
      centred,
      'invalid_data',
      /could not load it: .*Flatter/s,
    ],
    ['nodes in a circle', () => encoded({ nodes: circle() }), centred, 'invalid_data', /could not load it: .*not acyclic/s],
    [
      'an output that nothing computes',
      () => encoded({ nodes: renamed('other') }),
      centred,
      'invalid_data',
      /could not load it: .*logits/s,
    ],
    [
      'inner values of four terabytes',
      () => encoded(filledTo(2 ** 20, 2 ** 20)),
      centred,
      'invalid_data',
      /could not run it: .*ConstantOfShape/s,
    ],
    ['inner values of more than all addresses', () => encoded(filledTo(2 ** 40, 2 ** 40)), centred, 'invalid_data', /could not run it/],
    ['a pickle in its place', async () => Uint8Array.of(0x80, 2, 0x7d, 0x71, 0, 0x2e), centred, 'invalid_data', /not an ONNX model/],
    [
      'one number for all images',
      () => encoded({ nodes: summed() }),
      centred,
      'invalid_data',
      /could not run it: .*1 elements for 6 images/,
    ],
    ['data in another file', async () => externalTensor('location'), centred, 'invalid_data', /lies in another file/],
    ['logits that are no numbers', () => encoded({ nodes: dividedByZero() }), centred, 'not_finite', /logit 1 of an image is NaN/],
  ])('for it has %s is refused', async (_, make, options, code, message) => {
    const model = await make()
    await expect(measure(model, options)).rejects.toMatchObject({ code, message: expect.stringMatching(message) })
  })

  it('is refused when it gives another number of logits than it says', async () => {
    const model = await encodeModel({ ...meanModel, nodes: renamed('logits'), output: { name: 'logits', dims: ['n', 'classes'] } })
    const two = createDataset({ ...dataset([0, 255]), classes: ['a', 'b'], labels: [0, 1] })
    await expect(measure(model, { ...centred, test: two })).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining('logits of 2 images: expected 4 numbers but received 6'),
    })
  })

  it('is refused when it is no model at all', async () => {
    for (const model of [undefined, 5, {}, '']) {
      await expect(evaluateModel(model as never, { test, device })).rejects.toMatchObject({
        code: expect.stringMatching(/invalid_option|not_found/),
      })
    }
    await expect(evaluateModel(await encoded(), { test, device, provider: 'tpu' as never })).rejects.toMatchObject({
      code: 'invalid_option',
    })
    await expect(evaluateModel(await encoded(), { test, device, men: [1] } as never)).rejects.toMatchObject({ code: 'invalid_option' })
  })

  it('that is absent is not found', async () => {
    await expect(measure('no-such-model.onnx')).rejects.toMatchObject({ code: 'not_found' })
  })
})

/** The first node takes what the last one gives. */
const circle = (): OnnxModel['nodes'] => [{ ...meanModel.nodes[0], inputs: ['logits'] }, meanModel.nodes[1]]

const summed = (): OnnxModel['nodes'] => [
  ...renamed('each'),
  { op: 'ReduceSum', inputs: ['each'], output: 'logits', attributes: { keepdims: 0 } },
]

/** The logits plus the sum over zeros of any shape. */
const filledTo = (...dims: number[]): Partial<OnnxModel> => ({
  initializers: [...meanModel.initializers, { name: 'dims', dims: [dims.length], dtype: 'i64', data: BigInt64Array.from(dims, BigInt) }],
  nodes: [
    ...renamed('each'),
    { op: 'ConstantOfShape', inputs: ['dims'], output: 'zeros', attributes: {} },
    { op: 'ReduceSum', inputs: ['zeros'], output: 'sum', attributes: { keepdims: 0 } },
    { op: 'Add', inputs: ['each', 'sum'], output: 'logits', attributes: {} },
  ],
})

/** logits / logits: 0 / 0 for the last two. */
const dividedByZero = (): OnnxModel['nodes'] => [
  ...renamed('sums'),
  { op: 'Div', inputs: ['sums', 'sums'], output: 'logits', attributes: {} },
]

describe('the process of ONNX Runtime', () => {
  const load = async (runtime: RuntimeProcess, signal?: AbortSignal) =>
    OnnxClassifier.load(runtime, 'model', await encoded(), {
      ...{ device, image: [2, 2, 1] as const, classes: test.classes, normalization: {} },
      ...(signal && { signal }),
    })

  it('may die: what waits for it is refused, and this one goes on', async () => {
    const runtime = await RuntimeProcess.open()
    const classifier = await load(runtime)
    process.kill(runtime.pid as number, 'SIGKILL')
    await expect(classifier.logits(test.images, 6)).rejects.toMatchObject({
      code: 'invalid_data',
      message: expect.stringContaining('the process of ONNX Runtime ended (SIGKILL)'),
    })
    const array = device.array('f32', [1], Float32Array.of(7))
    expect(await array.read()).toEqual(Float32Array.of(7))
  })

  it.skipIf(process.platform !== 'linux')('is the one that the system ends when a model takes all memory', async () => {
    const runtime = await RuntimeProcess.open()
    const score = (pid: number | 'self') => Number(readFileSync(`/proc/${pid}/oom_score_adj`, 'utf8'))
    expect([score(runtime.pid as number), score('self') < 1000]).toEqual([1000, true])
    runtime.close()
  })

  it('ends when the signal aborts', async () => {
    const abort = new AbortController()
    const reason = new Error('enough')
    const running = measure(await encoded(), {
      ...centred,
      signal: abort.signal,
      onProgress: () => abort.abort(reason),
      test: dataset(Array(900).fill(1)),
    })
    await expect(running).rejects.toMatchObject({ name: 'AbortError', cause: reason })
    await expect(measure(await encoded(), { ...centred, signal: AbortSignal.abort() })).rejects.toMatchObject({ name: 'AbortError' })
  })

  it('loads and computes only while it holds the device', async () => {
    const order: string[] = []
    const hold = device.hold.bind(device)
    vi.spyOn(device, 'hold').mockImplementation((work) =>
      hold(async () => {
        order.push('in')
        return work().finally(() => order.push('out'))
      }),
    )
    for (const name of ['load', 'run'] as const) {
      const original = RuntimeProcess.prototype[name] as (...args: unknown[]) => unknown
      vi.spyOn(RuntimeProcess.prototype, name).mockImplementation(function (this: RuntimeProcess, ...args: unknown[]) {
        order.push(name)
        return original.apply(this, args) as never
      })
    }
    try {
      await measure(await encoded())
    } finally {
      vi.restoreAllMocks()
    }
    expect(order).toEqual(['in', 'load', 'out', 'in', 'run', 'out'])
  })

  it('holds several models', async () => {
    const runtime = await RuntimeProcess.open()
    const [first, second] = [await load(runtime), await load(runtime)]
    const both = [await first.logits(test.images, 6), await second.logits(test.images, 6)]
    expect(both[0]).toEqual(both[1])
    await first.unload()
    expect(await second.logits(test.images, 6)).toEqual(both[1])
    runtime.close()
    runtime.close()
    await expect(second.logits(test.images, 6)).rejects.toMatchObject({ code: 'disposed' })
  })
})

describe('a held device', () => {
  it('runs nothing submitted later until the work has ended, and everything submitted before', async () => {
    const array = device.array('f32', [1])
    const order: string[] = []
    const before = array.write(Float32Array.of(1)).then(() => order.push('before'))
    let release = () => {}
    const held = device.hold(async () => {
      order.push('held')
      await new Promise<void>((resolve) => {
        release = resolve
      })
      order.push('let go')
      return 5
    })
    const after = array.read().then(() => order.push('after'))
    await before
    while (!order.includes('held')) await new Promise(setImmediate)
    // the read had time to overtake, were it able to
    await new Promise((resolve) => setTimeout(resolve, 50))
    release()
    expect(await held).toBe(5)
    await after
    expect(order).toEqual(['before', 'held', 'let go', 'after'])
  })

  it('goes on when the work fails', async () => {
    const array = device.array('f32', [1], Float32Array.of(3))
    await expect(device.hold(() => Promise.reject(new Error('no')))).rejects.toThrow('no')
    await expect(
      device.hold(() => {
        throw new Error('at once')
      }),
    ).rejects.toThrow('at once')
    expect(await array.read()).toEqual(Float32Array.of(3))
  })

  it('is closed after the work, and cannot be held then', async () => {
    const own = await Device.open({ threads: 1 })
    const order: string[] = []
    const held = own.hold(async () => {
      await new Promise((resolve) => setTimeout(resolve, 20))
      order.push('held')
    })
    await Promise.all([held, own.close().then(() => order.push('closed'))])
    expect(order).toEqual(['held', 'closed'])
    await expect(own.hold(async () => 0)).rejects.toMatchObject({ code: 'disposed' })
  })

  it('is refused without a function', async () => {
    await expect(device.hold(undefined as never)).rejects.toMatchObject({ code: 'invalid_option' })
  })
})
