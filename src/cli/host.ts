/** @file What this machine and this build are, for run.json and doctor. */
import { availableParallelism, cpus, freemem, totalmem } from 'node:os'
import type { DeviceHandle } from '../experiment/types.js'
import { packageVersion } from '../package-root.js'
import { given } from './options.js'
import { computedWith } from './same-device.js'

export const versions = (): Record<string, string> => ({ aludel: packageVersion, node: process.versions.node, zlib: process.versions.zlib })

export const memoryGiB = (): { total: number; free: number } => ({
  total: Number((totalmem() / 2 ** 30).toFixed(1)),
  free: Number((freemem() / 2 ** 30).toFixed(1)),
})

export const cpuModel = (): string => cpus()[0]?.model.trim() ?? 'unknown'

export const coreCount = (): number => availableParallelism()

/** Machine and device as names and values. */
export function hostDescription(device: DeviceHandle): Record<string, string | number> {
  return {
    platform: `${process.platform} ${process.arch}`,
    cpu: cpuModel(),
    cores: coreCount(),
    memoryGiB: memoryGiB().total,
    ...computedWith(device),
    ...given({ threads: device.threads }),
  }
}
