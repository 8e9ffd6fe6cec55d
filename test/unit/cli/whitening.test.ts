/** @file Whitening around commands: kept with a new run, found or fitted again for one that continues, refused when it is another. */
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { keepWhitening, whitenAgain, whitenTraining } from '../../../src/cli/whitening.js'
import { type Dataset, whitenedDataset } from '../../../src/data/dataset.js'
import { type Whitening, whiteningHash } from '../../../src/data/whitening.js'
import type { RunDir } from '../../../src/experiment/run-dir.js'
import { expectError, freshDir, tinyDataset } from '../data/fixtures.js'
import { fakeLibrary, run } from './fake-library.js'

/** A whitening of 2x2 gray images that multiplies by `factor`. */
async function whiteningBy(factor: number): Promise<Whitening> {
  const diagonal = (value: number) => Float32Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? value : 0))
  const fields = {
    order: 'raw' as const,
    eps: 0.1,
    image: [2, 2, 1] as const,
    channels: { mean: [0], std: [1] },
    mean: new Float32Array(4),
    transform: diagonal(factor),
    inverse: diagonal(1 / factor),
    source: { name: 'tiny', sha256: '00' },
  }
  return { ...fields, sha256: await whiteningHash(fields) }
}

/** Tools whose fit gives `fitted`, and what was asked of them. */
function toolsOf(fitted: Whitening) {
  const asked: object[] = []
  const { library } = fakeLibrary()
  const notices: string[] = []
  const tools = {
    library: {
      ...library,
      async fitZca(_: Dataset, options: object) {
        asked.push(options)
        return fitted
      },
      whiten: async (dataset: Dataset, whitening: Whitening) =>
        whitenedDataset(dataset, whitening, new Float32Array(dataset.images.length)),
    },
    output: { notice: (text: string) => notices.push(text), line: () => {}, value: () => {} } as never,
    device: { close: () => {} },
    cache: 'somewhere',
  }
  return { tools, asked, notices }
}

const train = tinyDataset([3, 3])
const runOf = (dir: string, zca?: Whitening) =>
  ({ dir, record: { data: zca ? { zca: { order: zca.order, eps: zca.eps, sha256: zca.sha256 } } : {} } }) as unknown as RunDir

it('fits for a new run, with its options, and leaves data alone without --zca', async () => {
  const zca = await whiteningBy(2)
  const { tools, asked } = toolsOf(zca)
  expect(await whitenTraining(train, undefined, tools)).toBe(train)
  expect((await whitenTraining(train, { order: 'normalised', eps: 0.3 }, tools)).whitened?.whitening).toBe(zca)
  expect(asked).toEqual([{ device: tools.device, order: 'normalised', eps: 0.3, cache: 'somewhere' }])
})

describe('a run that continues', () => {
  it('takes the file of its directory', async () => {
    const [dir, zca] = [freshDir(), await whiteningBy(2)]
    const { tools, asked } = toolsOf(await whiteningBy(3))
    await keepWhitening(runOf(dir), (await toolsOf(zca).tools.library.whiten(train, zca)) as Dataset)
    expect((await whitenAgain(train, runOf(dir, zca), tools)).whitened?.whitening).toEqual(zca)
    expect(asked).toEqual([])
    expect(await whitenAgain(train, runOf(dir), tools)).toBe(train)
  })

  it('fits again where the file is gone or damaged', async () => {
    const [dir, zca] = [freshDir(), await whiteningBy(2)]
    const { tools, asked, notices } = toolsOf(zca)
    expect((await whitenAgain(train, runOf(dir, zca), tools)).whitened?.whitening).toBe(zca)
    writeFileSync(join(dir, 'zca.safetensors'), 'damaged')
    expect((await whitenAgain(train, runOf(dir, zca), tools)).whitened?.whitening).toBe(zca)
    expect(asked).toHaveLength(2)
    expect(notices.join()).toMatch(/zca\.safetensors.*fitted again/)
  })

  it('refuses another whitening, whether kept or fitted', async () => {
    const [dir, zca, other] = [freshDir(), await whiteningBy(2), await whiteningBy(3)]
    const { tools } = toolsOf(other)
    await expectError(() => whitenAgain(train, runOf(dir, zca), tools), 'incompatible', /the one that the run began with/)
    await keepWhitening(runOf(dir), (await tools.library.whiten(train, other)) as Dataset)
    await expectError(() => whitenAgain(train, runOf(dir, zca), tools), 'incompatible', /put its file back/)
    rmSync(join(dir, 'zca.safetensors'))
  })
})

describe('options of data on the command line', () => {
  const opened = async (...args: string[]) => {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'run')
    const { code, stderr } = await run(library, 'distill', '--out', out, ...args)
    return { code, stderr, opened: calls.opened }
  }

  it('become part of the specification', async () => {
    const { opened: specifications } = await opened(
      '--data',
      'folder:/x,flip=no',
      '--size',
      '32',
      '--fit',
      'crop',
      '--normalize',
      '0.5,0.4,0.3/0.2',
    )
    expect(specifications[0]).toBe('folder:/x,size=32,fit=crop,normalize=0.5:0.4:0.3/0.2,flip=no train')
  })

  it.each([
    [['--data', 'folder:/x,size=4', '--size', '8'], /--size: is in --data too/],
    [['--data', 'folder:/x', '--zca-eps', '0.1'], /--zca-eps: goes with --zca only/],
    [['--data', 'folder:/x', '--zca', 'both'], /raw, normalised/],
    [['--data', 'folder:/x', '--size', '0'], /whole number >= 1/],
  ])('are refused: %j', async (args, message) => {
    const { code, stderr } = await opened(...args)
    expect(code).toBe(2)
    expect(stderr).toMatch(message)
  })
})
