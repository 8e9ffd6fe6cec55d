/** @file The networks: sizes that the literature and PyTorch give, initial bounds, the contract on tiny instances, and refusals. */
import { describe, expect, it } from 'vitest'
import { avgPool2d, conv2d, fold, interpret, keyOf, refTensor, relu, sizeOf, spec, trace, uniform } from '../../../src/engine/index.js'
import { dropout } from '../../../src/nn/dropout.js'
import { initialize, type MapShape, type Network, parameterCount } from '../../../src/nn/module.js'
import { alexNet } from '../../../src/nn/networks/alex-net.js'
import { type ConvNetOptions, convBn, convFrepo, convNet, convRfad } from '../../../src/nn/networks/conv-net.js'
import { leNet } from '../../../src/nn/networks/le-net.js'
import { mlp } from '../../../src/nn/networks/mlp.js'
import { mobileNet } from '../../../src/nn/networks/mobile-net.js'
import { evaluationPools, networkByName, networkNames, resolveNetwork } from '../../../src/nn/networks/registry.js'
import { paddedResNet, resNet18 } from '../../../src/nn/networks/res-net.js'
import { vgg11 } from '../../../src/nn/networks/vgg.js'
import { vit } from '../../../src/nn/networks/vit.js'
import { truncatedNormal } from '../../../src/nn/truncated-normal.js'
import { testNetwork } from '../../contracts/testNetwork.js'

const cifar: MapShape = [32, 32, 3]
const gray: MapShape = [28, 28, 1]

/** Weights and biases of a ViT of width 512, 10 blocks and hidden width 512, counted by hand. */
function vitCount({ patch, tokens, channels, classes }: { patch: number; tokens: number; channels: number; classes: number }): number {
  const d = 512
  const linear = (inputs: number, outputs: number) => inputs * outputs + outputs
  const block = 2 * d + 3 * d * d + linear(d, d) + 2 * d + linear(d, d) + linear(d, d)
  return tokens * d + d + linear(patch * patch * channels, d) + 10 * block + 2 * d + linear(d, classes)
}

describe('parameter counts', () => {
  it.each([
    ['convnet', cifar, 10, 320_010],
    ['convnet', cifar, 100, 504_420],
    ['convnet', [64, 64, 3], 200, 857_160],
    ['convnet', [128, 128, 3], 10, 615_690],
    ['convnet-d6', [128, 128, 3], 10, 748_170],
    ['convnet', gray, 10, 317_706],
    ['convnet-bn', cifar, 10, 320_010],
    ['convnet-gn', cifar, 10, 320_010],
    ['convnet-nn', cifar, 10, 319_242],
    // Scale and shift per position: 2 x 128 x (32² + 16² + 8²) instead of 3 x 2 x 128.
    ['convnet-ln', cifar, 10, 663_306],
    // Three maps of 32x32 stay: 1310730 in the linear layer.
    ['convnet-nopool', cifar, 10, 1_610_250],
    ['alexnet', cifar, 10, 1_872_202],
    ['alexnet', gray, 10, 1_865_802],
    ['vgg11', cifar, 10, 9_231_114],
    ['vgg11-bn', cifar, 10, 9_231_114],
    ['resnet18', cifar, 10, 11_173_962],
    ['resnet18-bn', cifar, 10, 11_173_962],
    ['lenet', cifar, 10, 62_006],
    ['lenet', gray, 10, 61_706],
    ['mlp', gray, 10, 118_282],
    // KRR-ST's networks with a head of 512, as PyTorch counts them.
    ['conv-bn', cifar, 512, 5_675_520],
    ['conv-bn', [64, 64, 3], 512, 5_747_712],
    // FRePo's, with and without batch norm before the second and third convolution.
    ['conv-frepo', cifar, 10, 1_561_610],
    ['conv-frepo-nn', cifar, 10, 1_560_842],
    ['conv-rfad', cifar, 10, 19_068_938],
    ['vgg11-bn', cifar, 512, 9_488_640],
    ['vgg11-bn', [64, 64, 3], 512, 10_275_072],
    ['alexnet-bn', cifar, 512, 3_416_768],
    ['alexnet-bn', [64, 64, 3], 512, 8_135_360],
    ['mobilenet', cifar, 512, 1_735_376],
    ['mobilenet', [64, 64, 3], 512, 1_735_376],
    ['resnet10', cifar, 512, 5_160_768],
    ['resnet10', [64, 64, 3], 512, 5_160_768],
    ['resnet18-krr', cifar, 512, 11_431_488],
    ['vit', [128, 128, 3], 10, vitCount({ patch: 16, tokens: 65, channels: 3, classes: 10 })],
    ['vit', cifar, 10, vitCount({ patch: 4, tokens: 65, channels: 3, classes: 10 })],
    ['vit', gray, 10, vitCount({ patch: 4, tokens: 50, channels: 1, classes: 10 })],
  ] as [string, MapShape, number, number][])('%s on [%s], %i classes', (name, input, classes, count) => {
    expect(parameterCount(networkByName(name, input, classes))).toBe(count)
  })
})

