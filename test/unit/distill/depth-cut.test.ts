/** @file Gradient distances behind a depth of the flat order: what is taken, by boxes and by hand, and the pixel gradient by central differences. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dc } from '../../../src/distill/matching/dc.js'
import { behindCut, boxesBehind, piecesOf } from '../../../src/distill/matching/depth-cut.js'
import { classGradients, type GradientMetric, gradientDistance, gradientMetrics } from '../../../src/distill/matching/gradient-distance.js'
import { matchedTensors } from '../../../src/distill/matching/gradient-method.js'
import { grad, interpret, type RefTensor, refTensor, reshape, spec, sum, trace, type Value } from '../../../src/engine/index.js'
import { keyOf } from '../../../src/engine/tensor/key.js'
import { normal } from '../../../src/engine/tensor/philox.js'
import { flatToEngine } from '../../../src/nn/flat-parameters.js'
import { initialize, type Network, type ParameterSpec, parameterCount } from '../../../src/nn/module.js'
import { convNet } from '../../../src/nn/networks/conv-net.js'
import { mlp } from '../../../src/nn/networks/mlp.js'
import { vit } from '../../../src/nn/networks/vit.js'

const sizeOf = (shape: readonly number[]): number => shape.reduce((a, b) => a * b, 1)

describe('boxesBehind', () => {
  it('are the entries from a number on, each once, the first axis first', () =>
    fc.assert(
      fc.property(fc.array(fc.integer({ min: 1, max: 4 }), { minLength: 1, maxLength: 4 }), fc.nat(), (sizes, any) => {
        const count = sizeOf(sizes)
        const cut = any % count
        const within = ({ start, stop }: { start: readonly number[]; stop: readonly number[] }, number: number): boolean => {
          const at = sizes.map((size, axis) => Math.floor(number / sizeOf(sizes.slice(axis + 1))) % size)
          return at.every((place, axis) => place >= start[axis] && place < stop[axis])
        }
        const boxes = boxesBehind(sizes, cut)
        for (let number = 0; number < count; number++)
          expect(boxes.filter((box) => within(box, number)).length, `${number} of ${sizes} from ${cut}`).toBe(Number(number >= cut))
      }),
    ))

  it('go on through whole rows where the cut is between two', () => {
    expect(boxesBehind([4, 2, 3], 12)).toEqual([{ start: [2, 0, 0], stop: [4, 2, 3] }])
    expect(boxesBehind([4, 2, 3], 16)).toEqual([
      { start: [3, 0, 0], stop: [4, 2, 3] },
      { start: [2, 1, 1], stop: [3, 2, 3] },
    ])
  })
})

const networks: readonly Network[] = [
  convNet({ input: [8, 8, 3], classes: 3, depth: 2, width: 4 }),
  convNet({ input: [8, 8, 1], classes: 2, depth: 1, width: 3, norm: 'layer' }),
  mlp({ input: [4, 4, 1], classes: 3 }),
  vit({ input: [8, 8, 1], classes: 2, width: 8, depth: 1, heads: 2, hidden: 4 }),
]

/** What `piecesOf` takes of numbers 0, 1, … in the flat order. */
function taken(network: Network, dropped: number): number[] {
  const numbers = flatToEngine(
    network,
    Float64Array.from({ length: parameterCount(network) }, (_, i) => i),
  )
  return behindCut(network, dropped).flatMap((tensor) => {
    if (!tensor.dropped) return [...numbers[tensor.name]]
    const traced = trace(
      (x) => {
        const { rows, row } = piecesOf(tensor, x)
        return [...(rows ? [rows] : []), ...row].map((piece) => reshape(piece, [sizeOf(piece.shape)]))
      },
      [spec([1, ...tensor.shape])],
    )
    return interpret(traced, [refTensor([1, ...tensor.shape], numbers[tensor.name])]).flatMap(({ data }) => [...data])
  })
}

