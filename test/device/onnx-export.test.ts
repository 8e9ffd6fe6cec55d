/** @file Exported networks under ONNX Runtime: the engine's logits, for every network by name and every option of the ConvNet. */
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Whitening } from '../../src/data/whitening.js'
import { add, logSoftmax, matmul, mean, mul, reshape, reverse, sizeOf, slice, sum, transpose } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { exportOnnx, type NetworkTensors, type OnnxDescription } from '../../src/export/onnx/export-network.js'
import { nchwToNhwc, nhwcToNchw, parameterToTorch } from '../../src/nn/layout.js'
import type { MapShape, Network } from '../../src/nn/module.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { mlp } from '../../src/nn/networks/mlp.js'
import { networkByName, networkNames } from '../../src/nn/networks/registry.js'
import { vit } from '../../src/nn/networks/vit.js'
import { readModel } from '../../src/onnx/read-model.js'
import { packageVersion } from '../../src/package-root.js'
import { engineLogits, randomFloats, randomTensors } from './network-tensors.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const describeNetwork = ({ input, classes }: Network): OnnxDescription => ({
  mean: Array(input[2]).fill(0.5),
  std: Array(input[2]).fill(0.25),
  classes: Array.from({ length: classes }, (_, c) => `class ${c}`),
})
const exported = (network: Network, tensors: NetworkTensors) => exportOnnx(network, tensors, describeNetwork(network))

async function runtimeLogits(model: Uint8Array, images: Float32Array, [height, width, channels]: MapShape): Promise<Float32Array> {
  const session = await InferenceSession.create(model, { intraOpNumThreads: 1, logSeverityLevel: 3 })
  const rows = images.length / (height * width * channels)
  const nchw = nhwcToNchw(images, [rows, height, width, channels])
  const { logits } = await session.run({ images: new Tensor('float32', nchw, [rows, channels, height, width]) })
  await session.release()
  return logits.data as Float32Array
}

async function checkAgreement(network: Network, rows = 3): Promise<Uint8Array> {
  const tensors = randomTensors(network)
  const images = randomFloats('images', rows * sizeOf(network.input)).map((v) => 2 * v)
  const model = await exported(network, tensors)
  const wanted = await engineLogits(device, network, tensors, images)
  const received = await runtimeLogits(model, images, network.input)
  expect(received.length).toBe(wanted.length)
  const largest = Math.max(1, ...wanted.map(Math.abs))
  received.forEach((v, i) => {
    expect(Math.abs(v - wanted[i]) / largest, `logit ${i}: ${v} against ${wanted[i]}`).toBeLessThanOrEqual(1e-4)
  })
  return model
}

describe('a network by name, exported', () => {
  // The deepest ConvNet halves its map six times.
  it.each(networkNames)('%s gives the same logits', async (name) => {
    const side = name === 'convnet-d6' ? 64 : 32
    await checkAgreement(networkByName(name, [side, side, 3], 10))
  })

  it.each(['convnet', 'lenet', 'mlp', 'alexnet', 'vgg11', 'resnet18', 'vit'])('%s does on gray images of 28 pixels', async (name) => {
    await checkAgreement(networkByName(name, [28, 28, 1], 4))
  })
})

describe('a ViT, exported', () => {
  const small = { input: [8, 12, 3], classes: 5, patch: 4, width: 12, depth: 2, heads: 3, hidden: 10 } as const

  it.each(['class', 'mean'] as const)('with the %s token takes batches of any size', async (pool) => {
    for (const rows of [1, 2, 5]) await checkAgreement(vit({ ...small, pool }), rows)
  })

  it('holds the parameters under their names in the order of PyTorch, the class token among the positions', async () => {
    const network = vit(small)
    const tensors = randomTensors(network)
    const { tensors: stored } = readModel('model', await exported(network, tensors))
    const bytes = (data: Float32Array) => new Uint8Array(data.slice().buffer)
    for (const specification of network.parameters.filter(({ name }) => name !== 'position' && name !== 'class')) {
      const data = Float32Array.from(parameterToTorch(specification, tensors.parameters[specification.name]))
      expect(stored.get(specification.name)?.data, specification.name).toEqual(bytes(data))
    }
    const { position, class: token } = tensors.parameters
    expect(stored.get('position')?.data).toEqual(bytes(position.map((v, i) => (i < 12 ? Math.fround(v + token[i]) : v))))
  })
})