describe('initial values', () => {
  it("are PyTorch's: uniform in ±1/sqrt(fan in) for weight and bias, 1 and 0 for norms, and running statistics 0 and 1", () => {
    const { parameters, state } = resNet18({ input: cifar, classes: 10, norm: 'batch' })
    const init = (name: string) => parameters.find((p) => p.name === name)?.init
    expect(init('conv0.weight')).toEqual({ kind: 'uniform', bound: 1 / Math.sqrt(27) })
    expect(init('stage1.block0.shortcut.conv.weight')).toEqual({ kind: 'uniform', bound: 1 / Math.sqrt(64) })
    expect(init('fc.bias')).toEqual({ kind: 'uniform', bound: 1 / Math.sqrt(512) })
    expect(init('norm0.gamma')).toEqual({ kind: 'constant', value: 1 })
    expect(init('norm0.beta')).toEqual({ kind: 'constant', value: 0 })
    expect(state).toHaveLength(40)
    expect(state.map(({ initial }) => initial).slice(0, 2)).toEqual([0, 1])
    expect(leNet({ input: cifar, classes: 10 }).parameters[0].init).toEqual({ kind: 'uniform', bound: 1 / Math.sqrt(75) })
  })
})

describe("FRePo's network", () => {
  const { parameters, state, apply } = convFrepo({ input: [8, 8, 1], classes: 3, widths: [2, 4] })

  it("starts as Flax's: lecun-normal weights and biases of 0, a norm before every convolution but the first", () => {
    const init = (name: string) => parameters.find((p) => p.name === name)?.init
    expect(init('conv0.weight')).toEqual({ kind: 'truncated-normal', std: 1 / 3 })
    expect(init('conv1.bias')).toEqual({ kind: 'constant', value: 0 })
    expect(init('fc.weight')).toEqual({ kind: 'truncated-normal', std: 1 / Math.sqrt(16) })
    expect(parameters.map(({ name }) => name).slice(0, 6)).toEqual([
      ...['conv0.weight', 'conv0.bias', 'norm1.gamma', 'norm1.beta', 'conv1.weight', 'conv1.bias'],
    ])
    expect(state.map(({ name, shape }) => [name, shape])).toEqual([
      ['norm1.mean', [2]],
      ['norm1.variance', [2]],
    ])
  })

  it('keeps a tenth of its running statistics, and the variance that divides by n', () => {
    const own = parameters.map(({ name, shape }, i) => ({ name, shape: [1, ...shape], data: uniform(keyOf(i), 0, 1, sizeOf(shape)) }))
    const images = { shape: [1, 5, 8, 8, 1], data: uniform(keyOf(77), 0, 1, 5 * 64).map((u) => 2 * u - 1) }
    const old = [0, 1].map((place) => ({ shape: [1, 2], data: Float64Array.of(0.3 + place, -0.2 + place) }))
    const traced = trace(
      (x, mean, variance, ...values) => {
        const named = Object.fromEntries(own.map(({ name }, i) => [name, values[i]]))
        const after = apply(named, x, { mode: 'train', state: { 'norm1.mean': mean, 'norm1.variance': variance } }).state
        const block = avgPool2d(relu(conv2d(x, named['conv0.weight'], named['conv0.bias'], { stride: 1, pad: 1 })), { window: 2 })
        return [after['norm1.mean'], after['norm1.variance'], block]
      },
      [images, ...old, ...own].map(({ shape }) => spec(shape)),
    )
    const [mean, variance, block] = interpret(traced, [images, ...old, ...own])
    for (const channel of [0, 1]) {
      const values = block.data.filter((_, i) => i % 2 === channel)
      const average = values.reduce((a, b) => a + b, 0) / values.length
      const spread = values.reduce((a, b) => a + (b - average) ** 2, 0) / values.length
      expect(mean.data[channel]).toBeCloseTo(0.1 * old[0].data[channel] + 0.9 * average, 10)
      expect(variance.data[channel]).toBeCloseTo(0.1 * old[1].data[channel] + 0.9 * spread, 8)
    }
  })
})

