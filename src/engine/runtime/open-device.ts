/** @file The device a program computes on, by name: the best there is, or the one that was asked for. */

import { checkOptions } from '../../arguments.js'
import { expected } from '../../errors.js'
import { isGpu } from '../isa.js'
import { binding } from './binding.js'
import { Device, type DeviceOptions } from './device.js'

export interface OpenDeviceOptions extends Omit<DeviceOptions, 'device'> {
  /** 'auto' (default): $ALUDEL_DEVICE, else 'cuda' where there is one and nothing that only the CPU has is asked for, else 'cpu'. */
  readonly device?: 'auto' | 'cpu' | 'cuda'
}

/**
 * Opens a device; close it when done (`await using` in TypeScript does it by itself).
 * Throws `unavailable` for a backend that this build or machine does not have, saying why, and `invalid_option`.
 */
export async function openDevice(options: OpenDeviceOptions = {}): Promise<Device> {
  checkOptions('openDevice', options, { device: true, threads: true, isa: true, index: true, precision: true, memory: true })
  const { device = 'auto', ...rest } = options
  if (!['auto', 'cpu', 'cuda'].includes(device)) throw expected('invalid_option', 'openDevice: device', "'auto', 'cpu' or 'cuda'", device)
  return Device.open(device === 'auto' ? automatic(rest) : { ...rest, device })
}

function automatic(options: DeviceOptions): DeviceOptions {
  const { isa, index, precision } = options
  const forced = isa ?? process.env.ALUDEL_DEVICE ?? process.env.ALUDEL_ISA
  if (forced !== undefined) return isa !== undefined && isGpu(isa) ? { ...options, device: 'cuda' } : options
  const wantsGpu = index !== undefined || (precision ?? 'f32') !== 'f32'
  return { ...options, device: wantsGpu || binding().surveyCuda().reason === '' ? 'cuda' : 'cpu' }
}
