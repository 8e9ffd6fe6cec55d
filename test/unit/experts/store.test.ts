/** @file Stores of experts: what is written is read back to the bit, and damage, foreign files and wrong uses are told by name. */
import { mkdtemp, readdir, readFile, rename, rm, truncate, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { checkpointsPath, expertRecordPath, recordPath } from '../../../src/experts/record.js'
import { checkExperts, keptEpochs, openExperts, rangesOf } from '../../../src/experts/store.js'
import { trimExperts } from '../../../src/experts/trim.js'
import { verifyExperts } from '../../../src/experts/verify.js'
import { decodeSafetensors } from '../../../src/files/safetensors.js'
import type { Network } from '../../../src/nn/module.js'
import { networkByName } from '../../../src/nn/networks/registry.js'
import { writeStore } from '../../experts-store.js'
import { noiseDataset } from '../../noise-dataset.js'

const numbers = (expert: number, epoch: number, parameters: number) =>
  Float32Array.from({ length: parameters }, (_, i) => Math.fround(Math.cos(i) + expert * 10 + epoch))

let dir: string
beforeEach(async () => {
  dir = await mkdtemp(join(tmpdir(), 'experts-'))
})
afterEach(() => rm(dir, { recursive: true, force: true }))

async function failure(promise: Promise<unknown>): Promise<{ code: string; message: string }> {
  return promise.then(
    () => ({ code: 'none', message: 'it did not fail' }),
    ({ code, message }) => ({ code, message }),
  )
}

const bytesAt = async (path: string): Promise<Uint8Array> => new Uint8Array(await readFile(path))

/** Changes one byte of a file. */
async function flip(path: string, at: number): Promise<void> {
  const bytes = await bytesAt(path)
  bytes[at < 0 ? bytes.length + at : at] ^= 1
  await writeFile(path, bytes)
}

describe('a store', () => {
  it('gives back every kept checkpoint to the bit', async () => {
    const record = await writeStore(dir, { epochs: 5, keep: { from: 1, to: 2 }, checkpoint: numbers })
    const store = await openExperts(dir)
    expect(store.record).toEqual(record)
    expect(store.record.kept).toEqual([1, 2, 5])
    expect(store.experts).toEqual([0, 1])
    for (const expert of [0, 1])
      for (const epoch of [1, 2, 5]) expect(await store.checkpoint(expert, epoch)).toEqual(numbers(expert, epoch, record.parameters))
    expect(store.expert(1).losses).toHaveLength(5)
  })

  it('is made of safetensors files with one flat tensor for each kept epoch', async () => {
    const { parameters } = await writeStore(dir, { epochs: 2, checkpoint: numbers })
    const path = checkpointsPath(dir, 1)
    const { tensors, metadata } = decodeSafetensors(path, await bytesAt(path))
    expect([...tensors.keys()]).toEqual(['epoch-0', 'epoch-1', 'epoch-2'])
    expect(tensors.get('epoch-1')?.shape).toEqual([parameters])
    expect(metadata['epoch-1']).toMatch(/^[0-9a-f]{64}$/)
  })

  it('is the same to the byte when it is written twice', async () => {
    const again = join(dir, 'again')
    const first = join(dir, 'first')
    for (const one of [first, again]) await writeStore(one)
    for (const name of await readdir(first)) expect(await bytesAt(join(again, name))).toEqual(await bytesAt(join(first, name)))
  })

  it('counts finished experts only', async () => {
    await writeStore(dir, { experts: 4, finished: [2, 0] })
    expect((await openExperts(dir)).experts).toEqual([0, 2])
  })

  it('says which experts and epochs there are', async () => {
    await writeStore(dir, { epochs: 9, keep: { from: 2, to: 4 } })
    const store = await openExperts(dir)
    expect(await failure(store.checkpoint(0, 7))).toMatchObject({ code: 'invalid_option', message: expect.stringContaining('2-4, 9') })
    expect(await failure(store.checkpoint(5, 2))).toMatchObject({ code: 'invalid_option', message: expect.stringContaining('0-1') })
  })
})

describe('damage', () => {
  it('of a file that is cut short is told when the store is opened, with the hash', async () => {
    await writeStore(dir)
    const hash = (await openExperts(dir)).expert(1).hashes[0]
    await truncate(checkpointsPath(dir, 1), 3000)
    const { code, message } = await failure(openExperts(dir))
    expect(code).toBe('invalid_data')
    expect(message).toContain(hash)
    expect(message).toContain('expert-0001.safetensors')
  })

  it('of a parameter is told when it is read, with the hash, and other checkpoints go on', async () => {
    const { parameters } = await writeStore(dir, { checkpoint: numbers })
    await flip(checkpointsPath(dir, 0), -1)
    const store = await openExperts(dir)
    const { code, message } = await failure(store.checkpoint(0, 3))
    expect(code).toBe('invalid_data')
    expect(message).toContain(store.expert(0).hashes[3])
    expect(await store.checkpoint(0, 2)).toEqual(numbers(0, 2, parameters))
  })

  it('of records is told', async () => {
    await writeStore(dir)
    await flip(expertRecordPath(dir, 0), 60)
    expect((await failure(openExperts(dir))).message).toContain('expert-0000.json')
    await writeFile(recordPath(dir), (await readFile(recordPath(dir), 'utf8')).replace('"epochs": 3', '"epochs": 4'))
    expect(await failure(openExperts(dir))).toMatchObject({ code: 'invalid_data', message: expect.stringContaining('experts.json') })
  })

  it('is found by verification, which goes on to the other experts', async () => {
    await writeStore(dir, { experts: 3 })
    await flip(checkpointsPath(dir, 1), -5)
    const [first, second, third] = await verifyExperts(dir)
    expect(first).toEqual({ expert: 0, checkpoints: 4 })
    expect(second).toMatchObject({ checkpoints: 3, problem: expect.stringContaining('sha256') })
    expect(third.problem).toBeUndefined()
  })

  it('that is no number is told by its place', async () => {
    const broken = (expert: number, epoch: number, parameters: number) => numbers(expert, epoch, parameters).fill(Number.NaN, 7, 8)
    expect(await failure(writeStore(dir, { checkpoint: broken }))).toMatchObject({
      code: 'not_finite',
      message: expect.stringMatching(/expert 0 after epoch 0: parameter 7 .* NaN/),
    })
  })

  it('an expert of another store is incompatible', async () => {
    const [here, there] = [join(dir, 'here'), join(dir, 'there')]
    await writeStore(here, { epochs: 3 })
    await writeStore(there, { epochs: 4 })
    await rename(expertRecordPath(there, 0), expertRecordPath(here, 0))
    expect((await failure(openExperts(here))).code).toBe('incompatible')
  })

  it('a folder without a record is not found', async () => {
    expect((await failure(openExperts(dir))).code).toBe('not_found')
  })
})

describe('use', () => {
  it('by another network, other data or another normalisation names both', async () => {
    await writeStore(dir)
    const store = await openExperts(dir)
    const told = (network: string | Network, data = noiseDataset) => {
      try {
        checkExperts(store, { network, data })
        return undefined
      } catch (error) {
        return error as { code: string; message: string }
      }
    }
    expect(told('convnet')).toBeUndefined()
    expect(told(networkByName('convnet', [8, 8, 3], 2))).toBeUndefined()
    for (const other of ['convnet-w64', 'mlp', 'convnet-d2'])
      expect(told(networkByName(other, [8, 8, 3], 2))?.message).toMatch(/expected .* received/)
    expect(told('mlp')?.message).toMatch(/mlp.*'convnet /)
    const fewer = noiseDataset.subset([1, 2, 3])
    const { code, message } = told('convnet', fewer) as { code: string; message: string }
    expect(code).toBe('incompatible')
    expect(message).toContain(fewer.sha256)
    expect(message).toContain(noiseDataset.sha256)
    expect(told('convnet', { ...noiseDataset, sha256: noiseDataset.sha256, mean: [0, 0, 0] })?.message).toContain('[0,0,0]')
  })

  it('of a store without a finished expert is refused', async () => {
    await writeStore(dir, { finished: [] })
    const store = await openExperts(dir)
    expect(() => checkExperts(store, { network: 'convnet', data: noiseDataset })).toThrow(/none of its 2 experts is finished/)
  })
})

describe('trimming', () => {
  it('leaves the range and the last epoch, and gives the rest back', async () => {
    const { parameters } = await writeStore(dir, { epochs: 6, checkpoint: numbers })
    const { sha256 } = await openExperts(dir)
    const { freed, record } = await trimExperts(dir, { from: 2, to: 3 })
    expect(record.kept).toEqual([2, 3, 6])
    expect(freed).toBeGreaterThanOrEqual(2 * 4 * 4 * parameters)
    const store = await openExperts(dir)
    // runs that were begun with the whole store go on with it
    expect(store.sha256).toBe(sha256)
    for (const expert of [0, 1])
      for (const epoch of [2, 3, 6]) expect(await store.checkpoint(expert, epoch)).toEqual(numbers(expert, epoch, parameters))
    expect((await verifyExperts(dir)).every(({ problem }) => problem === undefined)).toBe(true)
    expect((await trimExperts(dir, { from: 2, to: 3 })).freed).toBe(0)
  })

  it('refuses epochs that are not there', async () => {
    await writeStore(dir, { epochs: 6, keep: { from: 0, to: 2 } })
    expect(await failure(trimExperts(dir, { from: 2, to: 4 }))).toMatchObject({
      code: 'invalid_option',
      message: expect.stringContaining('3-4'),
    })
  })

  it('that was cut off leaves a store that can be read, and is finished by another', async () => {
    const { parameters } = await writeStore(dir, { epochs: 6, checkpoint: numbers })
    const whole = await bytesAt(checkpointsPath(dir, 1))
    await trimExperts(dir, { from: 2, to: 3 })
    // the file of one expert as it was: the record is rewritten first
    await writeFile(checkpointsPath(dir, 1), whole)
    // and what was copied of it, of more epochs than the next trimming leaves
    await writeFile(join(dir, '.expert-1.partial'), whole)
    expect(await (await openExperts(dir)).checkpoint(1, 3)).toEqual(numbers(1, 3, parameters))
    expect((await trimExperts(dir, { from: 2, to: 3 })).freed).toBeGreaterThan(0)
    expect(await (await openExperts(dir)).checkpoint(1, 3)).toEqual(numbers(1, 3, parameters))
    expect((await bytesAt(checkpointsPath(dir, 1))).length).toBe((await bytesAt(checkpointsPath(dir, 0))).length)
  })
})

it('kept epochs are a range and the last', () => {
  expect(keptEpochs('keep', 4, undefined)).toEqual([0, 1, 2, 3, 4])
  expect(keptEpochs('keep', 9, { from: 1, to: 3 })).toEqual([1, 2, 3, 9])
  for (const range of [
    { from: 3, to: 2 },
    { from: 0, to: 10 },
    { from: -1, to: 2 },
    { from: 0.5, to: 2 },
  ])
    expect(() => keptEpochs('keep', 9, range)).toThrow(/keep/)
  expect(rangesOf([0, 3, 4, 5, 9])).toBe('0, 3-5, 9')
})
