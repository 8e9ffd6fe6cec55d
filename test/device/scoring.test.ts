/** @file Scores by networks trained on the spot: what they are means of, continued and uninterrupted, and what is refused. */
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { createDataset } from '../../src/data/dataset.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import { loadNetwork, saveNetwork } from '../../src/export/network-file.js'
import type { NetworkTensors } from '../../src/export/onnx/export-network.js'
import { networkByName } from '../../src/nn/networks/registry.js'
import { lossConverge, lossInit } from '../../src/scores/epoch-window.js'
import type { ScoreName } from '../../src/scores/registry.js'
import type { ScoreDatasetOptions } from '../../src/scoring/options.js'
import { scoreDataset } from '../../src/scoring/score-dataset.js'
import { readDoneRecord, readKind } from '../../src/scoring/score-directory.js'
import { resumeScoring, scoreToDirectory } from '../../src/scoring/score-to-directory.js'
import { memoryStore, stripes } from '../method/contract.js'
import { run } from '../unit/cli/fake-library.js'
import { randomTensors } from './network-tensors.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

/** Images of noise with labels by chance: networks learn and forget them. Three batches an epoch, the last one short. */
const noise = (samples = 600) => {
  const draws = uniform(keyOf(3), 0, 1, samples * 37)
  return createDataset({
    name: 'noise',
    split: 'train',
    classes: ['a', 'b', 'c'],
    images: Uint8Array.from(draws.subarray(0, samples * 36), (u) => Math.floor(256 * u)),
    shape: [samples, 6, 6, 1],
    labels: Array.from(draws.subarray(samples * 36), (u) => Math.floor(3 * u)),
    mean: [0.5],
    std: [0.3],
    flip: false,
  })
}
const train = noise()
const settings = { network: 'mlp', runs: 2, epochs: 4, lr: 0.1, seed: 5, allowChance: true } as const
const score = <const K extends ScoreName>(kinds: readonly K[], options: Partial<ScoreDatasetOptions<K>> = {}, on = device) =>
  scoreDataset<K>(train, { ...settings, kinds, device: on, ...options })
const bitsOf = (values: Float64Array) => [...new BigUint64Array(values.slice().buffer)]
const sameBytes = (a: ArrayBufferView, b: ArrayBufferView): boolean =>
  Buffer.compare(new Uint8Array(a.buffer, a.byteOffset, a.byteLength), new Uint8Array(b.buffer, b.byteOffset, b.byteLength)) === 0
const refused = (code: string) => expect.objectContaining({ code })

describe('scores of trained networks', () => {
  /** Epoch e of a training is the last of one that has e + 1 of them. */
  const each = (kind: ScoreName, runs = 1) =>
    Promise.all(
      [1, 2, 3, 4].map(async (epochs) => {
        const options = { runs, epochs, ...(kind === 'loss' && { window: lossConverge(epochs, 1) }) }
        return (await score([kind], options)).scores[kind].values
      }),
    )

  it('are means over the epochs of a window', async () => {
    const losses = await each('loss')
    const mean = (from: number, to: number) =>
      losses[0].map((_, i) => losses.slice(from, to).reduce((sum, epoch) => sum + epoch[i], 0) / (to - from))
    const of = async (window?: ReturnType<typeof lossInit>) =>
      (await score(['loss'], { runs: 1, ...(window && { window }) })).scores.loss.values
    expect(await of()).toEqual(mean(0, 4))
    expect(await of(lossInit(2))).toEqual(mean(0, 2))
    expect(await of(lossConverge(4, 2))).toEqual(mean(2, 4))
    expect(losses[3].reduce((a, b) => a + b)).toBeLessThan(losses[0].reduce((a, b) => a + b))
  })

  it('are means over networks, and the mean of margins over epochs', async () => {
    const [both, first] = [await score(['el2n', 'aum', 'loss']), await score(['el2n', 'aum', 'loss'], { runs: 1 })]
    expect(both.accuracies).toHaveLength(2)
    expect(both.accuracies[0]).toBe(first.accuracies[0])
    expect(both.scores.el2n.values).not.toEqual(first.scores.el2n.values)
    const margins = await each('aum')
    // of a training with e + 1 epochs the area is the mean of e + 1 margins
    const last = margins[3].map((mean, i) => 4 * mean - 3 * margins[2][i])
    const el2n = await score(['marginTrue'], { runs: 1 })
    for (const [i, margin] of last.entries())
      expect(Math.sign(Math.round(margin * 1e9))).toBe(-Math.sign(Math.round(el2n.scores.marginTrue.values[i] * 1e9)))
  })

  it('count forgetting events as a recount of every epoch does', async () => {
    const truth = await each('marginTrue')
    const right = truth.map((epoch) => epoch.map((margin) => (margin < 0 ? 1 : 0)))
    const events = train.labels.map((_, i) =>
      right.reduce((sum, epoch, e) => sum + (e > 0 && right[e - 1][i] === 1 && epoch[i] === 0 ? 1 : 0), 0),
    )
    const learned = train.labels.map((_, i) => (right.some((epoch) => epoch[i] === 1) ? 1 : 0))
    expect(new Set(learned)).toEqual(new Set([0, 1]))
    expect(events.reduce((a, b) => a + b)).toBeGreaterThan(0)
    for (const [rule, never] of [
      ['presentations', 4],
      ['infinity', 5],
      ['events', 0],
    ] as const) {
      const { scores } = await score(['forgetting'], { runs: 1, neverLearned: rule })
      expect(scores.forgetting.values).toEqual(Float64Array.from(events, (count, i) => (learned[i] === 1 ? count : never)))
    }
  })

  it('are taken after the epoch that is named', async () => {
    const [after, last] = [await score(['el2n'], { runs: 1, epoch: 1 }), await score(['el2n'], { runs: 1, epochs: 2 })]
    expect(after.scores.el2n.values).toEqual(last.scores.el2n.values)
  })

  it('have gradients no shorter than those of their last layer, whole parts and rests alike', async () => {
    const { scores } = await score(['grand', 'grandLastLayer'], { runs: 1, epochs: 1 })
    const last = scores.grandLastLayer.values
    for (const [i, norm] of scores.grand.values.entries()) {
      expect(norm).toBeGreaterThan(last[i] * (1 - 1e-5))
      expect(norm).toBeLessThan(100 * last[i])
    }
  })

  it('draw nothing and train nothing for uniform alone', async () => {
    const { scores, accuracies } = await score(['uniform'])
    expect([...scores.uniform.values].sort((a, b) => a - b)).toEqual(Array.from(train.labels, (_, i) => i))
    expect(accuracies).toEqual([])
  })
})