it('draws normal numbers that are cut off at two deviations', () => {
  const count = 4096
  const unit = { shape: [count], data: Float64Array.from({ length: count }, (_, i) => (i + 0.5) / count) }
  const [{ data }] = interpret(
    trace((u) => [truncatedNormal(u)], [spec([count])]),
    [unit],
  )
  const std = 0.8796256610342398
  expect(data.reduce((a, b) => a + b, 0) / count).toBeCloseTo(0, 6)
  expect(data.reduce((a, b) => a + b * b, 0) / count).toBeCloseTo(1, 3)
  expect([data[0] * std > -2, data[count - 1] * std < 2, data[0] * std < -1.99]).toEqual([true, true, true])
  // quantiles of a standard normal at 0.9545 (u - 1/2) + 1/2: u = 0.75 is 0.7386 of the way, whose quantile is 0.6391
  expect(data[Math.round(0.75 * count - 0.5)] * std).toBeCloseTo(0.6391, 3)
})

describe("KRR-ST's networks", () => {
  const features = (name: string, input: MapShape) => networkByName(name, input, 512).parameters.at(-2)?.shape[0]

  it.each([
    ['conv-bn', 8192, 8192],
    ['vgg11-bn', 512, 2048],
    ['alexnet-bn', 3072, 12288],
    ['mobilenet', 1280, 1280],
    ['resnet10', 512, 512],
    ['resnet18-krr', 512, 512],
  ])('%s has %i features at 32 pixels and %i at 64', (name, at32, at64) => {
    expect([features(name, cifar), features(name, [64, 64, 3])]).toEqual([at32, at64])
  })

  it('have channels by the size of the images', () => {
    const widths = (side: number) =>
      networkByName('conv-bn', [side, side, 3], 2).parameters.flatMap(({ name, shape }) => (/^conv\d+\.bias$/.test(name) ? shape : []))
    expect([16, 28, 32, 64, 224].map(widths)).toEqual([
      [256, 512],
      [128, 256, 512],
      [128, 256, 512],
      [64, 128, 256, 512],
      [32, 64, 128, 256, 512],
    ])
  })

  it("start as torchvision's: the stem uniform, other convolutions normal by their fan out, the last norm of a branch at 0", () => {
    const { parameters } = paddedResNet({ input: cifar, classes: 10, depth: 18 })
    const init = (name: string) => parameters.find((p) => p.name === name)?.init
    expect(init('conv0.weight')).toEqual({ kind: 'uniform', bound: 1 / Math.sqrt(27) })
    expect(init('stage1.block0.conv0.weight')).toEqual({ kind: 'normal', std: Math.sqrt(2 / (9 * 128)) })
    expect(init('stage1.block0.shortcut.conv.weight')).toEqual({ kind: 'normal', std: Math.sqrt(2 / 128) })
    expect(init('stage1.block0.norm0.gamma')).toEqual({ kind: 'constant', value: 1 })
    expect(init('stage1.block0.norm1.gamma')).toEqual({ kind: 'constant', value: 0 })
    expect(init('stage1.block0.shortcut.norm.gamma')).toEqual({ kind: 'constant', value: 1 })
  })

  it('convolve each channel by itself in MobileNet', () => {
    const network = mobileNet({ input: [4, 4, 1], classes: 2, width: 1 / 16 })
    const depthwise = network.parameters.filter(({ name }) => name.endsWith('depthwise.weight'))
    expect(depthwise.map(({ shape }) => shape.slice(0, 3))).toEqual(Array(17).fill([3, 3, 1]))
    expect(depthwise[0].init).toEqual({ kind: 'uniform', bound: 1 / 3 })
  })
})

