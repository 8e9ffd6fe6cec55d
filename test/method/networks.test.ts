/** @file Networks in training: the documentation's own network as it is printed, batch norm's two modes, and thread counts. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Dataset } from '../../src/data/dataset.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate } from '../../src/evaluate/evaluate.js'
import { randomRealSet } from '../../src/evaluate/random-real.js'
import type { EvaluationResult } from '../../src/experiment/types.js'
import type { Network } from '../../src/nn/module.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { resNet18 } from '../../src/nn/networks/res-net.js'
import { testNetwork } from '../contracts/testNetwork.js'
import { stripes } from './contract.js'

interface Page {
  stridedNet(input: readonly [number, number, number], classes: number, width?: number): Network
  distilWithIt(train: Dataset, test: Dataset, device: Device): Promise<EvaluationResult[]>
}

/** The page's snippet as a module that imports the sources. */
async function pageModule(): Promise<Page> {
  const root = new URL('../../', import.meta.url)
  const snippet = /^```ts\n([\s\S]*?)^```/m.exec(readFileSync(new URL('docs/networks.md', root), 'utf8'))?.[1] as string
  const folder = new URL('build/doc-runs/', root)
  mkdirSync(folder, { recursive: true })
  const path = fileURLToPath(new URL('networks.ts', folder))
  writeFileSync(path, snippet.replace("from 'aludel'", "from '../../src/index.js'"))
  return import(pathToFileURL(path).href)
}

const page = await pageModule()
testNetwork("the documentation's network", page.stridedNet([6, 5, 2], 3, 4))

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

describe('networks of the caller', () => {
  it('are distilled under and evaluated as the documentation says', async () => {
    const train = stripes([12, 12, 12])
    const results = await page.distilWithIt(train, train, device)
    expect(results).toMatchObject([
      { network: 'strided', n: 2 },
      { network: 'mlp', n: 2 },
    ])
  })

  it('are refused when made for other images', async () => {
    const train = stripes([4, 4, 4])
    const network = page.stridedNet([9, 9, 1], 3)
    await expect(evaluate(randomRealSet(train, 1, 0), { networks: [network], test: train, device })).rejects.toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining("network 'strided'"),
    })
  })
})

describe('batch norm in evaluation', () => {
  it('predicts each test image alike whatever images stand beside it, and the same at any thread count', async () => {
    const train = stripes([20, 20, 20])
    const [, height, width, channels] = train.shape
    const input = [height, width, channels] as const
    const networks = [
      convNet({ input, classes: 3, depth: 1, width: 8, norm: 'batch' }),
      resNet18({ input, classes: 3, width: 4, norm: 'batch' }),
    ]
    const set = randomRealSet(train, 4, 0)
    const options = { networks, repeats: 2, epochs: 20, augment: 'none', seed: 1 }
    const whole = await evaluate(set, { ...options, test: train, device })
    // One class alone: batch statistics of such a batch would hide what tells the class.
    const parts = [0, 1, 2].map((c) => train.subset(train.classIndices(c)))
    const alone: EvaluationResult[][] = []
    for (const test of parts) alone.push(await evaluate(set, { ...options, test, device }))
    for (const [n, { values }] of whole.entries()) {
      const means = values.map((_, i) => alone.reduce((t, results) => t + results[n].values[i], 0) / 3)
      means.forEach((m, i) => {
        expect(m).toBeCloseTo(values[i], 9)
      })
    }
    const other = await Device.open({ threads: 3 })
    expect(await evaluate(set, { ...options, test: train, device: other })).toEqual(whole)
    await other.close()
  })
})
