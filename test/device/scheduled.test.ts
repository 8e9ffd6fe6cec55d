/** @file Runs whose real batches follow a data schedule, from a program and from the command line. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeStripes } from '../../scripts/lib/stress.mjs'
import { library } from '../../src/cli/library.js'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { readRunRecord } from '../../src/experiment/run-dir.js'
import type { DistillOptions } from '../../src/experiment/types.js'
import { type DataSchedule, padSchedule } from '../../src/schedule/index.js'
import { noiseDataset } from '../noise-dataset.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

let device: Device
let pad: DataSchedule
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
  const rule = { initialRatio: 0.5, addEndEpoch: 2, removeMiddle: 3, removeEnd: 4, r1: 0.25, r2: 0.5, scope: 'class' } as const
  const { labels } = noiseDataset
  pad = await padSchedule({ ...rule, scores: Array.from(labels, (_, i) => (i * 17) % 40), labels, classes: 2 })
})
afterAll(() => device.close())

const everything: DataSchedule = { name: 'all', config: {}, rows: () => Int32Array.from(noiseDataset.labels.keys()) }

describe.each([
  ['dm', {}],
  ['dm', { classGroup: 1 }],
  ['dc', { methodOptions: { outerLoop: 2, innerLoop: 1 } }],
])('%s %o', (method, more) => {
  const images = async (given: Partial<DistillOptions<Device>>) => {
    const settings = { method, ipc: 1, realBatch: 3, network: 'mlp', iterations: 6, init: 'noise', seed: 1, scheduleEvery: 1 } as const
    const { scheduleEvery, ...rest } = settings
    const every = given.schedule ? { scheduleEvery } : {}
    return (await distill(noiseDataset, { ...rest, ...every, ...more, ...given, device } as DistillOptions<Device>).result).images
  }

  it('is what it is without one while all rows are there, and something else when they are not', async () => {
    const plain = await images({})
    expect(await images({ schedule: everything })).toEqual(plain)
    expect(await images({ schedule: pad })).not.toEqual(plain)
    expect(await images({ schedule: pad })).toEqual(await images({ schedule: pad }))
  })
})

describe('aludel distill --schedule', () => {
  const data = writeStripes(freshDir())
  const small = ['--method', 'dm', '--ipc', '1', '--real-batch', '2', '--network', 'mlp', '--threads', '1', '--data', data]
  const rule = ['--schedule', 'pad:initialRatio=0.7,addEndEpoch=2,removeMiddle=3,removeEnd=4,r1=0.1,r2=0.34', '--scores', 'random']
  const call = (...args: string[]) => run(library, 'distill', '--json', ...args)

  it('goes on to the same bytes, further than it was begun for', async () => {
    const [whole, parts] = [join(freshDir(), 'whole'), join(freshDir(), 'parts')]
    const every = ['--schedule-every', '1']
    expect(await call(...small, ...rule, ...every, '--iterations', '6', '--out', whole)).toMatchObject({ code: 0 })
    expect(await call(...small, ...rule, ...every, '--iterations', '3', '--out', parts)).toMatchObject({ code: 0 })
    expect((await readRunRecord(parts)).schedule).toMatchObject({ every: 1, scores: null, kind: null, rule: { r2: 0.34, scope: 'class' } })
    expect(await call('--resume', parts, '--iterations', '6')).toMatchObject({ code: 0 })
    const bytes = (dir: string) => readFileSync(join(dir, 'data.safetensors')).toString('hex')
    expect(bytes(parts)).toBe(bytes(whole))
  })

  it.each<[string, string[], RegExp]>([
    ['without scores', ['--schedule', 'pad'], /--scores/],
    ['beside --prune', [...rule, '--prune', 'random:keep=0.5'], /--subset/],
    ['that leaves less than a batch', [...rule, '--real-batch', '3'], /in epoch 0: expected at least the 3 of a step but received 2/],
    ['by a method that takes no real images', [...rule, '--method', 'mtt'], /mtt takes no real images/],
    ['with an unknown setting', ['--schedule', 'pad:ratio=1', '--scores', 'random'], /'ratio' is none of/],
    ['--kind alone', ['--kind', 'el2n'], /goes with --schedule pad only/],
  ])('is refused %s, before there is a directory', async (_, more, message) => {
    const out = join(freshDir(), 'run')
    const given = more.includes('mtt') ? small.filter((_, i) => i < 4 || i > 5) : small
    const { code, stderr, stdout } = (await call(...given, '--iterations', '6', ...more, '--out', out)) as Record<string, unknown>
    expect(code).toBe(2)
    expect(`${stderr}${stdout}`).toMatch(message)
    await expect(readRunRecord(out)).rejects.toMatchObject({ code: 'not_found' })
  })
})
