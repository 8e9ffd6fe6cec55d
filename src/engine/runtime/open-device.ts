/** @file The device a program computes on, by name: the best there is, or the one that was asked for. */

import { checkOptions } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import { binding } from './binding.js'
import { Device, type DeviceOptions } from './device.js'

export interface OpenDeviceOptions extends DeviceOptions {
  /** 'auto' (default): 'cuda' where there is one, else 'cpu'. */
  readonly device?: 'auto' | 'cpu' | 'cuda'
}

/**
 * Opens a device; close it when done (`await using` in TypeScript does it by itself).
 * Throws `unavailable` for a backend that this build or machine does not have, saying why, and `invalid_option`.
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Device> {
  checkOptions('openDevice', options, { device: true, threads: true, isa: true })
  const { device = 'auto', ...rest } = options
  if (!['auto', 'cpu', 'cuda'].includes(device)) throw expected('invalid_option', 'openDevice: device', "'auto', 'cpu' or 'cuda'", device)
  if (device === 'cuda') throw new AludelError('unavailable', `openDevice: device 'cuda': ${binding().info().cuda.reason}`)
  return Device.open(rest)
}
