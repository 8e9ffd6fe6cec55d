/** @file `aludel distill --prune`: one run that chooses its images first. Every stage sees the same rows; what cannot end well never starts. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { openDataset as openWhole } from '../../src/data/index.js'
import { readRealImages } from '../../src/experiment/real-images.js'
import { readRunRecord, reopenRunDir } from '../../src/experiment/run-dir.js'
import { loadSyntheticSet } from '../../src/experiment/synthetic-set.js'
import { describeScores, openDataset, readSubset, subsetHash, writeScores } from '../../src/prune/index.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

let scores: string
const call = (...args: string[]) => run(library, ...args)
const common = ['--ipc', '1', '--real-batch', '4', '--network', 'mlp', '--seed', '3', '--threads', '1']
const distill = (out: string, ...more: string[]) => call('distill', '--data', 'fashion-mnist', '--out', out, ...common, ...more)
const artifact = ['data.safetensors', 'manifest.json', 'preview.png']
const bytes = (dir: string) => artifact.map((name) => readFileSync(join(dir, name)).toString('hex'))

beforeAll(async () => {
  const train = await openWhole('fashion-mnist', 'train')
  const dir = freshDir()
  const values = Float64Array.from(train.labels, (_, i) => (i * 7919) % 1009)
  scores = join(dir, 'loss.safetensors')
  const about = { name: 'loss', source: 'made up', pass: 'evaluation', epochs: null, runs: null, seed: null } as const
  await writeScores(scores, describeScores(train, values, about))
})

describe('distill --prune', () => {
  it('is the run on the subset that prune writes, and says which rows of the whole the images started from', async () => {
    const [out, beside, file] = [join(freshDir(), 'run'), join(freshDir(), 'run'), join(freshDir(), 'kept.json')]
    expect((await distill(out, '--iterations', '3', '--prune', 'loss:keep=0.2', '--scores', scores)).stderr).toMatch(
      /1000 of 5000 images stay/,
    )
    expect((await call('prune', '--data', 'fashion-mnist', '--scores', scores, '--keep', '0.2', '--out', file)).code).toBe(0)
    expect((await distill(beside, '--iterations', '3', '--subset', file)).code).toBe(0)
    const subset = await readSubset(join(out, 'subset.json'))
    expect(subset.indices).toEqual((await readSubset(file)).indices)
    expect(bytes(out)).toEqual(bytes(beside))
    const whole = await openWhole('fashion-mnist', 'train')
    const set = await loadSyntheticSet(out)
    expect(set.source.sha256).toBe(whole.sha256)
    expect(set.config.subsetSha256).toBe(subsetHash(subset))
    const kept = new Set(subset.indices)
    const starts = [...(set.sourceIds ?? [])]
    expect(starts.map((row) => whole.labels[row])).toEqual([...set.labels])
    expect(starts.every((row) => kept.has(row))).toBe(true)
    const real = await readRealImages(out, { images: 10, pixels: 784, classes: 10 })
    const pixels = (row: number) => [...whole.images.subarray(row * 784, (row + 1) * 784)]
    for (const [i, row] of (real?.rows ?? []).entries()) {
      expect(kept.has(row)).toBe(true)
      expect(pixels(row)).toEqual([...real!.nearest.subarray(i * 784, (i + 1) * 784)])
    }
    const record = await readRunRecord(out)
    expect(record.prune).toMatchObject({ plan: { kind: 'loss', order: 'asc', amount: { keep: 0.2 } }, subsetSha256: subsetHash(subset) })
    expect(record.data).toMatchObject({ specification: 'fashion-mnist', images: 1000 })
  })

  it('continues, is evaluated and reported on the same rows, wherever its directory is', async () => {
    const out = join(freshDir(), 'run')
    await distill(out, '--iterations', '2', '--prune', 'random:keepPercent=10', '--zca')
    expect((await call('distill', '--resume', out, '--iterations', '5')).code).toBe(0)
    const once = join(freshDir(), 'run')
    await distill(once, '--iterations', '5', '--prune', 'random:keepPercent=10', '--zca')
    expect(bytes(out)).toEqual(bytes(once))
    const measure = ['--networks', 'mlp', '--repeats', '1', '--epochs', '2', '--baseline', 'random', '--inference', 'engine']
    const { code, stdout } = await call('evaluate', out, '--json', ...measure)
    expect(code).toBe(0)
    const { data } = JSON.parse(stdout)
    expect(data).toBe(`fashion-mnist,subset=${join(out, 'subset.json')}`)
    expect((await openDataset(data, 'train')).labels.length).toBe(500)
    expect((await call('report', out)).code).toBe(0)
  })

  it.each(['loss', 'random'])('goes on after its end before or after the choice (%s)', async (kind) => {
    const more = kind === 'loss' ? ['--scores', scores] : []
    const whole = join(freshDir(), 'run')
    expect((await distill(whole, '--iterations', '3', '--prune', kind, ...more)).stderr).toMatch(
      /100 of a class; the share is that of the pub/,
    )
    // as a process killed before the choice leaves it
    const out = join(freshDir(), 'run')
    await distill(out, '--iterations', '3', '--prune', kind, ...more)
    const data = (await readRunRecord(whole)).data
    const { sha256, labels } = await openWhole('fashion-mnist', 'train')
    const runDir = await reopenRunDir(out)
    const prune = { ...runDir.record.prune!, subsetSha256: null }
    await runDir.update({ status: 'running', artifact: null, data: { ...data, sha256, images: labels.length }, prune })
    await runDir.close()
    for (const name of [...artifact, 'subset.json', 'checkpoints']) rmSync(join(out, name), { recursive: true })
    expect((await call('distill', '--resume', out)).code).toBe(0)
    expect(bytes(out)).toEqual(bytes(whole))
    expect(readFileSync(join(out, 'subset.json'), 'utf8')).toBe(readFileSync(join(whole, 'subset.json'), 'utf8'))
    expect((await readRunRecord(out)).data.images).toBe(1000)
  })

  it('scores the images itself where no scores are given, as aludel score does, and keeps the scores', async () => {
    const [out, beside, kept] = [join(freshDir(), 'run'), join(freshDir(), 'run'), join(freshDir(), 'scores')]
    const rule = ['--prune', 'el2n:keep=0.5,network=mlp,runs=2,epochs=3']
    const { code, stderr } = await distill(out, '--iterations', '3', ...rule)
    expect([code, stderr]).toEqual([0, expect.stringMatching(/prune el2n: 2500 of 5000 images stay/)])
    const score = ['--kind', 'el2n', '--network', 'mlp', '--runs', '2', '--epochs', '3', '--seed', '3', '--out', kept]
    expect((await call('score', '--data', 'fashion-mnist', ...score)).code).toBe(0)
    const file = 'el2n.safetensors'
    const hex = (path: string) => readFileSync(path).toString('hex')
    expect(hex(join(out, 'scores', file))).toBe(hex(join(kept, file)))
    expect((await distill(beside, '--iterations', '3', '--prune', 'el2n:keep=0.5', '--scores', kept)).code).toBe(0)
    expect(bytes(out)).toEqual(bytes(beside))
    const { prune, phases } = await readRunRecord(out)
    expect(prune).toMatchObject({ scores: null, scoring: { network: 'mlp', runs: 2, epochs: 3 } })
    expect(phases?.map(({ name }) => name)).toEqual(['score el2n', 'prune', 'distill'])
  })

  it('is the run without it where everything stays, and so is --dynamic off', async () => {
    const [plain, all, off] = [join(freshDir(), 'run'), join(freshDir(), 'run'), join(freshDir(), 'run')]
    await distill(plain, '--iterations', '3')
    for (const rule of ['loss:keep=1', 'random:drop=0']) {
      expect((await distill(all, '--iterations', '3', '--prune', rule, '--dynamic', 'off')).code).toBe(0)
      expect(bytes(all)).toEqual(bytes(plain))
      expect(existsSync(join(all, 'subset.json'))).toBe(false)
      rmSync(all, { recursive: true })
    }
    await distill(off, '--iterations', '3', '--dynamic', 'off')
    expect(bytes(off)).toEqual(bytes(plain))
  })

  const refused: [string, string[], RegExp][] = [
    ['a share of 0', ['--prune', 'random:keep=0'], /fraction in \(0, 1\)/],
    ['keep and drop together', ['--prune', 'random:keep=0.2,drop=0.8'], /keep and drop/],
    ['keep and keepPercent together', ['--prune', 'random:keep=1,keepPercent=20'], /keep and keepPercent/],
    ['a class emptied', ['--prune', 'random:window=0.001:0.0011,minimum=0'], /would keep none of its 500 images/],
    [
      'fewer images than synthetic ones',
      ['--prune', 'random:keep=0.01,minimum=1', '--ipc', '10'],
      /keep 5 of its 500 images, fewer than the 10/,
    ],
    ['a minimum above a class', ['--prune', 'random:keep=0.1,minimum=501'], /at least 501 images/],
    ['no scores', ['--prune', 'margin:keep=0.1', '--scores', '/nowhere'], /nowhere/],
    ['scores of another kind', ['--prune', 'el2n:keep=0.1', '--scores', 'FILE'], /'el2n' but received/],
    ['scores for chance', ['--prune', 'random:keep=0.1', '--scores', 'FILE'], /no --scores/],
    ['networks to score beside scores', ['--prune', 'loss:keep=0.1,runs=2', '--scores', 'FILE'], /the scores are there already/],
    ['networks to score for chance', ['--prune', 'random:keep=0.1,epochs=2'], /chance needs no scores/],
    ['a network to score that is none', ['--prune', 'loss:keep=0.1,network=mlq'], /mlq/],
    ['a kind that nothing can score', ['--prune', 'LossInit:keep=0.1'], /LossInit/],
    ['no networks to score', ['--prune', 'loss:keep=0.1,runs=0'], /runs/],
    ['an unknown score', ['--prune', 'lost:keep=0.1', '--scores', 'FILE'], /say which end stays/],
    ['an unknown key', ['--prune', 'random:share=0.1'], /'share' is none of/],
    ['an order of chance', ['--prune', 'random:keep=0.1,order=asc'], /none for random/],
    ['an order that is none', ['--prune', 'loss:keep=0.1,order=up', '--scores', 'FILE'], /asc, desc or moderate/],
    ['a subset of a subset', ['--prune', 'random:keep=0.1', '--subset', 'KEPT'], /is a subset already/],
    ['scores without pruning', ['--scores', 'FILE'], /--prune or --schedule beside it/],
    ['a setting of the method', ['--prune', 'random:keep=0.1', '--set', 'lambda=2'], /lambda/],
  ]
  it.each(refused)('refuses %s before anything runs', async (_, args, message) => {
    const kept = join(freshDir(), 'kept.json')
    if (args.includes('KEPT')) await call('prune', '--data', 'fashion-mnist', '--order', 'random', '--keep', '0.5', '--out', kept)
    const out = join(freshDir(), 'run')
    const { code, stderr } = await distill(
      out,
      '--iterations',
      '2',
      ...args.map((arg) => (arg === 'FILE' ? scores : arg === 'KEPT' ? kept : arg)),
    )
    expect(code).toBeGreaterThan(0)
    expect(stderr).toMatch(message)
    expect(existsSync(out)).toBe(false)
  })

  it('refuses scores of other data or with rows missing', async () => {
    const short = join(freshDir(), 'FashionMNIST_LossInit.json')
    writeFileSync(short, '[1.0, 2.0]')
    const out = join(freshDir(), 'run')
    const length = await distill(out, '--prune', 'LossInit:keep=0.1', '--scores', short)
    expect([length.code, length.stderr]).toEqual([1, expect.stringMatching(/5000, one for each sample/)])
    const other = await call(
      'distill',
      '--data',
      `fashion-mnist,flip=no`,
      '--prune',
      'loss:keep=0.1',
      '--scores',
      scores,
      '--out',
      out,
      '--iterations',
      '2',
      ...common,
    )
    // the same pixels and labels: how they are read may differ
    expect(other.stderr).not.toMatch(/error/)
  })
})