describe('a ConvNet, exported', () => {
  const input = [10, 14, 2] as const
  const combinations = (['none', 'instance', 'batch', 'layer', 'group'] as const).flatMap((norm) =>
    (['relu', 'sigmoid', 'leakyrelu'] as const).flatMap((activation) =>
      (['avg', 'max', 'none'] as const).map((pooling) => ({ norm, activation, pooling })),
    ),
  )

  it.each(combinations)('with $norm norm, $activation and $pooling pooling gives the same logits without a Transpose', async (options) => {
    const network = convNet({ input, classes: 5, depth: 2, width: 8, ...options })
    const model = readModel('model', await checkAgreement(network))
    expect(model.operators).not.toContain('Transpose')
  })

  it('takes batches of any size', async () => {
    const network = convNet({ input, classes: 5, depth: 2, width: 8 })
    for (const rows of [1, 2, 7]) await checkAgreement(network, rows)
  })

  it('holds the parameters under their names in the order of PyTorch', async () => {
    const network = convNet({ input, classes: 5, depth: 2, width: 8, norm: 'batch' })
    const tensors = randomTensors(network)
    const { tensors: stored } = readModel('model', await exported(network, tensors))
    for (const specification of network.parameters) {
      const own = stored.get(specification.name)
      const bytes = Float32Array.from(parameterToTorch(specification, tensors.parameters[specification.name]))
      expect(own?.data, specification.name).toEqual(new Uint8Array(bytes.buffer))
    }
    for (const { name } of network.state) {
      expect(stored.get(name)?.data, name).toEqual(new Uint8Array(Float32Array.from(tensors.state[name]).buffer))
    }
    expect(stored.get('conv0.weight')?.dims).toEqual([8, 2, 3, 3])
    expect(stored.get('fc.weight')?.dims).toEqual([5, 8 * 2 * 3])
  })

  it('with a whitening gives the logits of whitened images', async () => {
    const [rows, d] = [5, sizeOf(input)]
    const network = convNet({ input, classes: 5, depth: 2, width: 8 })
    const [mean, transform] = [randomFloats('mean', d), randomFloats('transform', d * d).map((v) => v / 16)]
    const whitening = { image: input, mean, transform, inverse: transform, sha256: '' } as unknown as Whitening
    const tensors = randomTensors(network)
    const images = randomFloats('images', rows * d)
    const flat = nhwcToNchw(images, [rows, ...input])
    const whitened = Float32Array.from({ length: rows * d }, (_, i) => {
      let sum = 0
      for (let j = 0; j < d; j++) sum += (flat[Math.floor(i / d) * d + j] - mean[j]) * transform[j * d + (i % d)]
      return sum
    })
    const wanted = await engineLogits(device, network, tensors, nchwToNhwc(whitened, [rows, input[2], input[0], input[1]]))
    const model = await exportOnnx(network, tensors, { ...describeNetwork(network), whitening })
    const received = await runtimeLogits(model, images, input)
    const largest = Math.max(1, ...wanted.map(Math.abs))
    for (const [i, v] of received.entries()) expect(Math.abs(v - wanted[i]) / largest).toBeLessThanOrEqual(1e-4)
    const other = { ...describeNetwork(network), whitening: { ...whitening, image: [4, 4, 2] } as Whitening }
    await expect(exportOnnx(network, tensors, other)).rejects.toMatchObject({ code: 'invalid_data' })
  })

  it('states operator set, producer, normalisation and classes', async () => {
    const network = convNet({ input, classes: 5, depth: 1, width: 4 })
    const model = readModel('model', await exported(network, randomTensors(network)))
    expect(model).toMatchObject({ irVersion: 8, opsets: { '': 17 }, producer: `aludel ${packageVersion}` })
    expect(model.metadata).toEqual({
      'aludel.network': '"convnet1"',
      'aludel.mean': '[0.5,0.5]',
      'aludel.std': '[0.25,0.25]',
      'aludel.classes': JSON.stringify(describeNetwork(network).classes),
    })
    expect(model.inputs).toEqual([{ name: 'images', elementType: 1, dims: ['batch', 2, 10, 14] }])
    expect(model.outputs).toEqual([{ name: 'logits', elementType: 1, dims: ['batch', 5] }])
  })

  it('gives the same bytes every time', async () => {
    const network = convNet({ input, classes: 5, depth: 1, width: 4 })
    const tensors = randomTensors(network)
    expect(await exported(network, tensors)).toEqual(await exported(network, tensors))
  })
})

