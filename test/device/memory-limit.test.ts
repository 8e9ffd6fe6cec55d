/** @file The most memory that a device may take: what does not fit is refused with the sentence, and what fits comes out the same. */
import { afterEach, expect, it } from 'vitest'
import { distill } from '../../src/distill/index.js'
import { compile } from '../../src/engine/compile/pipeline.js'
import { add, broadcast, reverse, spec, square, sum, trace } from '../../src/engine/index.js'
import { Device, type DeviceOptions } from '../../src/engine/runtime/device.js'
import { planRun } from '../../src/plan/plan.js'
import { stripes } from '../method/contract.js'

let device: Device
afterEach(() => device?.close())
const open = async (options: DeviceOptions = {}): Promise<Device> => {
  await device?.close()
  device = await Device.open({ device: 'cpu', threads: 1, ...options })
  return device
}

it('is kept by arrays, and what is freed may be taken again', async () => {
  await open({ memory: 1000 })
  const array = device.array('f32', [200])
  expect(device.freeBytes).toBe(200)
  expect(() => device.array('f32', [51])).toThrow(
    expect.objectContaining({
      code: 'out_of_memory',
      message: 'array: needs 204 bytes, 200 of 1000 bytes of the memory limit are free; use a smaller batch or fewer images at a time',
    }),
  )
  array.dispose()
  device.array('f32', [250])
  expect(device.freeBytes).toBe(0)
})

it('is kept by programs, which leave nothing behind', async () => {
  await open({ memory: 100_000 })
  const traced = trace((x) => sum(reverse(square(add(broadcast(x, [200, 200]), 1)), [0])), [spec([200])])
  const program = compile(traced, { isa: device.isa, slicing: 'off' })
  expect(() => device.load(program)).toThrow(
    expect.objectContaining({ code: 'out_of_memory', message: expect.stringMatching(/^load: needs \d+ bytes, 100000 of 100000 bytes/) }),
  )
  expect(device.memory()).toEqual({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
})

it('refuses a run that needs more, and changes nothing of one that fits', async () => {
  const images = async () => {
    const set = await distill(stripes([4, 4]), { method: 'dm', ipc: 1, iterations: 2, realBatch: 4, device }).result
    return Buffer.from(set.images.buffer).toString('base64')
  }
  await open()
  const { peakBytes } = await planRun(stripes([4, 4]), { method: 'dm', ipc: 1, realBatch: 4, device })
  const unlimited = await images()
  await open({ memory: peakBytes * 2 })
  expect(await images()).toBe(unlimited)
  await open({ memory: 100_000 })
  await expect(images()).rejects.toMatchObject({
    code: 'out_of_memory',
    message: expect.stringMatching(/^distill: .*needs \d+ bytes.* of 100000 bytes of the memory limit are free.*planRun/),
  })
  expect(device.memory()).toEqual({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
})

it.each([0, -1, 1.5, Number.NaN, '8G' as never])('%s is no number of bytes', async (memory) => {
  await expect(Device.open({ device: 'cpu', memory })).rejects.toMatchObject({
    code: 'invalid_option',
    message: expect.stringContaining('Device.open: memory'),
  })
})