const tiny = (options: Partial<ConvNetOptions>): Network => convNet({ input: [6, 6, 2], classes: 3, depth: 2, width: 4, ...options })

for (const norm of ['none', 'instance', 'batch', 'layer', 'group'] as const) testNetwork(`convnet ${norm}`, tiny({ norm }))
for (const activation of ['sigmoid', 'leakyrelu'] as const) testNetwork(`convnet ${activation}`, tiny({ activation, norm: 'batch' }))
for (const pooling of ['max', 'none'] as const) testNetwork(`convnet ${pooling}`, tiny({ pooling }))
testNetwork('alexnet', alexNet({ input: [8, 8, 1], classes: 3, width: 2 }))
testNetwork('vgg11', vgg11({ input: [32, 32, 1], classes: 3, width: 2 }))
testNetwork('vgg11-bn', vgg11({ input: [32, 32, 1], classes: 3, width: 2, norm: 'batch' }))
testNetwork('resnet18', resNet18({ input: [16, 16, 1], classes: 3, width: 2 }))
testNetwork('resnet18-bn', resNet18({ input: [12, 12, 1], classes: 3, width: 2, norm: 'batch' }))
testNetwork('conv-bn', convBn({ input: [8, 8, 1], classes: 3, widths: [2, 4] }))
it('conv-rfad starts as the random networks of RFAD do', () => {
  const { parameters, state } = convRfad({ input: [8, 8, 3], classes: 3, width: 4 })
  expect(state).toEqual([])
  expect(parameters.map(({ name, init }) => [name, init])).toEqual(
    Object.entries({ 'conv0.weight': 2 / 27, 'conv0.bias': 0.01, 'fc.weight': 2 / 64, 'fc.bias': 0.01 }).map(([name, variance]) => [
      name,
      { kind: 'normal', std: expect.closeTo(Math.sqrt(variance), 12) },
    ]),
  )
})

testNetwork('conv-frepo', convFrepo({ input: [8, 8, 1], classes: 3, widths: [2, 4] }))
testNetwork('conv-frepo-nn', convFrepo({ input: [8, 8, 1], classes: 3, norm: 'none', widths: [2, 4] }))
testNetwork('conv-rfad', convRfad({ input: [8, 8, 1], classes: 3, width: 4 }))
testNetwork('alexnet-bn', alexNet({ input: [8, 8, 1], classes: 3, width: 2, norm: 'batch' }))
testNetwork('resnet10', paddedResNet({ input: [10, 10, 1], classes: 3, depth: 10, width: 2 }))
testNetwork('resnet18-krr', paddedResNet({ input: [10, 10, 1], classes: 3, depth: 18, width: 2 }))
testNetwork('mobilenet', mobileNet({ input: [20, 20, 1], classes: 3, width: 1 / 32 }))
testNetwork('lenet', leNet({ input: [16, 16, 1], classes: 3 }))
testNetwork('vit', vit({ input: [4, 6, 2], classes: 3, patch: 2, width: 6, depth: 2, heads: 2, hidden: 5 }))
testNetwork('vit, mean', vit({ input: [4, 4, 1], classes: 3, patch: 2, width: 4, depth: 1, heads: 1, hidden: 3, pool: 'mean' }))
testNetwork('mlp', mlp({ input: [3, 2, 2], classes: 3, width: 5 }))

