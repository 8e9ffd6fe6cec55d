/** @file Work of a command on a device of its own that ctrl-c ends in order. */
import { AbortError } from '../errors.js'
import type { DeviceHandle } from '../experiment/types.js'
import { type DeviceOptions, deviceOf } from './commands/shared-options.js'
import { asUsageError } from './exit-codes.js'
import { listenForInterrupt } from './interrupt.js'
import type { Library } from './library.js'

export interface InterruptibleWork {
  readonly device: DeviceHandle
  readonly signal: AbortSignal
}

/**
 * Opens the device, runs `work` and closes the device. The first ctrl-c calls `onInterrupt` and aborts the signal; whatever `work` then
 * throws becomes an AbortError, as an interrupted command ends.
 */
export async function onInterruptibleDevice<T>(
  library: Pick<Library, 'openDevice'>,
  options: DeviceOptions,
  onInterrupt: () => void,
  work: (given: InterruptibleWork) => Promise<T>,
): Promise<T> {
  const abort = new AbortController()
  const device = await library.openDevice(deviceOf(options))
  const interrupt = listenForInterrupt(() => {
    onInterrupt()
    abort.abort()
  })
  try {
    return await work({ device, signal: abort.signal })
  } catch (error) {
    if (!abort.signal.aborted) throw asUsageError(error)
    throw new AbortError('interrupted')
  } finally {
    interrupt.remove()
    await device.close()
  }
}
