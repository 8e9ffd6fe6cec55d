/** @file Whether what transfer holds at once fits the memory at hand: features of a target, and the teacher's answers for all real images. */
import { isGpu } from '../engine/isa.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError } from '../errors.js'
import { freeMemory } from '../free-memory.js'
import type { MapShape } from '../nn/module.js'
import { networkByName } from '../nn/networks/registry.js'
import { partsOf } from './medoids.js'
import type { TransferProtocol } from './settings.js'
import type { TransferSource } from './source.js'

export interface TransferSizes {
  readonly image: MapShape
  /** Of a representation. */
  readonly dim: number
  readonly networks: readonly string[]
  readonly protocols: readonly TransferProtocol[]
  readonly sources: readonly TransferSource[]
  /** Images of each target that are used. */
  readonly targets: readonly { readonly name: string; readonly train: number; readonly test: number }[]
  /** Share of the training images that 'probe' uses. */
  readonly share: number
  /** Real images; 0 without them. */
  readonly real: number
}

/** What is held at once, in this process and on the device. */
interface Held {
  readonly what: string
  readonly process: number
  readonly device: number
  readonly todo: string
}

const float = Float32Array.BYTES_PER_ELEMENT

/** Throws `out_of_memory` naming the first that does not fit. */
export function checkTransferMemory(device: Device, sizes: TransferSizes): void {
  const free = { process: freeMemory(), device: device.freeBytes }
  for (const { what, process, device: onDevice, todo } of [...features(sizes), ...tables(sizes)]) {
    // arrays of a CPU device are in this process
    const inProcess = process + (isGpu(device.isa) ? 0 : onDevice)
    const short = onDevice > free.device ? [onDevice, free.device] : inProcess > free.process ? [inProcess, free.process] : undefined
    if (short) throw new AludelError('out_of_memory', `transfer: ${what} need ${short[0]} bytes but ${short[1]} are free; ${todo}`)
  }
}

/** Width of what the last layer of a network sees. */
function widthOf(name: string, image: MapShape): number {
  const head = networkByName(name, image, 2).parameters.find((parameter) => parameter.name === 'fc.weight')
  return head?.shape[0] ?? 0
}

/** Of all images of a target under a frozen network; those that are trained on are on the device too. */
function features({ image, networks, protocols, targets, share }: TransferSizes): Held[] {
  const part = protocols.includes('linear') ? 1 : protocols.includes('probe') ? share : 0
  if (part === 0) return []
  return networks.flatMap((network) => {
    const width = widthOf(network, image)
    return targets.map(({ name, train, test }) => {
      const used = Math.ceil(part * train)
      const what = `the features of '${network}' of ${used + test} images of target '${name}'`
      const todo = 'take fewer (trainImages, testImages; on the command line --train-images, --test-images) or another network'
      return { what, process: (used + test) * width * float, device: Math.max(used, test) * width * float, todo }
    })
  })
}

/** The teacher's answers for all real images; 'full' has them and the images on the device too, k-means copies of them. */
function tables({ image, dim, sources, real }: TransferSizes): Held[] {
  const wanting = sources.find((source) => source === 'full' || source === 'kmeans')
  if (wanting === undefined) return []
  const bytes = real * dim * float
  const { size, parts } = partsOf(real)
  // k-means has its own copy, centred and filled up to whole parts, here and on the device
  const ofMeans = sources.includes('kmeans') ? parts * size * dim * float : 0
  const ofFull = sources.includes('full') ? bytes + real * image[0] * image[1] * image[2] : 0
  const what = `the representations of ${real} real images, for source '${wanting}',`
  return [{ what, process: bytes + ofMeans, device: Math.max(ofMeans, ofFull), todo: 'leave the sources full and kmeans out' }]
}
