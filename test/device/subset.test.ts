/** @file `aludel prune`, and what takes its subset: distilling, continuing, evaluating and planning see the same rows. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeStripes } from '../../scripts/lib/stress.mjs'
import { library } from '../../src/cli/library.js'
import { type Dataset, openDataset as openWhole } from '../../src/data/index.js'
import { distill } from '../../src/distill/index.js'
import { openDevice } from '../../src/engine/runtime/open-device.js'
import { readRunRecord } from '../../src/experiment/run-dir.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import {
  applySubset,
  createSubset,
  describeScores,
  openDataset,
  readScores,
  readSubset,
  selectSamples,
  writeScores,
} from '../../src/prune/index.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

let dir: string
let scores: string
const call = (...args: string[]) => run(library, ...args)
const prune = (out: string, ...more: string[]) => call('prune', '--json', '--data', 'fashion-mnist', '--out', join(dir, out), ...more)

beforeAll(async () => {
  dir = freshDir()
  mkdirSync(dir, { recursive: true })
  const train = await openWhole('fashion-mnist', 'train')
  const values = Float64Array.from(train.labels, (_, i) => (i * 7919) % 1009)
  scores = join(dir, 'scores.safetensors')
  const about = { name: 'loss', source: 'made up', pass: 'evaluation', epochs: null, runs: null, seed: null } as const
  await writeScores(scores, describeScores(train, values, about))
  writeFileSync(join(dir, 'FashionMNIST_LossInit.json'), `[${Array.from(values, (v) => `${v}.0`).join(', ')}]`)
})

describe('aludel prune', () => {
  it('keeps a share of every class by scores, and says how many', async () => {
    const { code, stdout } = await prune('easy.json', '--scores', scores, '--keep', '0.2')
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { kept: 1000, of: 5000, counts: Array(10).fill(100), raised: [] }])
    const subset = await readSubset(join(dir, 'easy.json'))
    expect(subset).toMatchObject({ score: { name: 'loss', source: 'made up' }, rule: { order: 'asc', scope: 'class' } })
  })

  it('takes scores of BiLP, ranks from the other end, and draws', async () => {
    await prune('bilp.json', '--scores', join(dir, 'FashionMNIST_LossInit.json'), '--keep', '0.2')
    expect((await readSubset(join(dir, 'bilp.json'))).indices).toEqual((await readSubset(join(dir, 'easy.json'))).indices)
    await prune('hard.json', '--scores', scores, '--order', 'desc', '--drop', '0.8')
    const hard = (await readSubset(join(dir, 'hard.json'))).indices
    expect(hard.some((row) => (row * 7919) % 1009 < 500)).toBe(false)
    await prune('drawn.json', '--order', 'random', '--keep-percent', '3', '--seed', '4')
    expect(await readSubset(join(dir, 'drawn.json'))).toMatchObject({ score: null, counts: Array(10).fill(15), rule: { seed: 4 } })
  })

  it.each([
    ['keep and drop at once', ['--order', 'random', '--keep', '0.1', '--drop', '0.9']],
    ['a share that keeps all', ['--order', 'random', '--keep', '1']],
    ['a share that is none', ['--order', 'random', '--keep', 'half']],
    ['no share', ['--order', 'random']],
    ['scores where chance decides', ['--order', 'random', '--keep', '0.1', '--scores', 'scores']],
    ['no scores', ['--keep', '0.1']],
  ])('refuses %s, and writes nothing', async (_, args) => {
    expect((await prune('refused.json', ...args)).code).toBe(2)
    await expect(readSubset(join(dir, 'refused.json'))).rejects.toMatchObject({ code: 'not_found' })
  })

  it('replaces nothing, and refuses scores of other data', async () => {
    const before = readFileSync(join(dir, 'easy.json'), 'utf8')
    const again = await prune('easy.json', '--scores', scores, '--keep', '0.5')
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('exists already')])
    expect(readFileSync(join(dir, 'easy.json'), 'utf8')).toBe(before)
    const others = ['prune', '--data', writeStripes(freshDir()), '--scores', scores, '--keep', '0.5', '--out', join(dir, 'other.json')]
    const other = await call(...others)
    expect([other.code, other.stderr]).toEqual([1, expect.stringMatching(/rows of one say nothing about the other/)])
  })

  it('chooses from a part by the scores of the whole', async () => {
    const [easy, twice] = [join(dir, 'easy.json'), join(dir, 'twice.json')]
    const options = ['--scores', scores, '--order', 'asc', '--keep', '0.5', '--out', twice]
    expect((await call('prune', '--data', `fashion-mnist,subset=${easy}`, ...options)).code).toBe(0)
    const { values } = await readScores(scores)
    const [first, second] = [await readSubset(easy), await readSubset(twice)]
    expect(second.indices).toHaveLength(first.indices.length / 2)
    expect(second.values).toEqual(second.indices.map((row) => values[first.indices[row]]))
  })
})

describe('--subset', () => {
  const settings = ['--method', 'dm', '--ipc', '1', '--real-batch', '4', '--network', 'mlp']

  it('is the data of the run, of its continuation and of its baselines', async () => {
    const [subset, out] = [join(dir, 'easy.json'), join(dir, 'run')]
    const whole = await openWhole('fashion-mnist', 'train')
    const part = await openDataset(`fashion-mnist,subset=${subset}`, 'train')
    expect(part.labels.length).toBe(1000)
    const begun = await call('distill', '--data', 'fashion-mnist', '--subset', subset, ...settings, '--iterations', '2', '--out', out)
    expect(begun.code).toBe(0)
    const record = await readRunRecord(out)
    expect(record.data).toMatchObject({ sha256: part.sha256, images: 1000, specification: `fashion-mnist,subset=${subset}` })
    expect(record.data.sha256).not.toBe(whole.sha256)
    expect((await call('distill', '--resume', out, '--iterations', '4')).code).toBe(0)
    // --data says where the images are; the subset stays the run's
    expect((await call('distill', '--resume', out, '--data', 'fashion-mnist', '--iterations', '6')).code).toBe(0)
    const { code, stdout } = await call(
      ...['evaluate', out, '--json', '--networks', 'mlp', '--repeats', '1', '--epochs', '2'],
      ...['--baseline', 'random', '--inference', 'engine'],
    )
    expect([code, JSON.parse(stdout).data]).toEqual([0, `fashion-mnist,subset=${subset}`])
    expect((await call('plan', '--data', 'fashion-mnist', '--subset', subset, ...settings)).code).toBe(0)
  })

  it('is refused where a class has fewer images than start synthetic ones', async () => {
    const few = ['--subset', join(dir, 'drawn.json'), '--ipc', '16', '--network', 'mlp', '--out', join(dir, 'none')]
    const { code, stderr } = await call('distill', '--data', 'fashion-mnist', ...few)
    expect([code, stderr]).toEqual([2, expect.stringMatching(/at least 16 images for ipc 16 but received 15/)])
  })

  it.each(['dm', 'atom', 'dc'])('of every row is no pruning: %s ends with the bits of the run without', async (method) => {
    const device = await openDevice()
    try {
      const network = convNet({ input: [noiseSide, noiseSide, 3], classes: 2, depth: 2, width: 4 })
      const { rule } = await selectSamples(noiseDataset, { order: 'random', keep: 0.5 })
      const counts = Int32Array.from(noiseDataset.classes, (_, c) => noiseDataset.classIndices(c).length)
      const all = {
        rule,
        counts,
        indices: Int32Array.from(noiseDataset.labels.keys()),
        raised: [],
        thinned: [],
        weights: null,
        values: null,
      }
      const subset = createSubset(noiseDataset, all, null)
      const images = async (data: Dataset) =>
        (await distill(data, { method, ipc: 2, iterations: 3, realBatch: 4, network, seed: 7, device }).result).images
      expect(await images(applySubset(noiseDataset, subset))).toEqual(await images(noiseDataset))
    } finally {
      await device.close()
    }
  })

  it('keeps the test images whole, and refuses a subset of other data or none at all', async () => {
    const test = await openDataset(`fashion-mnist,subset=${join(dir, 'easy.json')}`, 'test')
    expect(test.labels.length).toBe((await openWhole('fashion-mnist', 'test')).labels.length)
    await expect(openDataset('fashion-mnist,subset=/nowhere.json', 'train')).rejects.toMatchObject({ code: 'not_found' })
    await expect(openDataset(`fashion-mnist,subset=${scores}`, 'train')).rejects.toMatchObject({ code: 'invalid_data' })
  })
})
