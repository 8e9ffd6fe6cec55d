/** @file The direct kernels against plain float64 formulas: every kind of input and output, gradients, threads. */
import { Worker } from 'node:worker_threads'
import ndarray from 'ndarray'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type ArrayInput, attentionMatch, el2n, perSampleLoss } from '../../src/direct/index.js'
import { DeviceArray } from '../../src/engine/runtime/array.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { normal, uniform } from '../../src/engine/tensor/philox.js'
import { attentionReference, lossReference } from './direct-reference.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const normals = (n: number, scale = 1, stream = 0) => Float32Array.from(normal(keyOf(3), 0, stream, n), (v) => v * scale)
const labelsOf = (rows: number, classes: number) => Int32Array.from({ length: rows }, (_, i) => (i * 7 + 3) % classes)
function softLabels(rows: number, classes: number): Float32Array {
  const raw = Float32Array.from(uniform(keyOf(4), 0, 1, rows * classes))
  return raw.map((v, i) => (i % 3 === 0 ? 0 : v))
}
const eps = 2 ** -24

/** Each result within `roundings` float32 roundings of the largest number that went into it. */
function expectClose(received: ArrayLike<number>, reference: ArrayLike<number>, magnitude: number, roundings = 8): void {
  expect(received.length).toBe(reference.length)
  let worst = 0
  for (let i = 0; i < reference.length; i++) worst = Math.max(worst, Math.abs(received[i] - reference[i]))
  expect(worst).toBeLessThanOrEqual(roundings * eps * Math.max(1, magnitude))
}

const largest = (data: Float32Array) => data.reduce((most, v) => Math.max(most, Math.abs(v)), 0)