describe('piecesOf', () => {
  it.each(networks)('$name: all entries from the cut on, in any layout', (network) => {
    const count = parameterCount(network)
    let begin = 0
    for (const { shape } of network.parameters) {
      const size = sizeOf(shape)
      for (const cut of [begin, begin + 1, begin + Math.floor(size / 3), begin + size - 1]) {
        if (cut >= count) continue
        const numbers = taken(network, cut).sort((a, b) => a - b)
        expect(numbers.length).toBe(count - cut)
        expect(numbers.every((number, i) => number === cut + i)).toBe(true)
      }
      begin += size
    }
  })
})

/** The distance of two flat gradients, entries before `cut` left out, as its definition reads. */
function byHand(metric: GradientMetric, network: Network, a: Float64Array, b: Float64Array, cut: number): number {
  const products = (from: number, to: number) => {
    let [ab, aa, bb, squares] = [0, 0, 0, 0]
    for (let i = Math.max(from, cut); i < to; i++) {
      ab += a[i] * b[i]
      aa += a[i] ** 2
      bb += b[i] ** 2
      squares += (a[i] - b[i]) ** 2
    }
    return { squares, cosine: 1 - ab / (Math.sqrt(aa * bb) + 1e-6) }
  }
  if (metric === 'mse') return products(0, a.length).squares
  if (metric === 'cosine') return products(0, a.length).cosine
  let begin = 0
  let total = 0
  for (const { shape, layout } of network.parameters) {
    const end = begin + sizeOf(shape)
    const row = sizeOf(shape) / (shape.at(-1) as number)
    for (let from = begin; from < end && (layout === 'conv' || layout === 'linear'); from += row)
      if (from + row > cut) total += products(from, from + row).cosine
    begin = end
  }
  return total
}

describe('the distance', () => {
  const [network] = networks
  const count = parameterCount(network)
  const flats = [0, 1].map((i) => normal(keyOf(7 + i), 0, 0, 2 * count))
  const tensorsOf = (flat: ArrayLike<number>): RefTensor[] => {
    const ofClass = [0, 1].map((c) => flatToEngine(network, Float64Array.from(flat).slice(c * count, (c + 1) * count)))
    return network.parameters.map(({ name, shape }) =>
      refTensor(
        [2, ...shape],
        ofClass.flatMap((tensors) => [...tensors[name]]),
      ),
    )
  }

  it.each(gradientMetrics)('%s is that of the entries from the cut on, class by class', (metric) => {
    for (const cut of [0, 1, 26, 27, 28, 107, 108, 115, 120, 130, 156, 200, 260, 270, 290, 300, count - 3]) {
      if (metric === 'layer-cosine' && cut > count - 3) continue
      const tensors = behindCut(network, cut)
      if (metric === 'layer-cosine' && !tensors.some(({ layout }) => layout !== 'vector')) continue
      const named = (values: readonly Value[]) => Object.fromEntries(network.parameters.map(({ name }, i) => [name, values[i]]))
      const half = network.parameters.length
      const traced = trace(
        (...values: Value[]) => [gradientDistance(metric, tensors, named(values.slice(0, half)), named(values.slice(half)))],
        [...tensorsOf(flats[0]), ...tensorsOf(flats[1])].map(({ shape }) => spec(shape)),
      )
      const [{ data }] = interpret(traced, [...tensorsOf(flats[0]), ...tensorsOf(flats[1])])
      for (const c of [0, 1]) {
        const [a, b] = flats.map((flat) => Float64Array.from(flat).slice(c * count, (c + 1) * count))
        expect(data[c]).toBeCloseTo(byHand(metric, network, a, b, cut), 9)
      }
    }
  })
})