describe('dropout', () => {
  const network = vit({ input: [4, 4, 1], classes: 2, patch: 2, width: 8, depth: 2, heads: 2, hidden: 6, dropout: 0.3 })
  const names = network.parameters.map(({ name }) => name)

  /** Logits of networks with the given keys at a step; all have the same parameters and images. */
  function logits(keys: readonly (readonly [number, number])[], step: number, options: { mode?: 'eval'; draws?: false } = {}): number[][] {
    const groups = keys.length
    const random = (title: string, size: number) => uniform(fold(keyOf(4), title), 0, 1, size).map((u) => 2 * u - 1)
    const repeated = (shape: readonly number[], title: string) => {
      const own = random(
        title,
        shape.reduce((a, b) => a * b, 1),
      )
      return refTensor([groups, ...shape], Array.from({ length: groups }, () => [...own]).flat())
    }
    const tensors = [...network.parameters.map(({ name, shape }) => repeated(shape, name)), repeated([3, ...network.input], 'x')]
    const drawing = [...keys.map((key) => refTensor([2], [...key])), refTensor([1], [step])]
    const specs = [...tensors.map(({ shape }) => spec(shape)), ...keys.map(() => spec([2], 'u32')), spec([1], 'u32')]
    const traced = trace((...v) => {
      const parameters = Object.fromEntries(names.map((name, i) => [name, v[i]]))
      const draws = { keys: v.slice(names.length + 1, -1), counter: v[v.length - 1] }
      const { mode = 'train' } = options
      return [network.apply(parameters, v[names.length], { mode, ...(options.draws === false ? {} : { draws }) }).logits]
    }, specs)
    const [{ data }] = interpret(traced, [...tensors, ...drawing])
    return keys.map((_, g) => [...data.slice((g * data.length) / groups, ((g + 1) * data.length) / groups)])
  }

  it('is addressed by key and step, whatever networks stand beside', () => {
    const [a, b] = logits(
      [
        [1, 2],
        [3, 4],
      ],
      5,
    )
    expect(a).not.toEqual(b)
    expect(logits([[1, 2]], 5)).toEqual([a])
    expect(logits([[3, 4]], 5)).toEqual([b])
    expect(logits([[1, 2]], 6)).not.toEqual([a])
  })

  it('is off in eval mode and without draws', () => {
    const [plain] = logits([[1, 2]], 0, { draws: false })
    expect(logits([[1, 2]], 0, { mode: 'eval' })).toEqual([plain])
    expect(logits([[1, 2]], 0)).not.toEqual([plain])
  })

  it('keeps the mean: a share of zeros, the rest scaled up', () => {
    const shape = [2, 400, 8]
    const specs = [spec(shape), spec([2], 'u32'), spec([2], 'u32'), spec([1], 'u32')]
    const traced = trace((x, k0, k1, counter) => [dropout(x, 0.3, 7, { draws: { keys: [k0, k1], counter } })], specs)
    const ones = refTensor(shape, Array(6400).fill(1))
    const [{ data }] = interpret(traced, [ones, refTensor([2], [1, 2]), refTensor([2], [3, 4]), refTensor([1], [0])])
    expect(new Set([...data])).toEqual(new Set([0, 1 / (1 - 0.3)]))
    const dropped = data.filter((v) => v === 0).length / data.length
    // Five standard deviations of a share of 6400 draws.
    expect(Math.abs(dropped - 0.3)).toBeLessThan(5 * Math.sqrt((0.3 * 0.7) / 6400))
    expect([...data.slice(0, 3200)]).not.toEqual([...data.slice(3200)])
  })
})

describe('running statistics', () => {
  it('leave padded rows out and use the unbiased variance of the true rows', () => {
    const network = convNet({ input: [2, 2, 1], classes: 2, depth: 1, width: 1, norm: 'batch' })
    const specs = network.parameters.map(({ shape }) => spec([1, ...shape]))
    const traced = trace(
      (...v) => {
        const parameters = Object.fromEntries(network.parameters.map(({ name }, i) => [name, v[i]]))
        const [mean, variance, x, rowWeights] = v.slice(network.parameters.length)
        const { state } = network.apply(parameters, x, { state: { 'norm0.mean': mean, 'norm0.variance': variance }, rowWeights })
        return [state['norm0.mean'], state['norm0.variance']]
      },
      [...specs, spec([1, 1]), spec([1, 1]), spec([1, 2, 2, 2, 1]), spec([1, 2])],
    )
    // A centre tap of 1 makes the convolution the identity.
    const values = network.parameters.map(({ name, shape }) =>
      refTensor(
        [1, ...shape],
        Array.from({ length: shape.reduce((a, b) => a * b, 1) }, (_, i) => (name === 'conv0.weight' && i === 4 ? 1 : 0)),
      ),
    )
    const x = refTensor([1, 2, 2, 2, 1], [1, 2, 3, 6, 100, 200, 300, 400])
    const state = [refTensor([1, 1], [10]), refTensor([1, 1], [2])]
    const [mean, variance] = interpret(traced, [...values, ...state, x, refTensor([1, 2], [1, 0])])
    expect(mean.data[0]).toBeCloseTo(0.9 * 10 + 0.1 * 3, 12)
    expect(variance.data[0]).toBeCloseTo(0.9 * 2 + 0.1 * (14 / 3), 10)
  })

  it('are asked for by name in eval mode', () => {
    const network = tiny({ norm: 'batch' })
    const specs = [...network.parameters.map(({ shape }) => spec([1, ...shape])), spec([1, 2, ...network.input])]
    const evaluate = () =>
      trace((...v) => {
        const parameters = Object.fromEntries(network.parameters.map(({ name }, i) => [name, v[i]]))
        return [network.apply(parameters, v[v.length - 1], { mode: 'eval' }).logits]
      }, specs)
    expect(evaluate).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining('norm0.mean') }))
  })
})