describe('a scoring', () => {
  const kinds = ['loss', 'el2n', 'grand', 'forgetting', 'selfPrototypicality', 'moderate', 'aum'] as const

  it('ends with the same bits at one and two threads, continued after any epoch or not', async () => {
    const whole = await score(kinds, { features: true })
    const single = await Device.open({ threads: 1 })
    try {
      for (const stopAfter of [1, 4, 6, 8]) {
        const store = memoryStore()
        const abort = new AbortController()
        const checkpoints = {
          ...store,
          async save(checkpoint: Parameters<typeof store.save>[0]) {
            await store.save(checkpoint)
            if (store.saved.length === stopAfter) abort.abort()
          },
        }
        const first = score(kinds, { features: true, checkpoints, signal: abort.signal })
        await expect(first).rejects.toMatchObject({ name: 'AbortError' })
        const rest = await score(kinds, { features: true, checkpoints: store }, single)
        for (const kind of kinds) expect(bitsOf(rest.scores[kind].values), kind).toEqual(bitsOf(whole.scores[kind].values))
        expect([rest.features, rest.accuracies, rest.perClass]).toEqual([whole.features, whole.accuracies, whole.perClass])
      }
    } finally {
      await single.close()
    }
  })

  it('continues with its own settings and data only', async () => {
    const store = memoryStore()
    await score(['loss'], { checkpoints: store })
    for (const other of [{ lr: 0.2 }, { runs: 3 }, { kinds: ['el2n'] as const }, { seed: 6 }, { window: lossInit(1) }])
      await expect(score(['loss'], { checkpoints: store, ...other }), JSON.stringify(other)).rejects.toEqual(refused('incompatible'))
    const others = scoreDataset(noise(599), { ...settings, kinds: ['loss'], device, checkpoints: store })
    await expect(others).rejects.toEqual(refused('incompatible'))
  })

  it('tells how far it is', async () => {
    const done: number[] = []
    await score(['loss', 'grand'], { onProgress: (progress) => done.push(progress.done) })
    expect(done.toSorted((a, b) => a - b)).toEqual(done)
    expect(done.at(-1)).toBeCloseTo(1, 10)
  })

  it('refuses networks that know nothing, and losses that are no numbers', async () => {
    await expect(score(['loss'], { allowChance: false, lr: 1e-9, epochs: 1 })).rejects.toThrow(/network 0: accuracy .* chance/)
    await expect(score(['loss'], { lr: 1e30 })).rejects.toEqual(refused('not_finite'))
  })

  it.each([
    ['an unknown kind', { kinds: ['losses'] }],
    ['no kind', { kinds: [] }],
    ['a window beyond the epochs', { window: { from: 0, to: 5 } }],
    ['an epoch beyond them', { epoch: 4 }],
    ['forgetting of networks that are given', { kinds: ['forgetting'], weights: [{ parameters: {}, state: {} }], runs: undefined }],
    ['a learning rate of 0', { lr: 0 }],
    ['a mistyped option', { epoch_: 1 }],
  ])('refuses %s', async (_, options) => {
    const given = { ...settings, kinds: ['loss'], device, ...options } as unknown as ScoreDatasetOptions
    await expect(scoreDataset(train, given)).rejects.toEqual(refused('invalid_option'))
  })
})

