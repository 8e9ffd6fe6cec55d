/** @file What goes wrong with a GPU, planted in the emulated one: no driver, an old one, no device, full memory, a device that is lost. */
import { describe, expect, it } from 'vitest'
import { emulated, inProcess } from './in-process.js'

describe.skipIf(!emulated)('opening', () => {
  it.each([
    ['no driver', { CUDA_HOST_DRIVER: '0' }, /no NVIDIA driver.*CUDA 13\.\d.*580/],
    ['an old driver', { CUDA_HOST_DRIVER: '12020' }, /driver is too old: it knows CUDA 12\.2.*CUDA 13/],
    ['no device', { CUDA_HOST_DEVICES: '0' }, /driver \(CUDA 13\.\d\) finds no GPU/],
    ['an unsupported architecture', { CUDA_HOST_CAPABILITY: '75' }, /compute capability 7\.5.*8\.0 and above/],
  ])('with %s is unavailable, and says both versions where they matter', async (_, settings, message) => {
    const [error] = await inProcess(settings, `await open().catch((e) => log(failure(e)))`)
    expect(error).toEqual({ code: 'unavailable', message: expect.stringMatching(message) })
  })

  it('falls back to the CPU where nothing was asked for', async () => {
    const [isa] = await inProcess(
      { CUDA_HOST_DRIVER: '0', ALUDEL_DEVICE: '' },
      `
      delete process.env.ALUDEL_DEVICE
      const device = await openDevice(); log(device.isa); await device.close()`,
    )
    expect(isa).not.toMatch(/^sm_/)
  })

  it('refuses a device that is not there and an architecture it is not', async () => {
    const errors = await inProcess(
      {},
      `
      await open({ index: 1 }).catch((e) => log(failure(e)))
      await open({ isa: 'sm_80' }).catch((e) => log(failure(e)))`,
    )
    expect(errors).toEqual([
      { code: 'unavailable', message: expect.stringContaining('there are 1, numbered from 0') },
      { code: 'unavailable', message: expect.stringContaining('sm_80 but device 0 is sm_90') },
    ])
  })
})

describe.skipIf(!emulated)('memory', () => {
  it('that does not fit is refused with what is needed and what is free; the device goes on', async () => {
    const lines = await inProcess(
      { CUDA_HOST_MEMORY: '8000000' },
      `
      const device = await open()
      try { device.array('f32', [10_000_000]) } catch (e) { log(failure(e)) }
      const x = device.array('f32', [4]), y = device.array('f32', [4])
      const program = adding(device)
      await program.run({ x, y }); log([...await y.read()])
      await device.close()`,
    )
    expect(lines[0]).toEqual({
      code: 'out_of_memory',
      message: expect.stringMatching(/needs \d+ bytes, \d+ of \d+ bytes of the device are free/),
    })
    expect(lines[1]).toEqual([1, 1, 1, 1])
  })

  it('keeps to its limit, and takes blocks again that were freed', async () => {
    const lines = await inProcess(
      {},
      `
      const device = await open({ memory: 8 * 2 ** 20 })
      for (let i = 0; i < 50; i++) device.array('f32', [2 ** 20]).dispose()
      try { device.array('f32', [3 * 2 ** 20]) } catch (e) { log(failure(e)) }
      log(device.array('f32', [2 ** 20]).bytes)
      await device.close()`,
    )
    expect(lines[0]).toEqual({ code: 'out_of_memory', message: expect.stringContaining('of the memory limit') })
    expect(lines[1]).toBe(2 ** 22)
  })
})

describe.skipIf(!emulated)('free bytes', () => {
  it('are what the limit leaves, blocks kept for later included, or what the device has', async () => {
    const lines = await inProcess(
      { CUDA_HOST_MEMORY: '100000000' },
      `
      const device = await open({ memory: 8 * 2 ** 20 })
      log(device.freeBytes)
      const x = device.array('f32', [2 ** 19]); log(device.freeBytes)
      x.dispose(); log(device.freeBytes)
      await device.close()
      const whole = await open()
      log(whole.freeBytes <= 100_000_000 && whole.freeBytes > 90_000_000)
      await whole.close()`,
    )
    expect(lines).toEqual([8 * 2 ** 20, 6 * 2 ** 20, 8 * 2 ** 20, true])
  })
})

