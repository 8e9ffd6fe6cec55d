/** @file Devices by name, as the public API opens them. */
import { describe, expect, it } from 'vitest'
import { openDevice } from '../../src/index.js'

describe('openDevice', () => {
  it.each([undefined, 'auto', 'cpu'] as const)('opens the CPU for %s where there is nothing better', async (device) => {
    const opened = await openDevice({ threads: 1, ...(device && { device }) })
    try {
      expect(opened.threads).toBe(1)
      expect(['avx512', 'avx2', 'portable', 'wide16']).toContain(opened.isa)
    } finally {
      await opened.close()
    }
  })

  it('says why a backend is absent and how to get it', async () => {
    await expect(openDevice({ device: 'cuda' })).rejects.toMatchObject({
      code: 'unavailable',
      message: expect.stringMatching(/cuda.*build/i),
    })
  })

  it('refuses other names', async () => {
    await expect(openDevice({ device: 'tpu' as never })).rejects.toMatchObject({ code: 'invalid_option' })
  })
})