describe('weights of a network', () => {
  const dir = mkdtempSync(join(tmpdir(), 'weights-'))

  it.each(['mlp', 'convnet', 'convnet-bn', 'convnet-ln'])('of %s are kept in a file in the order of PyTorch', async (name) => {
    const network = networkByName(name, [32, 32, 3], 4)
    const tensors = randomTensors(network)
    const path = join(dir, `${name}.safetensors`)
    await saveNetwork(path, network, tensors)
    const loaded = await loadNetwork(path, network)
    for (const list of ['parameters', 'state'] as const) {
      expect(Object.keys(loaded[list])).toEqual(Object.keys(tensors[list]))
      for (const [name, data] of Object.entries(tensors[list])) expect(sameBytes(loaded[list][name], data)).toBe(true)
    }
    await expect(loadNetwork(path, networkByName(name, [32, 32, 3], 5))).rejects.toEqual(refused('invalid_data'))
  })

  it('give the scores of the training that they came from', async () => {
    const weights: NetworkTensors[] = []
    const kinds = ['el2n', 'grand', 'entropy'] as const
    const trained = await score(kinds, { onNetwork: (_, tensors) => void weights.push(tensors) })
    const { scores, accuracies } = await scoreDataset(train, { kinds, network: 'mlp', weights, allowChance: true, device })
    for (const kind of kinds) expect(scores[kind].values).toEqual(trained.scores[kind].values)
    expect(accuracies).toEqual(trained.accuracies)
  })
})

describe('a score directory', () => {
  const data = stripes([40, 40, 40])
  const options = { kinds: ['loss', 'el2n'], network: 'mlp', runs: 1, epochs: 2, lr: 0.1 } as const

  it('is complete, or goes on, and is one of one data set', async () => {
    const dir = join(mkdtempSync(join(tmpdir(), 'scores-')), 'own')
    const abort = new AbortController()
    const onProgress = ({ epoch }: { epoch?: number }) => epoch === 1 && abort.abort()
    const begun = scoreToDirectory(dir, data, { ...options, saveNetworks: true, device, signal: abort.signal, onProgress })
    await expect(begun).rejects.toMatchObject({ name: 'AbortError' })
    await expect(readKind(dir, 'loss')).rejects.toThrow(/--resume/)
    await expect(scoreToDirectory(dir, data, { ...options, device })).rejects.toEqual(refused('invalid_option'))
    await expect(resumeScoring(dir, stripes([40, 41, 40]), { device })).rejects.toEqual(refused('incompatible'))
    await resumeScoring(dir, data, { device })
    expect(await resumeScoring(dir, data, { device })).toBe(null)
    expect(readdirSync(dir).sort()).toEqual(['el2n.safetensors', 'loss.safetensors', 'networks', 'scores.json'])
    const whole = join(mkdtempSync(join(tmpdir(), 'scores-')), 'own')
    await scoreToDirectory(whole, data, { ...options, saveNetworks: true, device })
    for (const name of ['el2n.safetensors', 'loss.safetensors', 'networks/network-0.safetensors'])
      expect(sameBytes(readFileSync(join(dir, name)), readFileSync(join(whole, name))), name).toBe(true)
    expect((await readDoneRecord(whole)).accuracies[0]).toBeGreaterThan(60)
  })

  it('is written, resumed and exported on the command line', async () => {
    const dir = join(mkdtempSync(join(tmpdir(), 'scores-')), 'own')
    const args = ['--data', 'fashion-mnist', '--network', 'mlp', '--runs', '1', '--epochs', '1', '--lr', '0.1']
    const { code, stdout } = await run(library, 'score', '--json', ...args, '--kind', 'loss,margin', '--out', dir, '--save-networks')
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { status: 'done', kinds: ['loss', 'margin'], images: 5000 }])
    expect((await run(library, 'score', ...args, '--out', dir)).code).toBe(2)
    expect((await run(library, 'score', '--resume', dir, '--epochs', '2')).code).toBe(2)
    const again = await run(library, 'score', '--json', '--resume', dir, '--export-bilp', 'FashionMNIST_LossInit')
    expect(JSON.parse(again.stdout)).toMatchObject({ status: 'done', exported: join(dir, 'FashionMNIST_LossInit.json') })
    const numbers = JSON.parse(readFileSync(join(dir, 'FashionMNIST_LossInit.json'), 'utf8'))
    expect(Float64Array.from(numbers)).toEqual((await readKind(dir, 'loss')).values)
    const given = ['--data', 'fashion-mnist', '--network', 'mlp', '--checkpoint', join(dir, 'networks/network-0.safetensors')]
    expect((await run(library, 'score', ...given, '--kind', 'margin', '--out', `${dir}2`)).code).toBe(0)
    expect((await readKind(`${dir}2`, 'margin')).values).toEqual((await readKind(dir, 'margin')).values)
    expect((await run(library, 'score', ...given, '--runs', '2', '--out', `${dir}3`)).code).toBe(2)
  })
})