describe('perSampleLoss', () => {
  const shapes = [
    [1, 1],
    [5, 2],
    [3, 10],
    [1000, 10],
    [7, 17],
    [4, 1000],
    [2, 4099],
    [33, 100],
  ] as const

  it.each(shapes)('hard labels, [%i, %i]', async (rows, classes) => {
    const [logits, labels] = [normals(rows * classes, 5), labelsOf(rows, classes)]
    const reference = lossReference(logits, labels, classes)
    const result = await perSampleLoss({ data: logits, shape: [rows, classes] }, labels, { device, gradient: true })
    const size = largest(logits)
    expectClose(result.loss, reference.loss, size)
    expectClose(result.el2n, reference.el2n, 1)
    expectClose(result.gradient, reference.gradient, 1)
    const scores = await el2n({ data: logits, shape: [rows, classes] }, labels, { device })
    expect(scores).toEqual(result.el2n)
  })

  it.each(shapes)('soft labels of any row sum, [%i, %i]', async (rows, classes) => {
    const [logits, labels] = [normals(rows * classes, 5), softLabels(rows, classes)]
    const reference = lossReference(logits, labels, classes)
    const [z, t] = [logits, labels].map((data) => ({ data, shape: [rows, classes] }))
    const result = await perSampleLoss(z, t, { device, gradient: true })
    const total = classes // at most 1 per class
    expectClose(result.loss, reference.loss, total * largest(logits))
    expectClose(result.el2n, reference.el2n, Math.sqrt(total))
    expectClose(result.gradient, reference.gradient, total)
  })

  it('stays finite at logits of 1e4, and passes over classes of -Infinity', async () => {
    const logits = Float32Array.of(1e4, -1e4, 0, 0, 1e4, 1e4, 1, Number.NEGATIVE_INFINITY, 2)
    const labels = Int32Array.of(1, 2, 0)
    const { loss, el2n } = await perSampleLoss({ data: logits, shape: [3, 3] }, labels, { device })
    expectClose(loss, [2e4, Math.log(2), Math.log(1 + Math.E)], 2e4)
    expectClose(el2n, [Math.SQRT2, Math.hypot(0.5, 0.5), Math.hypot(1, 1) / (1 + 1 / Math.E)], 1)
  })

  it.each([2, 10, 300])('small losses and scores keep their digits, %i classes', async (classes) => {
    const logits = new Float32Array(classes * 3).fill(-18)
    for (const row of [0, 1, 2]) logits[row * classes + 1] = row * 4
    // equal numbers are the worst ones to add: each of up to 64 additions in a run rounds the same way
    const soft = Float32Array.from(logits, (_, i) => Number(i % classes === 1))
    for (const labels of [new Int32Array(3).fill(1), { data: soft, shape: [3, classes] }]) {
      const { loss, el2n, gradient } = await perSampleLoss({ data: logits, shape: [3, classes] }, labels, { device, gradient: true })
      for (let row = 0; row < 3; row++) {
        const rest = (classes - 1) * Math.exp(-18 - row * 4)
        expect(Math.abs(loss[row] / Math.log1p(rest) - 1)).toBeLessThan(64 * eps)
        if (labels instanceof Int32Array) {
          const score = (rest * Math.sqrt(1 + 1 / (classes - 1))) / (1 + rest)
          expect(Math.abs(el2n[row] / score - 1)).toBeLessThan(64 * eps)
          expect(Math.abs((gradient[row * classes + 1] * (1 + rest)) / -rest - 1)).toBeLessThan(64 * eps)
        }
      }
    }
  })

  it('reduces: a sum and a mean, and the gradient of each', async () => {
    const [logits, labels] = [normals(60, 2), labelsOf(6, 10)]
    const { loss, gradient } = lossReference(logits, labels, 10)
    const total = loss.reduce((a, b) => a + b)
    for (const [reduction, count] of [
      ['sum', 1],
      ['mean', 6],
    ] as const) {
      const result = await perSampleLoss({ data: logits, shape: [6, 10] }, labels, { device, reduction, gradient: true })
      expectClose(result.loss, [total / count], total)
      expect(result.el2n).toHaveLength(6)
      expectClose(
        result.gradient,
        gradient.map((g) => g / count),
        1,
      )
    }
  })

  it.each([
    [1, 1],
    [7, 3],
    [300, 2051],
  ])('norms of the last layer of %i samples with %i features', async (rows, width) => {
    const [logits, labels, h] = [normals(rows * 10, 3), labelsOf(rows, 10), normals(rows * width, 2, 1)]
    const z = { data: logits, shape: [rows, 10] }
    const plain = await perSampleLoss(z, labels, { device })
    const { grandLastLayer, ...others } = await perSampleLoss(z, labels, { device, features: { data: h, shape: [rows, width] } })
    expect(others).toEqual(plain)
    const { el2n } = lossReference(logits, labels, 10)
    const wanted = el2n.map((norm, i) => norm * Math.hypot(1, ...h.subarray(i * width, (i + 1) * width)))
    expectClose(grandLastLayer, wanted, Math.max(...wanted))
  })

  it('gives the last layer where it is asked to, beside a reduced loss and a gradient', async () => {
    const [logits, labels, h] = [normals(60), labelsOf(6, 10), normals(18)]
    const features = device.array('f32', [6, 3], h)
    const into = { grandLastLayer: device.array('f32', [6]) }
    const options = { device, features, into, reduction: 'mean', gradient: true } as const
    const { loss, grandLastLayer, gradient } = await perSampleLoss({ data: logits, shape: [6, 10] }, labels, options)
    expect(grandLastLayer).toBe(into.grandLastLayer)
    expect([loss.length, gradient.length]).toEqual([1, 60])
    const alone = await perSampleLoss({ data: logits, shape: [6, 10] }, labels, { device, features })
    expect(await grandLastLayer.read()).toEqual(alone.grandLastLayer)
    for (const array of [features, grandLastLayer]) array.dispose()
  })

  it('takes any number of leading axes', async () => {
    const [logits, labels] = [normals(120), labelsOf(12, 10)]
    const flat = await perSampleLoss({ data: logits, shape: [12, 10] }, labels, { device })
    const deep = await perSampleLoss({ data: logits, shape: [2, 3, 2, 10] }, { data: labels, shape: [2, 3, 2] }, { device })
    expect(deep).toEqual(flat)
    const one = await perSampleLoss(logits.subarray(0, 10), { data: labels.subarray(0, 1), shape: [] }, { device })
    expect(one.loss).toEqual(flat.loss.subarray(0, 1))
  })
})

