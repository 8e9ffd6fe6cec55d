/** @file Reading what is no data file: devices, pipes and directories are refused unread, and every failure names the path. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, symlinkSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cifar100 } from '../../../src/data/cifar100.js'
import { decodeImages } from '../../../src/data/decode-images.js'
import { exists, readText, readWhole } from '../../../src/data/file-bytes.js'
import { readIdx } from '../../../src/data/idx.js'
import { cifar10, fashionMnist, mnist, openDataset } from '../../../src/data/index.js'
import { npz } from '../../../src/data/npz-dataset.js'
import { tinyImagenet } from '../../../src/data/tiny-imagenet.js'
import { readCheckpoint } from '../../../src/experiment/checkpoint-file.js'
import { readRealImages } from '../../../src/experiment/real-images.js'
import { readRepresentationSample } from '../../../src/experiment/representation-sample.js'
import { readEvents, readRunRecord } from '../../../src/experiment/run-dir.js'
import { readStages } from '../../../src/experiment/stages.js'
import { loadSyntheticSet, readManifest } from '../../../src/experiment/synthetic-set.js'
import { readModelFile } from '../../../src/onnx/classifier.js'
import { readWhitening } from '../../../src/preprocess/whitening-file.js'
import { tinySet } from '../experiment/sets.js'
import { expectError, freshDir, mnistDir, write } from './fixtures.js'

type Plant = (path: string) => void

const plants: Record<string, Plant> = {
  'a directory': (path) => mkdirSync(path),
  'an endless device': (path) => symlinkSync('/dev/zero', path),
  'a pipe without a writer': (path) => {
    expect(spawnSync('mkfifo', [path]).status).toBe(0)
  },
}

/** Every reader of files, with the name under which it looks for them. */
const readers: Record<string, { readonly file: string; readonly read: (dir: string) => Promise<unknown> }> = {
  mnist: { file: 'train-images-idx3-ubyte', read: (dir) => mnist(dir) },
  'mnist, packed': { file: 'train-images-idx3-ubyte.gz', read: (dir) => mnist(dir) },
  cifar10: { file: 'data_batch_1.bin', read: (dir) => cifar10(dir) },
  cifar100: { file: 'train.bin', read: (dir) => cifar100(dir) },
  npz: { file: 'set.npz', read: (dir) => npz(join(dir, 'set.npz')) },
  'the ids of tiny-imagenet': { file: 'wnids.txt', read: (dir) => tinyImagenet(dir) },
  'an image': { file: 'a.png', read: (dir) => decodeImages([join(dir, 'a.png')]) },
  'a model': { file: 'a.onnx', read: (dir) => readModelFile(join(dir, 'a.onnx')) },
  'a whitening': { file: 'zca.safetensors', read: (dir) => readWhitening(join(dir, 'zca.safetensors')) },
  'a checkpoint': { file: 'a.safetensors', read: (dir) => readCheckpoint(join(dir, 'a.safetensors')) },
  'the names of cifar10': { file: 'batches.meta.txt', read: (dir) => cifar10(dir) },
  'run.json': { file: 'run.json', read: readRunRecord },
  'events.jsonl': { file: 'events.jsonl', read: readEvents },
  'manifest.json': { file: 'manifest.json', read: readManifest },
  'real.safetensors': { file: 'real.safetensors', read: (dir) => readRealImages(dir, { images: 4, pixels: 36, classes: 2 }) },
  'stages.safetensors': { file: 'stages.safetensors', read: (dir) => readStages(join(dir, 'stages.safetensors')) },
  'representations.safetensors': { file: 'representations.safetensors', read: (dir) => readRepresentationSample(dir, 4) },
  'data.safetensors': { file: 'data.safetensors', read: loadSyntheticSet },
}

