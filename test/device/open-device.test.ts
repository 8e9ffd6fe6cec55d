/** @file Devices by name, as the public API opens them. */
import { describe, expect, it } from 'vitest'
import { binding } from '../../src/engine/runtime/binding.js'
import { openDevice } from '../../src/index.js'

const { built, devices } = binding().surveyCuda()

describe('openDevice', () => {
  it.skipIf(devices.length > 0).each([undefined, 'auto', 'cpu'] as const)(
    'opens the CPU for %s where there is nothing better',
    async (device) => {
      const opened = await openDevice({ threads: 1, ...(device && { device }) })
      try {
        expect(opened.threads).toBe(1)
        expect(['avx512', 'avx2', 'portable', 'wide16']).toContain(opened.isa)
      } finally {
        await opened.close()
      }
    },
  )

  it.skipIf(devices.length > 0)('says why there is no GPU and how to get one', async () => {
    const reason = built ? /driver.*CUDA \d+\.\d/ : /`npm run build -- --cuda`/
    await expect(openDevice({ device: 'cuda' })).rejects.toMatchObject({ code: 'unavailable', message: expect.stringMatching(reason) })
  })

  it('refuses other names', async () => {
    await expect(openDevice({ device: 'tpu' as never })).rejects.toMatchObject({ code: 'invalid_option' })
  })
})