describe('the registry', () => {
  it('knows every network of the evaluation pools', () => {
    for (const name of Object.values(evaluationPools).flat()) expect(networkNames).toContain(name)
  })

  it.each([
    ['a depth that leaves no map', () => convNet({ input: [8, 8, 1], classes: 2, depth: 4 })],
    ['a width that 4 groups do not divide', () => tiny({ norm: 'group', width: 6 })],
    ['widths beside a depth', () => tiny({ widths: [4, 4] })],
    ['no widths', () => convBn({ input: [8, 8, 1], classes: 2, widths: [] })],
    ['a ResNet of another depth', () => paddedResNet({ input: cifar, classes: 2, depth: 34 as 18 })],
    ['a MobileNet of no width', () => mobileNet({ input: cifar, classes: 2, width: 0 })],
    ['a width of 0', () => tiny({ width: 0 })],
    ['an unknown norm', () => tiny({ norm: 'weight' as 'none' })],
    ['an unknown activation', () => tiny({ activation: 'gelu' as 'relu' })],
    ['an unknown pooling', () => tiny({ pooling: 'sum' as 'avg' })],
    ['images too small for VGG', () => vgg11({ input: [16, 16, 3], classes: 10 })],
    ['an odd AlexNet width', () => alexNet({ input: cifar, classes: 10, width: 3 })],
    ['patches that do not divide the image', () => vit({ input: [30, 32, 3], classes: 10 })],
    ['a width that the heads do not divide', () => vit({ input: cifar, classes: 10, width: 100 })],
    ['a dropout of everything', () => vit({ input: cifar, classes: 10, dropout: 1 })],
    ['an unknown pool of tokens', () => vit({ input: cifar, classes: 10, pool: 'max' as 'mean' })],
    ['options that are missing', () => convNet(undefined as never)],
    ['images without a shape', () => convNet({ classes: 2 } as never)],
    ['a shape of two sizes', () => leNet({ input: [28, 28], classes: 2 } as never)],
    ['a mistyped option', () => convNet({ input: cifar, classes: 10, dept: 3 } as never)],
    ['an option of another network', () => alexNet({ input: cifar, classes: 10, depth: 5 } as never)],
    ['a name without images', () => networkByName('convnet', undefined as never, 10)],
    ['parameters of nothing', () => parameterCount(undefined as never)],
    ['draws for nothing', () => initialize({} as Network, {} as never)],
    ['something that is no network', () => resolveNetwork({} as Network, cifar, 10)],
    ['a network for other images', () => resolveNetwork(tiny({}), cifar, 3)],
    ['a network for other classes', () => resolveNetwork(tiny({}), [6, 6, 2], 4)],
    [
      'two parameters of one name',
      () => resolveNetwork({ ...tiny({}), parameters: [...tiny({}).parameters, ...tiny({}).parameters] }, [6, 6, 2], 3),
    ],
    ['a network without state', () => resolveNetwork({ ...tiny({}), state: undefined as unknown as [] }, [6, 6, 2], 3)],
  ])('refuses %s', (_, build) => {
    expect(build).toThrow(expect.objectContaining({ code: 'invalid_option' }))
  })
})