describe('the gradient in the pixels', () => {
  const network = convNet({ input: [4, 4, 2], classes: 2, depth: 2, width: 3 })
  const images = [1, 2].map((seed) => refTensor([1, 3, 4, 4, 2], normal(keyOf(seed), 0, 0, 96)))
  const parameters = interpret(
    trace((key, counter) => Object.values(initialize(network, { key, counter })), [spec([2], 'u32'), spec([1], 'u32')]),
    [refTensor([2], [3, 4]), refTensor([1], [0])],
  )
  const classIndex = refTensor([3], [1, 1, 1])
  const counts = refTensor([1, 1], [3])

  function lossOf(metric: GradientMetric, mask: string) {
    const tensors = matchedTensors({ layers: [1, 2, 3], mask }, network)
    return trace(
      (x: Value, y: Value, index: Value, of: Value, ...theta: Value[]) => {
        const named = Object.fromEntries(network.parameters.map(({ name }: ParameterSpec, i: number) => [name, theta[i]]))
        const side = (batch: Value) => classGradients(network, named, { images: batch, classIndex: index, counts: of }, 1).gradients
        const loss = sum(gradientDistance(metric, tensors, side(x), side(y)))
        return [loss, ...grad(loss, [x])]
      },
      [spec(images[0].shape), spec(images[1].shape), spec([3], 'i32'), spec([1, 1]), ...parameters.map(({ shape }) => spec(shape))] as [
        ReturnType<typeof spec>,
        ...ReturnType<typeof spec>[],
      ],
    )
  }

  it.each(gradientMetrics.flatMap((metric) => [0.3, 0.55, 0.8].map((share) => [metric, share] as const)))(
    '%s without the first %d agrees with central differences',
    (metric, share) => {
      const traced = lossOf(metric, `depth:${share}`)
      const at = (x: RefTensor) => interpret(traced, [x, images[1], classIndex, counts, ...parameters])
      const [loss, gradient] = at(images[0])
      const [whole] = interpret(lossOf(metric, 'none'), [images[0], images[1], classIndex, counts, ...parameters])
      expect(Math.abs(loss.data[0] / whole.data[0] - 1)).toBeGreaterThan(1e-3)
      const scale = Math.max(...gradient.data.map(Math.abs))
      expect(scale).toBeGreaterThan(0)
      const step = 1e-6
      for (let pixel = 0; pixel < 96; pixel += 5) {
        const moved = (by: number) =>
          refTensor(
            images[0].shape,
            images[0].data.map((value, i) => (i === pixel ? value + by : value)),
          )
        const difference = (at(moved(step))[0].data[0] - at(moved(-step))[0].data[0]) / (2 * step)
        expect(Math.abs(difference - gradient.data[pixel]) / scale).toBeLessThan(1e-6)
      }
    },
  )
})

describe('the option', () => {
  const [network] = networks
  const { resolve, options } = dc
  const defaults = dc.presets.code.settings({ ipc: 1, image: [8, 8, 3] }).options
  const resolved = (change: object) => resolve?.({ ...defaults, ...change }, network, new Set())

  it.each([
    ['none', 'none'],
    ['depth:0.25', 'depth:0.25'],
    ['depth:0', 'depth:0'],
    ['loss:0.25', undefined],
    ['depth:1', undefined],
    ['depth', undefined],
    [0.25, undefined],
  ])('%s', (given, wanted) => expect(options.mask.parse(given)).toBe(wanted))

  it('leaves out whole layers from the shallow end, and those that are not matched', () => {
    const names = (change: object) => matchedTensors({ layers: [1, 2, 3], mask: 'none', ...change }, network).map(({ name }) => name)
    expect(names({ mask: 'depth:0' })).toEqual(network.parameters.map(({ name }) => name))
    // of 327 parameters 120 are of the first layer, 156 of the second, 51 of the last
    expect(names({ mask: 'depth:0.5' })).toEqual(['conv1.weight', 'conv1.bias', 'norm1.gamma', 'norm1.beta', 'fc.weight', 'fc.bias'])
    expect(names({ mask: 'depth:0.5', layers: [1, 3] })).toEqual(['fc.weight', 'fc.bias'])
  })

  it.each([
    [{ mask: 'depth:0.5', layers: [1] }, /mask: expected one that leaves weights of layers 1 but received 'depth:0.5'/],
    [{ mask: 'depth:0.999' }, /leaves weights of layers 1, 2, 3/],
    [{ mask: 'depth:0.5', layers: [1], metric: 'mse' }, /leaves parameters of layers 1/],
  ])('refuses %j', (change, message) => {
    expect(() => resolved(change)).toThrow(expect.objectContaining({ code: 'invalid_option', message: expect.stringMatching(message) }))
  })

  it('may leave vectors alone to a metric that counts them', () => {
    expect(resolved({ mask: 'depth:0.999', metric: 'mse' })).toMatchObject({ mask: 'depth:0.999' })
  })
})
