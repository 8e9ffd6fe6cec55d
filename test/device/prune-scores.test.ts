/** @file `aludel prune` on a directory of `aludel score`: kinds, orders by scores and by features, and what is refused. */
import { mkdtempSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { openDataset } from '../../src/data/index.js'
import { readSubset } from '../../src/prune/index.js'
import { run } from '../unit/cli/fake-library.js'
import { mnistDir } from '../unit/data/fixtures.js'

const dir = mkdtempSync(join(tmpdir(), 'prune-'))
const scores = join(dir, 'scores')
const data = `mnist:${mnistDir(60)}`
let count = 0

/** The subset that a command line makes. */
async function prune(...args: string[]) {
  const out = join(dir, `${count++}.json`)
  const { code, stderr } = await run(library, 'prune', '--data', data, '--out', out, ...args)
  expect([code, stderr]).toEqual([0, expect.any(String)])
  return readSubset(out)
}
const exitCode = async (...args: string[]) =>
  (await run(library, 'prune', '--data', data, '--out', join(dir, 'refused.json'), ...args)).code

beforeAll(async () => {
  const network = ['--network', 'mlp', '--runs', '1', '--epochs', '1', '--allow-chance']
  const { code } = await run(library, 'score', '--data', data, '--kind', 'loss,margin,aum', '--features', ...network, '--out', scores)
  expect(code).toBe(0)
})

describe('orders', () => {
  it('by scores keep the end that is named, of the kind that is named', async () => {
    const easy = await prune('--scores', scores, '--keep-percent', '50')
    expect(easy).toMatchObject({ score: { name: 'loss' }, counts: Array(10).fill(3), rule: { order: 'asc', amount: { kind: 'percent' } } })
    expect((await prune('--scores', join(scores, 'loss.safetensors'), '--keep-percent', '50')).indices).toEqual(easy.indices)
    const wide = await prune('--scores', scores, '--kind', 'margin', '--order', 'desc', '--keep-percent', '50')
    expect(wide.score?.name).toBe('margin')
    const middle = await prune('--scores', scores, '--order', 'desc', '--window', '0.3,0.9')
    expect(middle.rule.amount).toEqual({ kind: 'window', from: 0.3, to: 0.9 })
    expect(middle.counts).toEqual(Array(10).fill(4))
  })

  it('of ccs know the hard end of a kind', async () => {
    const ends = []
    for (const kind of ['loss', 'aum'])
      ends.push((await prune('--scores', scores, '--kind', kind, '--order', 'ccs', '--keep', '0.5')).rule.ccs?.hardest)
    expect(ends).toEqual(['largest', 'smallest'])
    const { rule } = await prune(
      '--scores',
      scores,
      '--order',
      'ccs',
      '--keep',
      '0.5',
      '--cutoff',
      '0.2',
      '--bins',
      '7',
      '--hardest',
      'smallest',
      '--seed',
      '3',
    )
    expect(rule).toMatchObject({ ccs: { hardest: 'smallest', cutoff: 0.2, bins: 7 }, seed: 3 })
  })

  it.each(['herding', 'kCenter', 'craig', 'gradMatch'])('by features: %s', async (order) => {
    const subset = await prune('--scores', scores, '--order', order, '--keep-percent', '50')
    expect(subset).toMatchObject({ score: { name: 'features' }, counts: Array(10).fill(3), rule: { order } })
    expect(subset.weights !== null).toBe(order === 'craig' || order === 'gradMatch')
    if (order === 'craig') expect(subset.weights?.reduce((a, b) => a + b)).toBe(60)
  })
})

it.each([
  ['keep and drop at once', ['--keep', '0.5', '--drop', '0.5'], 2],
  ['a class emptied', ['--keep-percent', '10', '--minimum', '0'], 2],
  ['a kind that is not there', ['--kind', 'el2n', '--keep', '0.5'], 1],
  ['settings of ccs elsewhere', ['--cutoff', '0.2', '--keep', '0.5'], 2],
  ['a kind where features decide', ['--order', 'craig', '--kind', 'loss', '--keep', '0.5'], 2],
  ['a window of features', ['--order', 'craig', '--window', '0.1,0.5'], 2],
])('refuses %s', async (_, args, code) => {
  expect(await exitCode('--scores', scores, ...args)).toBe(code)
})

it('refuses scores of other data, and a file where features are needed', async () => {
  const other = ['--data', `mnist:${mnistDir(30)}`, '--scores', scores, '--keep', '0.5', '--out', join(dir, 'refused.json')]
  expect((await run(library, 'prune', ...other)).code).toBe(1)
  expect((await run(library, 'prune', ...other, '--order', 'herding')).code).toBe(1)
  expect(await exitCode('--scores', join(scores, 'loss.safetensors'), '--order', 'herding', '--keep', '0.5')).toBe(2)
})

it('leaves subsets that hold fewer than the images per class to whoever starts from real images', async () => {
  const subset = await prune('--scores', scores, '--keep-percent', '17')
  expect(subset.counts).toEqual(Array(10).fill(1))
  const file = join(dir, `${count - 1}.json`)
  const args = ['distill', '--data', data, '--subset', file, '--ipc', '2', '--iterations', '1', '--network', 'mlp']
  const { code, stderr } = await run(library, ...args, '--out', join(dir, 'run'))
  expect([code, stderr]).toEqual([2, expect.stringMatching(/at least 2 images for ipc 2 but received 1/)])
  expect((await openDataset(data, 'train')).labels).toHaveLength(60)
})
