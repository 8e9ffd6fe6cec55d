/** @file Work of a command on a device of its own that ctrl-c ends in order. */
import type { DeviceHandle } from '../experiment/types.js'
import { type DeviceOptions, deviceOf } from './commands/shared-options.js'
import { interruptible } from './interruptible.js'
import type { Library } from './library.js'

export interface InterruptibleWork {
  readonly device: DeviceHandle
  readonly signal: AbortSignal
}

/** Opens the device, runs `work` as `interruptible` does and closes the device. */
export async function onInterruptibleDevice<T>(
  library: Pick<Library, 'openDevice'>,
  options: DeviceOptions,
  onInterrupt: () => void,
  work: (given: InterruptibleWork) => Promise<T>,
): Promise<T> {
  const device = await library.openDevice(deviceOf(options))
  try {
    return await interruptible(onInterrupt, (signal) => work({ device, signal }))
  } finally {
    await device.close()
  }
}
