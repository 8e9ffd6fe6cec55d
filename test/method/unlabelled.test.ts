/** @file Images without labels, from a file to a distilled set: what never reads labels works on them, and everything else says so. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { createDataset, npz, openDataset, packSplit } from '../../src/data/index.js'
import { distill, distillRepresentations } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { evaluate, networkTeacher, randomRealSet } from '../../src/evaluate/index.js'
import { trainExperts } from '../../src/experts/index.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { planRun } from '../../src/plan/plan.js'
import { pretrain } from '../../src/pretrain/index.js'
import { createSubset, selectSamples } from '../../src/prune/index.js'
import { scoreDataset } from '../../src/scoring/index.js'
import { openTeacher, type Teacher } from '../../src/teachers/index.js'
import { transfer } from '../../src/transfer/index.js'
import { expectError } from '../unit/data/fixtures.js'
import { header, npy, zipBytes } from '../unit/data/zip-archive.js'

const [rows, side] = [24, 8]
const images = Uint8Array.from({ length: rows * side * side * 3 }, (_, i) => (Math.imul(i + 7, 2654435761) >>> 24) & 255)

let device: Device
let dir: string
let file: string
let teacher: Teacher
beforeAll(async () => {
  device = await Device.open({ device: 'cpu', threads: 2 })
  dir = await mkdtemp(join(tmpdir(), 'aludel-unlabelled-'))
  file = join(dir, 'photos.npz')
  await writeFile(file, zipBytes(['x_train.npy', npy(header('|u1', `(${rows}, ${side}, ${side}, 3)`), images)]))
  const { quality, sha256 } = await pretrain(join(dir, 'teacher'), await npz(file), {
    ...{ device, objective: 'simclr', network: 'convnet-bn', epochs: 1, batch: 8, projector: [16, 8] },
  })
  expect(quality).toMatchObject({ labelled: false, probe: null, samples: rows })
  teacher = await openTeacher(join(dir, 'teacher'), { device })
  expect(teacher.sha256).toBe(sha256)
})
afterAll(async () => {
  await teacher?.dispose()
  await device.close()
  await rm(dir, { recursive: true })
})

/** The photos with labels, which nothing of them calls for. */
async function labelledPhotos() {
  const photos = await npz(file)
  return createDataset({ ...photos, classes: ['a', 'b'], labels: Int32Array.from({ length: rows }, (_, i) => i % 2) })
}

const distilled = (data: Parameters<typeof distillRepresentations>[0]) => {
  const network = convNet({ input: [side, side, 3], classes: teacher.dim, depth: 1, width: 8, norm: 'batch' })
  return distillRepresentations(data, {
    ...{ method: 'krr-st', n: 4, teacher, device, network, iterations: 3, realBatch: 8, imageLr: 1e-3 },
    methodOptions: { poolModels: 2, poolSteps: 3 },
  }).result
}

it('krr-st makes the same of images with labels, without, and from the disk', async () => {
  const photos = await npz(file)
  const labelled = await labelledPhotos()
  await packSplit(`npz:${file}`, 'train', dir)
  const streamed = await openDataset(`packed:${dir},resident=no`)
  expect(streamed.pixels).toBeDefined()
  const set = await distilled(photos)
  for (const other of [labelled, streamed]) {
    const { images: pixels, targets } = await distilled(other)
    expect([pixels, targets]).toEqual([set.images, set.targets])
  }
  expect(set.source.sha256).toBe(photos.sha256)
  expect(labelled.sha256).not.toBe(photos.sha256)
})

it('what reads labels refuses them, before anything trains', async () => {
  const photos = await npz(file)
  const real = randomRealSet(await labelledPhotos(), 1, 0)
  const set = await distilled(photos)
  const reading: Readonly<Record<string, () => unknown>> = {
    ...Object.fromEntries(
      ['dm', 'dc', 'datadam', 'mtt', 'frepo', 'kip'].map((method) => [
        `method ${method}`,
        () => distill(photos, { method, ipc: 1, iterations: 1, device }),
      ]),
    ),
    plan: () => planRun(photos, { method: 'dm', ipc: 1, device, networks: [], repeats: 1 }),
    evaluate: () => evaluate(real, { test: photos, device, networks: ['convnet'], repeats: 1, epochs: 1 }),
    coreset: () => randomRealSet(photos, 1, 0),
    teacher: () => networkTeacher(photos, { device, network: 'convnet', epochs: 1 }),
    scoreDataset: () => scoreDataset(photos, { kinds: ['loss'], device }),
    selectSamples: () => selectSamples(photos, { order: 'random', keep: 0.5, seed: 0 }),
    createSubset: () => createSubset(photos, { indices: Int32Array.of(0) } as never, null),
    trainExperts: () => trainExperts(join(dir, 'experts'), photos, { device }),
    transfer: () => transfer(set, { device, targets: [{ name: 'photos', train: photos, test: photos }] }),
  }
  for (const action of Object.values(reading))
    await expectError(action, 'invalid_data', /^data set 'photos': has no labels, but (?!what was asked for).* needs them; give labels/)
})
