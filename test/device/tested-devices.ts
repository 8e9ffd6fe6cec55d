/**
 * @file The devices that per-op tests run on: each instruction set of this machine, or, with ALUDEL_DEVICE=cuda, the GPU (a real one, or the
 * emulated one of a test build) at the precision that tests use.
 */
import { binding } from '../../src/engine/runtime/binding.js'
import { Device } from '../../src/engine/runtime/device.js'

export const onGpu = process.env.ALUDEL_DEVICE === 'cuda'

export async function openTestedDevices(): Promise<Device[]> {
  if (onGpu) return [await Device.open({ device: 'cuda', precision: 'f32' })]
  return Promise.all(
    binding()
      .info()
      .isas.map((isa) => Device.open({ isa, threads: 2 })),
  )
}
