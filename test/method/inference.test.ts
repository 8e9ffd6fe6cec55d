/** @file Test accuracies of trained networks: ONNX Runtime and the engine agree, and each says that it was the one. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { add, matmul, reshape, reverse, transpose, type Value } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, evaluateModel, randomRealSet, type TrainedModel, trainModels } from '../../src/evaluate/index.js'
import type { EvaluateOptions } from '../../src/experiment/types.js'
import type { Network } from '../../src/nn/module.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { mlp } from '../../src/nn/networks/mlp.js'
import { resNet18 } from '../../src/nn/networks/res-net.js'
import { stripes } from './contract.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const train = stripes([40, 40, 40])
const set = randomRealSet(train, 2, 0)
const input = train.shape.slice(1) as unknown as Network['input']
const measure = (networks: Network[], options: Partial<EvaluateOptions<Device>> = {}) =>
  evaluate(set, { networks, repeats: 3, epochs: 12, augment: 'none', seed: 2, test: train, device, ...options })

/** One linear layer on pixels that `turn` has moved. */
function linearOf(name: string, turn: (x: Value) => Value): Network {
  const base = mlp({ input, classes: 3, depth: 1 })
  return {
    ...base,
    name,
    apply(p, x) {
      const embedding = reshape(turn(x), [x.shape[0], x.shape[1], input[0] * input[1] * input[2]])
      const logits = add(matmul(embedding, p['fc.weight']), reshape(p['fc.bias'], [x.shape[0], 1, 3]))
      return { logits, embedding, taps: [], state: {} }
    },
  }
}

const transposing = linearOf('transposing', (x) => transpose(x, [0, 1, 3, 2, 4]))
/** With an op that ONNX is not given for. */
const mirroring = linearOf('mirroring', (x) => reverse(x, [3]))

describe('the test accuracy of trained networks', () => {
  it('is the same by ONNX Runtime and by the engine, each of which is named', async () => {
    const networks = [
      convNet({ input, classes: 3, depth: 1, width: 8 }),
      convNet({ input, classes: 3, depth: 2, width: 8, norm: 'batch', pooling: 'max', activation: 'leakyrelu' }),
      resNet18({ input, classes: 3, width: 4, norm: 'batch' }),
      mlp({ input, classes: 3 }),
      transposing,
    ]
    const byRuntime = await measure(networks, { inference: 'onnx' })
    const byEngine = await measure(networks, { inference: 'engine' })
    expect(byRuntime.map(({ inference }) => inference)).toEqual(networks.map(() => 'onnx'))
    expect(byEngine.map(({ inference }) => inference)).toEqual(networks.map(() => 'engine'))
    const accuracies = (results: typeof byEngine) => results.map(({ inference: _, ...rest }) => rest)
    expect(accuracies(byRuntime)).toEqual(accuracies(byEngine))
    // something was learnt, and not everything: the comparison can fail
    expect(byEngine.some(({ mean }) => mean > 40 && mean < 100)).toBe(true)
  })

  it('is by ONNX Runtime where that is installed, if nothing is said', async () => {
    expect((await measure([mlp({ input, classes: 3 })]))[0].inference).toBe('onnx')
  })

  it('is by the engine for a network without an ONNX form, which "onnx" refuses before anything trains', async () => {
    expect((await measure([mirroring]))[0].inference).toBe('engine')
    const progress: number[] = []
    const refused = measure([mlp({ input, classes: 3 }), mirroring], {
      inference: 'onnx',
      onProgress: ({ epoch }) => progress.push(epoch),
    })
    await expect(refused).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining('op reverse') })
    expect(progress).toEqual([])
  })

  it.each(['engine', 'onnx'] as const)('is no number when the logits are none (%s)', async (inference) => {
    const base = convNet({ input, classes: 3, depth: 1, width: 4, norm: 'batch' })
    // what training never looks at: the running statistics
    const network = { ...base, state: base.state.map((state) => ({ ...state, initial: Number.NaN })) }
    await expect(measure([network], { inference, repeats: 1, epochs: 1 })).rejects.toMatchObject({
      code: 'not_finite',
      message: expect.stringMatching(/network .*(a logit of test image 0 is NaN or infinite|logit 0 of an image is NaN)/),
    })
  })

  it('is refused by anyone else', async () => {
    await expect(measure([mlp({ input, classes: 3 })], { inference: 'torch' as never })).rejects.toMatchObject({ code: 'invalid_option' })
  })
})

describe('trained networks as models', () => {
  it('are those that an evaluation of the same settings measures', async () => {
    const networks = [convNet({ input, classes: 3, depth: 1, width: 8 }), resNet18({ input, classes: 3, width: 4, norm: 'batch' })]
    const settings = { networks, repeats: 2, epochs: 12, augment: 'none', seed: 2, device }
    const results = await evaluate(set, { ...settings, test: train })
    const models: TrainedModel[] = []
    await trainModels(set, settings, (model) => {
      models.push(model)
    })
    expect(models.map(({ network, index }) => `${network} ${index}`)).toEqual([
      'convnet1 0',
      'convnet1 1',
      'resnet18-bn 0',
      'resnet18-bn 1',
    ])
    const accuracies: number[] = []
    // The models say how their input is normalised.
    for (const { bytes } of models) accuracies.push((await evaluateModel(bytes, { test: train, device })).accuracy)
    expect(accuracies).toEqual(results.flatMap(({ values }) => values))
  })

  it('are refused before anything trains when one has no ONNX form', async () => {
    const models: TrainedModel[] = []
    const settings = { networks: [mlp({ input, classes: 3 }), mirroring], repeats: 1, epochs: 1, device }
    const refused = trainModels(set, settings, (model) => {
      models.push(model)
    })
    await expect(refused).rejects.toMatchObject({ code: 'invalid_option', message: expect.stringContaining('op reverse') })
    expect(models).toEqual([])
  })
})