describe.skipIf(process.platform === 'win32')('a reader refuses', () => {
  const rows = Object.keys(plants).flatMap((plant) => Object.keys(readers).map((reader) => [plant, reader] as const))

  it.each(rows)('%s in place of a file: %s', async (plant, reader) => {
    const { file, read } = readers[reader]
    const dir = freshDir()
    if (reader.startsWith('mnist')) write(dir, 'train-labels-idx1-ubyte', '')
    if (file === 'data.safetensors') {
      await tinySet().save(join(dir, 'whole'))
      symlinkSync(join(dir, 'whole', 'manifest.json'), join(dir, 'manifest.json'))
    }
    if (file === 'wnids.txt') {
      mkdirSync(join(dir, 'train', 'n01'), { recursive: true })
      write(join(dir, 'train', 'n01'), 'a.png', '')
    }
    plants[plant](join(dir, file))
    const what = plant === 'a directory' ? 'a directory' : 'a device or pipe'
    await expectError(() => read(dir), 'invalid_data', `${join(dir, file)}: expected a regular file but it is ${what}`)
  })
})

describe('a path', () => {
  it.each<[string, (path: string) => unknown]>([
    ['mnist', (path) => mnist(path)],
    ['fashionMnist', (path) => fashionMnist(path)],
    ['cifar10', (path) => cifar10(path)],
    ['readRunRecord', readRunRecord],
    ['readEvents', readEvents],
    ['readManifest', readManifest],
    ['loadSyntheticSet', loadSyntheticSet],
  ])('is needed by %s', async (_, read) => {
    for (const path of ['', 'a\0b', 3, null, {}])
      await expectError(() => read(path as string), 'invalid_option', /expected a path but received/)
  })

  it.skipIf(process.platform === 'win32')('that the system refuses is named', async () => {
    const dir = freshDir()
    const loop = join(dir, 'loop')
    symlinkSync(loop, loop)
    const long = join(dir, 'x'.repeat(300))
    for (const [path, code] of [
      [loop, /loop.*: the path goes through too many symbolic links \(ELOOP\)/],
      [long, /x.*: the path is too long \(ENAMETOOLONG\)/],
    ] as const) {
      for (const read of [exists, (at: string) => readWhole(at, 9), (at: string) => readText(at, 9), (at: string) => readIdx(at, 3)]) {
        await expectError(() => read(path), 'io', code)
      }
      await expectError(() => openDataset(`mnist:${path}`), 'io', code)
      await expectError(() => readRunRecord(path), 'io', code)
      await expectError(() => loadSyntheticSet(path), 'io', code)
    }
  })

  it('that leads nowhere is not found', async () => {
    const file = write(freshDir(), 'file', 'text')
    expect(await exists(join(file, 'below'))).toBe(false)
    await expectError(() => readWhole(join(file, 'below'), 9), 'not_found', /below: no readable file \(ENOTDIR\)/)
    await expectError(() => readWhole(join(freshDir(), 'none'), 9, 'make one'), 'not_found', /none: no readable file \(ENOENT\); make one/)
  })
})

describe('arguments', () => {
  it.each<[unknown]>([['val'], [''], [null], [1]])('a split %j is refused', async (split) => {
    const dir = mnistDir()
    const calls = [
      () => mnist(dir, split as never),
      () => fashionMnist(dir, split as never),
      () => cifar10(dir, split as never),
      () => openDataset(`mnist:${dir}`, split as never),
    ]
    for (const call of calls) await expectError(call, 'invalid_option', /split: expected 'train' or 'test' but received/)
  })

  it.each<[unknown]>([[undefined], [3], [{}]])('a specification %s is refused', (text) =>
    expectError(() => openDataset(text as string), 'invalid_option', /data set: expected a text such as 'cifar10:DIR' but received/),
  )
})

it('reads no more than the size that a file had when it was looked at', async () => {
  const path = write(freshDir(), 'ten', '0123456789')
  expect(await readText(path, 10)).toBe('0123456789')
  await expectError(() => readWhole(path, 9), 'invalid_data', /ten: expected at most 9 bytes but it has 10/)
})
