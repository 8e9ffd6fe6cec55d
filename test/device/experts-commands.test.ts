/** @file `aludel plan` and `aludel sweep` of methods that match experts. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeStripes } from '../../scripts/lib/stress.mjs'
import { library } from '../../src/cli/library.js'
import { readRunRecord } from '../../src/experiment/run-dir.js'
import { readSweep } from '../../src/experiment/sweep-record.js'
import { openDataset } from '../../src/prune/index.js'
import { writeStore } from '../experts-store.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

const call = (...args: string[]) => run(library, ...args)
let data: string
let experts: string
beforeAll(async () => {
  data = writeStripes(freshDir())
  experts = join(freshDir(), 'experts')
  const train = await openDataset(data, 'train')
  const checkpoint = (expert: number, epoch: number, parameters: number) =>
    Float32Array.from({ length: parameters }, (_, i) => 0.05 * Math.sin((i + 1) * (expert + 1)) + 0.01 * epoch * Math.cos(i * epoch))
  await writeStore(experts, { data: train, network: 'mlp', epochs: 6, checkpoint })
})

const sets = (...options: string[]) => options.flatMap((option) => ['--set', option])
const small = ['--method', 'mtt', '--ipc', '1', '--network', 'mlp', '--init', 'real', '--threads', '1', ...sets('innerSteps=2')]
const within = sets('maxStartEpoch=3', 'threshold=none')

describe('aludel plan --experts', () => {
  const plan = (...more: string[]) => call('plan', '--json', '--data', data, ...small, '--networks', 'mlp', '--repeats', '1', ...more)

  it('plans a run that fits its experts', async () => {
    const { code, stdout, stderr } = await plan('--experts', experts, ...within)
    expect([code, stderr]).toEqual([0, ''])
    expect(JSON.parse(stdout).config).toMatchObject({ method: 'mtt', innerSteps: 2, experts: [0, 1] })
  })

  it.each<[string, string[], RegExp]>([
    [
      'start epochs beyond those stored',
      ['--method', 'mtt', '--network', 'mlp', ...sets('maxStartEpoch=30')],
      /at most 6, the epochs that the experts/,
    ],
    ['another network', ['--method', 'mtt', '--network', 'convnet', ...within], /network: expected convnet but received 'mlp/],
    ['a whitening that the experts did not see', ['--method', 'mtt', '--network', 'mlp', '--zca', ...within], /leave --zca out/],
    ['a method that reads none', ['--method', 'dm'], /dm reads none/],
  ])('refuses %s', async (_, more, message) => {
    const { code, stderr } = await call('plan', '--data', data, '--experts', experts, ...more)
    expect(code).not.toBe(0)
    expect(stderr).toMatch(message)
  })
})

describe('aludel sweep --experts', () => {
  const sweep = (out: string, ...more: string[]) =>
    call(
      'sweep',
      '--json',
      '--data',
      data,
      '--out',
      out,
      ...small,
      ...within,
      '--iterations',
      '2',
      '--networks',
      'mlp',
      '--trained',
      '1',
      ...more,
    )
  const measured = ['--epochs', '2', '--inference', 'engine']

  it('repeats a run on all images, each repetition with its own seed', async () => {
    const out = join(freshDir(), 'sweep')
    const { code, stderr } = await sweep(out, '--experts', experts, '--keep', '1', '--repeats', '2', ...measured)
    expect([code, stderr]).toEqual([0, expect.not.stringContaining('error')])
    const { cells, settings } = await readSweep(out)
    expect(settings).toMatchObject({ experts })
    expect(cells.map(({ run: name, steps }) => [name, steps])).toEqual([
      ['runs/all-seed0', 2],
      ['runs/all-seed1', 2],
    ])
    for (const cell of cells) expect((await readRunRecord(join(out, cell.run))).experts).toMatchObject({ path: experts, numbers: [0, 1] })
  })

  it.each<[string, () => string[], RegExp]>([
    ['shares of the images', () => ['--experts', experts, '--keep', '0.5,1'], /--keep: expected 1 beside --experts/],
    ['no experts', () => ['--keep', '1'], /none were given/],
    ['epochs that are not stored', () => ['--experts', experts, '--keep', '1', '--set', 'expertEpochs=5'], /at most 6/],
  ])('refuses %s, before there is a directory', async (_, more, message) => {
    const out = join(freshDir(), 'sweep')
    const { code, stderr, stdout } = await sweep(out, ...more(), ...measured)
    expect(code).toBe(2)
    expect(stderr + stdout).toMatch(message)
    expect(existsSync(out)).toBe(false)
  })
})
