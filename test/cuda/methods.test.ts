/** @file Each method, a few steps of it: on the GPU as on the CPU, and the same bits twice. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { DistillSettings } from '../../src/experiment/types.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { noiseDataset, noiseSide } from '../noise-dataset.js'

let gpu: Device
let cpu: Device
beforeAll(async () => {
  gpu = await Device.open({ device: 'cuda', precision: 'f32' })
  cpu = await Device.open({ device: 'cpu', threads: 2 })
})
afterAll(() => Promise.all([gpu.close(), cpu.close()]))

const data = noiseDataset
const side = noiseSide
const network = convNet({ input: [side, side, 3], classes: 2, depth: 2, width: 8 })

async function run(device: Device, settings: Partial<DistillSettings> & { method: string }) {
  const running = distill(data, { ipc: 2, realBatch: 12, network, init: 'real', seed: 3, iterations: 3, ...settings, device } as never)
  const losses: number[] = []
  for await (const event of running) if (event.type === 'step') losses.push(event.loss)
  return { losses, images: (await running.result).images }
}

const largest = (values: Iterable<number>) => Array.from(values).reduce((most, v) => Math.max(most, Math.abs(v)), 0)

describe.each([
  [{ method: 'dm', augment: 'color_crop_cutout_flip_scale_rotate' }],
  [{ method: 'datadam' }],
  [{ method: 'atom' }],
  [{ method: 'dc', ipc: 1 }],
  [{ method: 'dsa', ipc: 1 }],
  [{ method: 'dm', dynamic: { every: 2, probes: 2, mode: 'rank' } }],
  [{ method: 'dc', ipc: 1, dynamic: { every: 2, probes: 2, mode: 'rank' } }],
] as const)('%o', (settings) => {
  it('is on the GPU what it is on the CPU', async () => {
    const [ours, theirs] = [await run(gpu, settings), await run(cpu, settings)]
    expect(theirs.losses).toHaveLength(3)
    for (const [i, loss] of theirs.losses.entries()) expect(Math.abs(ours.losses[i] - loss) / Math.abs(loss)).toBeLessThan(1e-3)
    const moved = theirs.images.map((v, i) => v - ours.images[i])
    expect(largest(moved)).toBeLessThan(2e-3 * largest(theirs.images))
  })

  it('has the same bits twice', async () => {
    expect(await run(gpu, settings)).toEqual(await run(gpu, settings))
  })
})
