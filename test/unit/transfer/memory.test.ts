/** @file Transfer refuses what has no room, before anything is trained. */
import { afterEach, expect, it, vi } from 'vitest'
import type { Device } from '../../../src/engine/runtime/device.js'
import { networkByName } from '../../../src/nn/networks/registry.js'
import { checkTransferMemory, type TransferSizes } from '../../../src/transfer/memory.js'

afterEach(() => vi.restoreAllMocks())

const sizes = (change: Partial<TransferSizes> = {}): TransferSizes => ({
  ...{ image: [8, 8, 3], dim: 5, networks: ['convnet-w32'], protocols: ['linear'], sources: ['distilled'] },
  ...{ targets: [{ name: 'a', train: 1000, test: 100 }], share: 0.1, real: 2000 },
  ...change,
})
/** What the last layer of the network sees. */
const [
  {
    shape: [width],
  },
] = networkByName('convnet-w32', [8, 8, 3], 2).parameters.filter(({ name }) => name === 'fc.weight')

function check(change: Partial<TransferSizes>, free: { process: number; device: number }, isa = 'portable'): void {
  vi.spyOn(process as never as { availableMemory(): number }, 'availableMemory').mockReturnValue(free.process)
  checkTransferMemory({ isa, freeBytes: free.device } as Device, sizes(change))
}
const much = 1e9

it.each<[string, Partial<TransferSizes>, number, string]>([
  ['features of all images', {}, (1100 + 1000) * width * 4, "the features of 'convnet-w32' of 1100 images of target 'a'"],
  ['features of a share', { protocols: ['finetune', 'probe'] }, (200 + 100) * width * 4, "of 200 images of target 'a'"],
  [
    'answers for k-means',
    { protocols: ['finetune'], sources: ['kmeans'] },
    (2000 + 2 * 2048) * 5 * 4,
    "2000 real images, for source 'kmeans',",
  ],
  ['answers and all images', { protocols: ['finetune'], sources: ['full'] }, 2000 * (2 * 5 * 4 + 192), "for source 'full',"],
])('%s fit to the byte', (_, change, bytes, what) => {
  expect(() => check(change, { process: bytes, device: much })).not.toThrow()
  expect(() => check(change, { process: bytes - 1, device: much })).toThrow(
    expect.objectContaining({ code: 'out_of_memory', message: expect.stringContaining(what) }),
  )
})

it('is asked of the device too, which on a GPU has its own', () => {
  const own = { process: 1100 * width * 4, device: 1000 * width * 4 }
  expect(() => check({}, own, 'sm_90')).not.toThrow()
  expect(() => check({}, { ...own, device: own.device - 1 }, 'sm_90')).toThrow(`need ${own.device} bytes but ${own.device - 1} are free`)
  expect(() => check({ protocols: ['finetune', 'kd'] }, { process: 0, device: 0 })).not.toThrow()
})