describe("a network of the caller's, exported", () => {
  const base = mlp({ input: [4, 4, 3], classes: 3, depth: 1 })
  const logitsOf = (
    build: (x: Parameters<Network['apply']>[1], p: Parameters<Network['apply']>[0]) => ReturnType<typeof matmul>,
  ): Network => ({
    ...base,
    name: 'own',
    apply: (p, x) => ({ logits: build(x, p), embedding: x, taps: [], state: {} }),
  })
  const rows = (x: Parameters<Network['apply']>[1]) => reshape(x, [1, -1, 48])

  it('may average over pixels, gate channels and change scales', async () => {
    await checkAgreement(
      logitsOf((x, p) => {
        const pooled = mean(x, { axes: [2, 3] })
        const gate = reshape(pooled, [x.shape[0], x.shape[1], 1, 1, 3])
        const gated = mul(add(x, 0.5), gate)
        return matmul(rows(gated), p['fc.weight'])
      }),
    )
  })

  it('may swap height and width, cut maps and sum over tokens', async () => {
    await checkAgreement(
      logitsOf((x, p) => {
        const turned = transpose(x, [0, 1, 3, 2, 4])
        const right = slice(turned, [0, 0, 0, 1, 0], [1, x.shape[1], 4, 4, 3], [1, 1, 1, 2, 1])
        const tokens = sum(reshape(right, [1, x.shape[1], 8, 3]), { axes: [2] })
        return add(matmul(rows(turned), p['fc.weight']), tokens)
      }),
    )
  })

  it.each([
    ['an op without a form', logitsOf((x, p) => matmul(rows(reverse(x, [2])), p['fc.weight'])), 'reverse'],
    [
      'images that mix',
      logitsOf((x, p) => matmul(reshape(transpose(rows(x), [0, 2, 1]), [1, x.shape[1], 48]), p['fc.weight'])),
      'transpose',
    ],
    ['images that are cut', logitsOf((x, p) => matmul(rows(reshape(x, [1, 48, x.shape[1]])), p['fc.weight'])), 'reshape'],
    ['logits of another shape', logitsOf((x) => rows(x)), '[G, N, 3]'],
    ['a sum over images', logitsOf((x, p) => add(matmul(rows(x), p['fc.weight']), sum(x))), 'op sum'],
    ['logits that are the same for all images', logitsOf((x, p) => mul(reshape(p['fc.bias'], [1, 1, 3]), 1 + 0 * x.shape[1])), '[G, N, 3]'],
  ])('is refused with %s', async (_, network, message) => {
    const tensors = randomTensors(network)
    await expect(exported(network, tensors)).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining(message),
    })
  })

  it('is refused when a tensor is missing or has another size', async () => {
    const tensors = randomTensors(base)
    const { 'fc.bias': _, ...rest } = tensors.parameters
    for (const parameters of [rest, { ...rest, 'fc.bias': new Float32Array(2) }]) {
      await expect(exported(base, { parameters, state: {} })).rejects.toMatchObject({
        code: 'invalid_data',
        message: expect.stringContaining("'fc.bias'"),
      })
    }
  })

  it('is refused when it is none, or when what it is trained for does not fit', async () => {
    for (const network of [undefined, {}, { apply: () => undefined }]) {
      await expect(exportOnnx(network as never, randomTensors(base), describeNetwork(base))).rejects.toMatchObject({
        code: 'invalid_option',
      })
    }
    for (const change of [{ mean: [0] }, { std: [1, 1, Number.NaN] }, { classes: ['a'] }, { classes: undefined as never }]) {
      const description = { ...describeNetwork(base), ...change }
      await expect(exportOnnx(base, randomTensors(base), description)).rejects.toMatchObject({ code: 'invalid_option' })
    }
  })

  it('may end in log probabilities', async () => {
    await checkAgreement(logitsOf((x, p) => logSoftmax(matmul(rows(x), p['fc.weight']))))
  })
})
