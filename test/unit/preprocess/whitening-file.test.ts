/** @file The file of a whitening: what was written is read back, and any other byte is noticed. */
import { describe, expect, it } from 'vitest'
import { whiteningHash } from '../../../src/data/whitening.js'
import { decodeSafetensors, encodeSafetensors } from '../../../src/files/safetensors.js'
import { decodeWhitening, encodeWhitening } from '../../../src/preprocess/whitening-file.js'
import { expectError } from '../data/fixtures.js'

async function tinyWhitening() {
  const values = (length: number, factor: number) => Float32Array.from({ length }, (_, i) => Math.sin(factor * (i + 1)))
  const fields = {
    ...{ order: 'raw' as const, eps: 0.1, image: [2, 2, 1] as const, channels: { mean: [0.5], std: [0.25] } },
    ...{ mean: values(4, 1), transform: values(16, 2), inverse: values(16, 3) },
    source: { name: 'tiny', sha256: 'ab'.repeat(32) },
  }
  return { ...fields, sha256: await whiteningHash(fields) }
}

const path = 'zca.safetensors'

describe('the file of a whitening', () => {
  it('is read back', async () => {
    const whitening = await tinyWhitening()
    expect(await decodeWhitening(path, encodeWhitening(whitening))).toEqual(whitening)
  })

  it('is refused with any bit changed and at any length', async () => {
    const whole = encodeWhitening(await tinyWhitening())
    for (let at = 0; at < whole.length; at++) {
      for (const bit of [1 << (at % 8), 0x20]) {
        await expectError(
          () =>
            decodeWhitening(
              path,
              whole.map((byte, i) => (i === at ? byte ^ bit : byte)),
            ),
          'invalid_data',
          path,
        )
      }
      await expectError(() => decodeWhitening(path, whole.subarray(0, at)), 'invalid_data', path)
    }
  })

  it.each<[string, Record<string, string>, RegExp]>([
    ['of another format', { format: 'other' }, /a whitening \(format 'aludel-zca', version 1\) but received 'other'/],
    ['of a later version', { version: '2' }, /version 1/],
    ['without what it says of itself', { about: '{}' }, /expected order, eps, image, channels and source/],
    ['of images without a size', { about: '{"order":"raw","eps":1,"image":[0,2,1],"channels":{},"source":{}}' }, /order, eps, image/],
    ['of text that is none', { about: '{' }, /nothing of the whitening that is JSON/],
    ['of images that no file holds', { about: about([1 << 20, 1 << 20, 3]) }, /tensor 'mean': expected F32 \[3298534883328\]/],
  ])('%s is refused', async (_, change, message) => {
    const { tensors, metadata } = decodeSafetensors(path, encodeWhitening(await tinyWhitening()))
    await expectError(() => decodeWhitening(path, encodeSafetensors(tensors, { ...metadata, ...change })), 'invalid_data', message)
  })
})

function about(image: readonly number[]): string {
  return JSON.stringify({ order: 'raw', eps: 0.1, image, channels: { mean: [0.5], std: [0.25] }, source: { name: 'tiny', sha256: 'ab' } })
}
