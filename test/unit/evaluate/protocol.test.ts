/** @file Learning rates and averages of the evaluation protocols, pools of networks, and the mean over the unseen ones. */
import { describe, expect, it } from 'vitest'
import { protocolOf } from '../../../src/evaluate/protocol.js'
import { crossAverage, hasUnseen } from '../../../src/evaluate/unseen.js'
import { evaluationPools, withPools } from '../../../src/nn/networks/registry.js'

describe("the protocol 'glad'", () => {
  const glad = protocolOf('glad')
  const factor = (epoch: number, epochs: number) => glad.factor?.(epoch, epochs) as number

  it('warms up to the middle, then falls as a cosine, over exactly the epochs asked for', () => {
    const factors = Array.from({ length: glad.trained(10) }, (_, e) => factor(e, 10))
    const cosine = (k: number) => (1 + Math.cos((Math.PI * k) / 5)) / 2
    const wanted = [1e-7, 0.2, 0.4, 0.6, 0.8, 1, 1, cosine(1), cosine(2), cosine(3)]
    for (const [e, value] of factors.entries()) expect(value, `epoch ${e}`).toBeCloseTo(wanted[e], 6)
  })

  it.each([1, 2, 3, 7, 1000])('keeps the factor in (0, 1] over %i epochs', (epochs) => {
    for (let e = 0; e < epochs; e++) {
      expect(factor(e, epochs)).toBeGreaterThan(0)
      expect(factor(e, epochs)).toBeLessThanOrEqual(1)
    }
  })

  it('has a lower rate for VGG-11', () => {
    expect(['convnet3', 'vit', 'vgg11', 'vgg11-bn'].map(glad.lr)).toEqual([1e-3, 1e-3, 1e-4, 1e-4])
  })

  it('averages all epochs alike until the decay is 0.995', () => {
    expect([0, 1, 2, 3, 198, 199, 200, 1000].map((e) => glad.decay?.(e))).toEqual([0, 0, 2 / 3, 3 / 4, 198 / 199, 0.995, 0.995, 0.995])
  })
})

it('the default protocol trains one epoch more than asked for and has no schedule by epoch', () => {
  const dc = protocolOf()
  expect([dc.name, dc.trained(10), dc.factor, dc.decay, dc.lr('vgg11')]).toEqual(['dc', 11, undefined, undefined, 0.01])
  expect(() => protocolOf('cosine' as 'dc')).toThrow(
    expect.objectContaining({ code: 'invalid_option', message: expect.stringContaining('glad') }),
  )
  expect(() => protocolOf('toString' as 'dc')).toThrow(expect.objectContaining({ code: 'invalid_option' }))
})

describe('pools of networks', () => {
  it('stand for their networks, each once', () => {
    expect(withPools(['convnet', 'unseen', 'vit', 'mlp'])).toEqual(['convnet', ...evaluationPools.unseen, 'mlp'])
    expect([hasUnseen(['convnet', 'unseen']), hasUnseen(['vit'])]).toEqual([true, false])
  })

  it('give the mean over their networks, with the spread of that mean', () => {
    const result = (network: string, values: readonly number[]) => ({
      network,
      mean: 0,
      std: 0,
      n: 2,
      values,
      interval: null,
      perClass: [10, null],
    })
    const mean = crossAverage([result('resnet18', [40, 60]), result('vit', [20, 40])])
    expect(mean).toMatchObject({ network: 'unseen', mean: 40, std: 10, n: 2, values: [30, 50], perClass: [10, null] })
  })
})
