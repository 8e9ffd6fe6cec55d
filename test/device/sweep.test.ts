/** @file `aludel sweep`: which runs it consists of, what it writes, how it goes on, and what it refuses. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeStripes } from '../../scripts/lib/stress.mjs'
import { library } from '../../src/cli/library.js'
import { planCells } from '../../src/cli/sweep/cells.js'
import { summarise, tableLines } from '../../src/cli/sweep/table.js'
import { readRunRecord } from '../../src/experiment/run-dir.js'
import { readSweep, type SweepCell, writeSweep } from '../../src/experiment/sweep-record.js'
import { describeScores, openDataset, readSubset, writeScores } from '../../src/prune/index.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

const call = (...args: string[]) => run(library, ...args)
const artifact = ['data.safetensors', 'manifest.json', 'preview.png']
let data: string
let scores: string
beforeAll(async () => {
  data = writeStripes(freshDir())
  const train = await openDataset(data, 'train')
  scores = join(freshDir(), 'loss.safetensors')
  const about = { name: 'loss', source: 'made up', pass: 'evaluation', epochs: null, runs: null, seed: null } as const
  await writeScores(
    scores,
    describeScores(
      train,
      Float64Array.from(train.labels, (_, i) => (i * 17) % 31),
      about,
    ),
  )
})

const small = ['--method', 'dm', '--ipc', '1', '--iterations', '3', '--real-batch', '2', '--network', 'mlp', '--threads', '1']
const measure = ['--networks', 'mlp', '--trained', '2', '--epochs', '2', '--inference', 'engine']
const sweep = (out: string, ...more: string[]) => call('sweep', '--json', '--data', data, '--out', out, ...small, ...measure, ...more)

describe('planCells', () => {
  it('runs everything once a repetition, whatever the orders; only chance draws anew', () => {
    const cells = planCells({ keep: [0.1, 1], orders: ['asc', 'random'], repeats: 2, seed: 5, kind: 'loss' })
    expect(cells.map(({ run: name }) => name)).toEqual([
      ...['runs/all-seed5', 'runs/asc-0.1-seed5', 'runs/random-0.1-seed5'],
      ...['runs/all-seed6', 'runs/asc-0.1-seed6', 'runs/random-0.1-seed6'],
    ])
    expect(cells.map(({ subset }) => subset)).toEqual([
      ...[null, 'subsets/asc-0.1.json', 'subsets/random-0.1-seed5.json'],
      ...[null, 'subsets/asc-0.1.json', 'subsets/random-0.1-seed6.json'],
    ])
  })
})

describe('the table', () => {
  it('has means and deviations over the repetitions, and everything in every column', () => {
    const cell = (order: SweepCell['order'], keep: number, mean: number) =>
      ({ order, keep, accuracies: [{ network: 'mlp', mean }] }) as unknown as SweepCell
    const table = summarise({ cells: [cell('all', 1, 50), cell('asc', 0.1, 40), cell('asc', 0.1, 44), cell('desc', 0.1, 20)] })
    expect(table).toMatchObject([{ order: 'all', mean: 50, n: 1 }, { order: 'asc', mean: 42, std: 2, n: 2 }, { order: 'desc' }])
    expect(tableLines(table)).toEqual([
      'mlp, test accuracy in per cent',
      'keep  asc         desc',
      '0.1   42.0 ± 2.0  20.0',
      '1     50.0        50.0',
    ])
  })
})

describe('aludel sweep', () => {
  it('distils and measures every share and order, each on its own images, and goes on where it stopped', async () => {
    const out = join(freshDir(), 'sweep')
    const { code, stdout } = await sweep(out, '--keep', '0.3,0.6,1', '--order', 'asc,desc,random', '--repeats', '2', '--scores', scores)
    expect(code).toBe(0)
    const { cells: count, table } = JSON.parse(stdout)
    expect([count, table.length]).toEqual([14, 7])
    const record = await readSweep(out)
    expect(record).toMatchObject({ status: 'done', settings: { keep: [0.3, 0.6, 1], repeats: 2 } })
    for (const cell of record.cells) {
      const ofRun = await readRunRecord(join(out, cell.run))
      expect(ofRun).toMatchObject({ status: 'done', config: { iterations: 3, seed: cell.seed } })
      expect(ofRun.evaluations.flatMap(({ results }) => results)).toEqual(cell.accuracies)
      expect(cell).toMatchObject({ steps: 3, accuracies: [{ network: 'mlp', n: 2 }] })
      const kept = cell.keep === 1 ? 3 : cell.keep === 0.6 ? 2 : 1
      expect(cell.classCounts).toEqual(new Array(10).fill(kept))
      if (cell.subset === null) continue
      expect((await readSubset(join(out, cell.subset))).indices).toHaveLength(10 * kept)
      expect(ofRun.data.images).toBe(10 * kept)
    }
    const chosen = async (name: string) => (await readSubset(join(out, 'subsets', name))).indices
    expect(await chosen('asc-0.3.json')).not.toEqual(await chosen('desc-0.3.json'))
    expect(await chosen('random-0.3-seed0.json')).not.toEqual(await chosen('random-0.3-seed1.json'))
    // another process ended while this run was distilled, and others were not begun
    const lost = record.cells[4].run
    const bytes = () => artifact.map((name) => readFileSync(join(out, lost, name)).toString('hex'))
    const before = bytes()
    for (const name of [...artifact, 'run.json', 'events.jsonl', 'real.safetensors', 'stages.safetensors', 'report.html', 'checkpoints'])
      rmSync(join(out, lost, name), { recursive: true })
    await writeSweep(out, { ...record, status: 'running', cells: record.cells.slice(0, 3) })
    expect((await call('sweep', '--resume', out, '--json')).code).toBe(0)
    expect(bytes()).toEqual(before)
    const values = ({ cells }: { cells: readonly SweepCell[] }) => cells.map(({ run: name, accuracies }) => [name, accuracies])
    expect(values(await readSweep(out))).toEqual(values(record))
    // nothing is left to do
    const again = await call('sweep', '--resume', out, '--json')
    expect([again.code, JSON.parse(again.stdout).table]).toEqual([0, table])
    expect((await call('sweep', '--resume', out, '--repeats', '3')).stderr).toMatch(/--repeats: a sweep continues with its own/)
    expect((await sweep(out, '--order', 'random')).stderr).toMatch(/holds a sweep already/)
  })

  const refused: [string, string[], RegExp][] = [
    ['a share of 0', ['--keep', '0,0.5', '--order', 'random'], /shares in \(0, 1\]/],
    ['a share twice', ['--keep', '0.5,0.5', '--order', 'random'], /given twice/],
    ['an order that is none', ['--order', 'up'], /asc, desc, random/],
    ['networks to score that nothing needs', ['--order', 'random', '--keep', '0.5', '--score-runs', '2'], /where nothing is scored/],
    ['scores that are not there', ['--order', 'asc', '--scores', '/nowhere'], /\/nowhere/],
    ['scores of another kind', ['--order', 'asc', '--kind', 'el2n', '--scores', 'FILE'], /'el2n' but received/],
    ['a network to score that is none', ['--order', 'asc', '--score-network', 'mlq'], /mlq/],
    ['a network that is none', ['--order', 'random', '--networks', 'convnetz'], /convnetz/],
    ['an unknown setting of the method', ['--order', 'random', '--set', 'lambda=1'], /lambda/],
    ['fewer images than synthetic ones', ['--order', 'random', '--keep', '0.3', '--ipc', '4'], /class '0'/],
    ['a subset', ['--order', 'random', '--subset', 'FILE'], /chooses its own/],
    ['a directory that no specification can name', ['--order', 'random', '--out', '/tmp/a,b'], /without commas/],
  ]
  it.each(refused)('refuses %s before anything runs', async (_, args, message) => {
    const out = join(freshDir(), 'sweep')
    const { code, stderr } = await sweep(out, ...args.map((arg) => (arg === 'FILE' ? scores : arg)))
    expect(code).toBeGreaterThan(0)
    expect(stderr).toMatch(message)
    expect(existsSync(out)).toBe(false)
  })

  it('scores once for all runs where no scores are given', async () => {
    const out = join(freshDir(), 'sweep')
    const own = ['--score-network', 'mlp', '--score-runs', '1', '--score-epochs', '40']
    expect((await sweep(out, '--keep', '0.3', '--order', 'asc,desc', '--repeats', '1', '--protocol', 'glad', ...own)).code).toBe(0)
    expect((await readRunRecord(join(out, 'runs/asc-0.3-seed0'))).evaluations).toMatchObject([{ protocol: 'glad' }])
    const [easy, hard] = await Promise.all(['asc', 'desc'].map((order) => readSubset(join(out, `subsets/${order}-0.3.json`))))
    expect(easy.indices).not.toEqual(hard.indices)
    expect(easy.score).toMatchObject({ name: 'loss', runs: 1 })
    expect(existsSync(join(out, 'scores', 'loss.safetensors'))).toBe(true)
  })

  it('refuses a record that was changed', async () => {
    const out = freshDir()
    await writeSweep(out, { format: 'aludel-sweep', version: 1, status: 'running', settings: {}, cells: [] })
    const file = join(out, 'sweep.json')
    writeFileSync(file, readFileSync(file, 'utf8').replace('running', 'done'))
    expect((await call('sweep', '--resume', out)).stderr).toMatch(/it was changed or damaged/)
  })
})