describe('inputs', () => {
  const [rows, classes] = [6, 10]
  const logits = normals(rows * classes)
  const labels = labelsOf(rows, classes)
  const plain = () => perSampleLoss({ data: logits, shape: [rows, classes] }, labels, { device, gradient: true })
  const transposed = Float32Array.from(logits, (_, i) => logits[(i % rows) * classes + Math.floor(i / rows)])
  const spread = Float32Array.from({ length: rows * classes * 2 + 3 }, (_, i) => (i % 2 === 1 && i > 2 ? logits[(i - 3) / 2] : Number.NaN))
  const reversed = logits.slice().reverse()
  const shared = new Float32Array(new SharedArrayBuffer(logits.byteLength))
  shared.set(logits)

  it.each<[string, () => ArrayInput]>([
    ['ndarray', () => ndarray(logits, [rows, classes])],
    ['a transposed ndarray', () => ndarray(transposed, [classes, rows]).transpose(1, 0)],
    ['an ndarray with every other element from an offset', () => ndarray(spread, [rows, classes], [2 * classes, 2], 3)],
    ['a reversed ndarray', () => ndarray(reversed, [rows, classes]).step(-1, -1)],
    ['a picked ndarray', () => ndarray(Float32Array.of(...logits, ...logits), [2, rows, classes]).pick(1, null, null)],
    ['a view with strides, as @stdlib/ndarray has', () => ({ data: transposed, shape: [rows, classes], strides: [1, rows], offset: 0 })],
    ['shared memory', () => ({ data: shared, shape: [rows, classes] })],
    [
      'a part of a larger buffer',
      () => ({ data: Float32Array.of(9, 9, ...logits, 9).subarray(2, 2 + rows * classes), shape: [rows, classes] }),
    ],
    ['an array of the device', () => device.array('f32', [rows, classes], logits)],
  ])('logits as %s', async (_, make) => {
    const input = make()
    expect(await perSampleLoss(input, labels, { device, gradient: true })).toEqual(await plain())
    if (input instanceof DeviceArray) input.dispose()
  })

  it.each([Int8Array, Uint8Array, Uint8ClampedArray, Int16Array, Uint16Array, Uint32Array])('labels as %o', async (type) => {
    expect(await perSampleLoss({ data: logits, shape: [rows, classes] }, type.from(labels), { device, gradient: true })).toEqual(
      await plain(),
    )
  })

  it('labels repeated by a stride of 0', async () => {
    const [z, one] = [{ data: logits, shape: [rows, classes] }, Int32Array.of(4)]
    const repeated = await perSampleLoss(z, { data: one, shape: [rows], stride: [0] }, { device })
    expect(repeated).toEqual(await perSampleLoss(z, new Int32Array(rows).fill(4), { device }))
  })

  it('are copied before the call returns: they may be overwritten, transferred and disposed', async () => {
    const wanted = await plain()
    const [data, own] = [logits.slice(), labels.slice()]
    const call = perSampleLoss({ data, shape: [rows, classes] }, own, { device, gradient: true })
    own.fill(99)
    structuredClone(data.buffer, { transfer: [data.buffer] })
    expect(await call).toEqual(wanted)
    const arrays = [device.array('f32', [rows, classes], logits), device.array('i32', [rows], labels)] as const
    const other = perSampleLoss(...arrays, { device, gradient: true })
    for (const array of arrays) array.dispose()
    expect(await other).toEqual(wanted)
  })

  it('on the device stay there, unchanged, and nothing else stays', async () => {
    const before = device.memory().arrayBytes
    const z = device.array('f32', [rows, classes], logits)
    const y = device.array('i32', [rows], labels)
    const { loss, el2n, gradient } = await perSampleLoss(z, y, { device, gradient: true, out: 'array' })
    expect([loss.shape, el2n.shape, gradient.shape]).toEqual([[rows], [rows], [rows, classes]])
    expect({ loss: await loss.read(), el2n: await el2n.read(), gradient: await gradient.read() }).toEqual(await plain())
    expect(await z.read()).toEqual(logits)
    for (const array of [z, y, loss, el2n, gradient]) array.dispose()
    expect(device.memory().arrayBytes).toBe(before)
  })
})