describe.skipIf(!emulated)('precision', () => {
  it('is that of the options, of the environment, or TF32, and stands in plans', async () => {
    const script = `
      for (const options of [{}, { precision: 'bf16' }]) {
        const device = await openDevice({ device: 'cuda', ...options })
        log([device.precision, adding(device).plan.precision])
        await device.close()
      }`
    expect(await inProcess({ ALUDEL_PRECISION: 'f32' }, script)).toEqual([
      ['f32', 'f32'],
      ['bf16', 'bf16'],
    ])
    expect((await inProcess({ ALUDEL_PRECISION: 'f16' }, `await openDevice({ device: 'cuda' }).catch((e) => log(failure(e)))`))[0]).toEqual(
      {
        code: 'invalid_option',
        message: expect.stringContaining("'f32', 'tf32x3', 'tf32' or 'bf16' but received 'f16'"),
      },
    )
  })
})

describe.skipIf(!emulated)('a plan', () => {
  it('counts what is on the card apart from what is in the process', async () => {
    const [plan] = await inProcess(
      { ALUDEL_PRECISION: 'f32' },
      `
      import { createDataset, planRun } from './dist/index.js'
      const data = createDataset({ name: 'noise', split: 'train', classes: ['a', 'b'], images: Uint8Array.from({ length: 8 * 48 }, (_, i) => i * 7),
        shape: [8, 4, 4, 3], labels: Int32Array.of(0, 1, 0, 1, 0, 1, 0, 1), mean: [0.5, 0.5, 0.5], std: [0.2, 0.2, 0.2], flip: true })
      const device = await open()
      const settings = { method: 'dm', ipc: 1, realBatch: 2, network: 'mlp', device }
      const { peakBytes, freeBytes, phases, fits, stateBytes } = await planRun(data, settings)
      const tight = await planRun(data, { ...settings, memory: peakBytes - 1 })
      log({ peakBytes, onCard: phases[0].totalBytes, stateBytes, fits, free: device.freeBytes - freeBytes, tight: tight.fits })
      await device.close()`,
    )
    // images and momentum of two images, and a copy of both on the card while a checkpoint is taken
    const { onCard, stateBytes } = plan as { onCard: number; stateBytes: number }
    expect(stateBytes).toBe(2 * 2 * 48 * Float32Array.BYTES_PER_ELEMENT)
    expect(plan).toEqual({
      peakBytes: onCard + stateBytes,
      ...{ onCard, stateBytes },
      fits: true,
      free: expect.any(Number),
      tight: false,
    })
  })
})

describe.skipIf(!emulated)('a device that is lost', () => {
  it('refuses further work with device_lost until it is opened again', async () => {
    const lines = await inProcess(
      { CUDA_HOST_LOSE_AT: '6' },
      `
      const device = await open()
      const x = device.array('f32', [4]), y = device.array('f32', [4])
      const program = adding(device)
      for (let i = 0; i < 5; i++) await program.run({ x, y }).then(() => log('ran'), (e) => log(failure(e).code))
      await y.read().catch((e) => log(failure(e).code))
      try { device.array('f32', [4]) } catch (e) { log(failure(e).code) }
      await open().catch((e) => log(failure(e)))
      await device.close()
      const again = await open()
      const a = again.array('f32', [4]), b = again.array('f32', [4])
      await adding(again).run({ x: a, y: b }); log([...await b.read()])
      await again.close()`,
    )
    const lost = lines.indexOf('device_lost')
    expect(lines.slice(0, lost).every((line) => line === 'ran')).toBe(true)
    expect(lines.slice(lost, 7).every((line) => line === 'device_lost')).toBe(true)
    expect(lines[7]).toEqual({ code: 'device_lost', message: expect.stringContaining('close the 1 devices opened on it first') })
    expect(lines[8]).toEqual([1, 1, 1, 1])
  })
})

describe.skipIf(!emulated)('several', () => {
  it('devices and engines of one device work side by side', async () => {
    const lines = await inProcess(
      { CUDA_HOST_DEVICES: '2' },
      `
      const devices = await Promise.all([open({ index: 0 }), open({ index: 1 }), open({ index: 0 })])
      const results = await Promise.all(devices.map(async (device, d) => {
        const x = device.array('f32', [1000], new Float32Array(1000).fill(d)), y = device.array('f32', [1000])
        const program = adding(device, 1000)
        for (let i = 0; i < 20; i++) await program.run({ x, y })
        return (await y.read()).every((v) => v === d + 1)
      }))
      log(results)
      try { adding(devices[0]).run({ x: devices[1].array('f32', [4]), y: devices[0].array('f32', [4]) }).catch((e) => log(failure(e).code)) } catch (e) { log(failure(e).code) }
      await Promise.all(devices.map((device) => device.close()))`,
    )
    expect(lines).toEqual([[true, true, true], 'invalid_option'])
  })
})