describe('results into the caller’s arrays', () => {
  const [rows, classes] = [6, 4]
  const logits = normals(rows * classes)
  const labels = labelsOf(rows, classes)
  const plain = () => perSampleLoss({ data: logits, shape: [rows, classes] }, labels, { device, gradient: true })
  const z = () => device.array('f32', [rows, classes], logits)
  const y = () => device.array('i32', [rows], labels)

  it('are the results, call after call, and stay the caller’s', async () => {
    const before = device.memory().arrayBytes
    const into = {
      loss: device.array('f32', [rows]),
      el2n: device.array('f32', [rows]),
      gradient: device.array('f32', [rows, classes]),
    }
    const inputs = [z(), y()] as const
    const own = device.memory().arrayBytes
    for (let call = 0; call < 2; call++) {
      const given = await perSampleLoss(...inputs, { device, gradient: true, into })
      expect(given).toEqual(into)
      const read = Object.entries(into).map(async ([name, array]) => [name, await array.read()])
      expect(Object.fromEntries(await Promise.all(read))).toEqual(await plain())
    }
    expect(device.memory().arrayBytes).toBe(own)
    expect(await el2n(...inputs, { device, into: { el2n: into.loss } })).toBe(into.loss)
    expect(await into.loss.read()).toEqual(await into.el2n.read())
    for (const array of [...inputs, ...Object.values(into)]) array.dispose()
    expect(device.memory().arrayBytes).toBe(before)
  })

  it('stand beside results of the other kinds', async () => {
    const [loss, inputs] = [device.array('f32', []), [z(), y()] as const]
    const given = await perSampleLoss(...inputs, { device, reduction: 'sum', into: { loss } })
    expect(given.loss).toBe(loss)
    expect([...(await loss.read())]).toEqual([...(await perSampleLoss(...inputs, { device, reduction: 'sum' })).loss])
    expect(given.el2n).toEqual((await plain()).el2n)
    for (const array of [loss, ...inputs]) array.dispose()
  })

  it('outlive a call that fails', async () => {
    const loss = device.array('f32', [rows])
    const wrong = Int32Array.from(labels)
    wrong[1] = classes
    await expect(perSampleLoss(z(), wrong, { device, into: { loss } })).rejects.toMatchObject({ code: 'invalid_index' })
    expect([...(await loss.read())]).toEqual(Array(rows).fill(0))
    loss.dispose()
  })

  it('are refused where they do not fit', async () => {
    const [input, loss] = [z(), device.array('f32', [rows])]
    const call = (into: object, more = {}) => perSampleLoss(input, labels, { device, into, ...more } as never)
    await expect(call({ losses: loss })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(call({ loss: new Float32Array(rows) })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(call({ gradient: input })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(call({ gradient: input }, { gradient: true })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(call({ loss, el2n: loss })).rejects.toMatchObject({ code: 'invalid_option' })
    await expect(call({ loss: input })).rejects.toMatchObject({ code: 'invalid_shape' })
    loss.dispose()
    await expect(call({ loss })).rejects.toMatchObject({ code: 'disposed' })
    expect(await input.read()).toEqual(logits)
    input.dispose()
  })
})

describe('attentionMatch', () => {
  const shape = [7, 3, 5, 6]
  const size = 7 * 3 * 5 * 6
  const [real, synthetic] = [normals(size, 2, 5), normals((size / 7) * 4, 2, 6)]
  const maps = (data: Float32Array) => ({ data, shape: [(data.length * 7) / size, 3, 5, 6] })
  const classes = { count: 3, real: Int32Array.of(0, 1, 0, 0, 1, 2, 1), synthetic: Uint8Array.of(1, 0, 1, 0) }

  it.each([
    {},
    { spatialPower: 1, channelPower: 2 },
    { spatialPower: 3, channelPower: 2.5, channelWeight: 0.25 },
    { spatialWeight: 0 },
    { channelWeight: 0, spatialWeight: 100 },
    { classes },
    { classes, spatialPower: 0.5, channelPower: 1 },
  ])('value and gradient with %o', async (options) => {
    const reference = attentionReference({ real, synthetic, shape }, options)
    const { loss, spatial, channel, gradient } = await attentionMatch(maps(real), maps(synthetic), { ...options, device, gradient: true })
    const weight = Math.max(options.spatialWeight ?? 1, options.channelWeight ?? 1)
    expectClose([loss], [reference.loss], weight)
    for (const [value, wanted] of [
      [spatial, reference.spatial],
      [channel, reference.channel],
    ])
      if (value === null) expect(wanted).toBeNull()
      else expectClose([value as number], [wanted as number], 1)
    expectClose(gradient, reference.gradient, largest(Float32Array.from(reference.gradient)) + weight, 32)
  })

  it('images of zeros have a gradient of zeros', async () => {
    const zeros = new Float32Array(synthetic.length)
    for (const power of [0.5, 1, 4]) {
      const options = { device, gradient: true, spatialPower: power, channelPower: power } as const
      expect((await attentionMatch(maps(real), maps(zeros), options)).gradient.every((g) => g === 0)).toBe(true)
    }
  })

  it('takes maps of channels first as a transposed view, and arrays of the device', async () => {
    const first = Float32Array.from(synthetic, (_, i) => {
      const [row, channel, position] = [Math.floor(i / 90), Math.floor(i / 15) % 6, i % 15]
      return synthetic[row * 90 + position * 6 + channel]
    })
    const wanted = await attentionMatch(maps(real), maps(synthetic), { device, gradient: true })
    const array = device.array('f32', shape, real)
    const view = ndarray(first, [4, 6, 3, 5]).transpose(0, 2, 3, 1)
    expect(await attentionMatch(array, view, { device, gradient: true })).toEqual(wanted)
    const { gradient } = await attentionMatch(array, view, { device, gradient: true, out: 'array' })
    expect(await gradient.read()).toEqual(wanted.gradient)
    for (const one of [array, gradient]) one.dispose()
  })
})

describe('threads', () => {
  it('the same bits at any number of threads', async () => {
    const other = await Device.open({ threads: 3, isa: device.isa })
    const z = { data: normals(5000 * 37), shape: [5000, 37] }
    const maps = { data: normals(16 * 8 * 8 * 32), shape: [16, 8, 8, 32] }
    const both = [device, other].map(async (on) => [
      await perSampleLoss(z, labelsOf(5000, 37), { device: on, gradient: true, reduction: 'mean' }),
      await attentionMatch(maps, maps, { device: on, gradient: true }),
    ])
    const [one, two] = await Promise.all(both)
    expect(one).toEqual(two)
    await other.close()
  })

  it('calls in a worker thread, on shared memory', async () => {
    const [logits, labels] = [normals(40), labelsOf(4, 10)]
    const shared = new Float32Array(new SharedArrayBuffer(logits.byteLength))
    shared.set(logits)
    const source = `
      import { parentPort, workerData } from 'node:worker_threads'
      import { openDevice, perSampleLoss } from ${JSON.stringify(new URL('../../dist/index.js', import.meta.url).href)}
      const device = await openDevice({ device: 'cpu', threads: 1 })
      const result = await perSampleLoss({ data: workerData.shared, shape: [4, 10] }, workerData.labels, { device })
      await device.close()
      parentPort.postMessage(result)`
    const worker = new Worker(new URL(`data:text/javascript,${encodeURIComponent(source)}`), { workerData: { shared, labels } })
    const result = await new Promise((resolve, reject) => worker.once('message', resolve).once('error', reject))
    await worker.terminate()
    expect(result).toEqual(await perSampleLoss({ data: logits, shape: [4, 10] }, labels, { device }))
  })

  it('many calls at once, more shapes than are kept', async () => {
    const calls = Array.from({ length: 100 }, async (_, i) => {
      const [rows, classes] = [1 + (i % 50), 2 + i]
      const [logits, labels] = [normals(rows * classes), labelsOf(rows, classes)]
      const { loss } = await perSampleLoss({ data: logits, shape: [rows, classes] }, labels, { device })
      expectClose(loss, lossReference(logits, labels, classes).loss, largest(logits))
    })
    await Promise.all(calls)
  })
})
