/** @file IDX files: round trips, and every way in which a file can be wrong. */
import { statSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { readIdx } from '../../../src/data/idx.js'
import { bytes, encodeIdx, expectError, freshDir, gzip, ramp, write } from './fixtures.js'

const good = encodeIdx({ shape: [5, 4, 3], data: ramp(60) })
const header = (...words: number[]) => Uint8Array.from(words.flatMap((w) => [w >>> 24, (w >>> 16) & 255, (w >>> 8) & 255, w & 255]))

describe('readIdx', () => {
  it.each([
    ['plain', good],
    ['gzip', gzip(good)],
  ])('reads a %s file', async (_, content) => {
    const { shape, data } = await readIdx(write(freshDir(), 'images', content), 3)
    expect(shape).toEqual([5, 4, 3])
    expect(data).toEqual(ramp(60))
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /header of 16 bytes but the file ends after 0/],
    ['a cut header', good.subarray(0, 10), /header of 16 bytes but the file ends after 10/],
    ['cut data', good.subarray(0, 70), /announces 76 bytes but the file has 70/],
    ['trailing bytes', bytes(good, [0]), /announces 76 bytes but the file has 77/],
    ['labels in place of images', encodeIdx({ shape: [80], data: ramp(80) }), /magic 0x00000803 .* received 0x00000801/],
    ['a float file', bytes([0, 0, 0x0d, 3], good.subarray(4)), /received 0x00000d03/],
    ['some other file', ramp(100), /expected IDX magic/],
    ['a zero dimension', bytes(header(0x803, 0, 4, 3)), /dimensions >= 1 .* \[0, 4, 3\]/],
    ['dimensions that overflow', bytes(header(0x803, 0xffffffff, 0xffffffff, 0xffffffff)), /at most 2147483646 bytes/],
    ['cut gzip', gzip(good).subarray(0, 40), /expected .* bytes but reading failed after .* \(unexpected end of file\)/],
    ['gzip of cut data', gzip(good.subarray(0, 50)), /announces 76 bytes but the file ends after 50/],
    [
      'gzip of more than it can hold',
      gzip(header(0x803, 1000, 1000, 1000)),
      /announces 1000000016 bytes, more than \d+ packed ones can hold/,
    ],
    ['gzip of a cut header', gzip(good.subarray(0, 10)), /header of 16 bytes but the file ends after 10/],
    ['gzip with trailing data inside', gzip(bytes(good, ramp(9))), /announces 76 bytes but more follow/],
    ['gzip with a damaged checksum', damaged(gzip(good)), /reading failed after .* \(incorrect data check\)/],
  ])('refuses %s', async (_, content, text) => {
    const path = write(freshDir(), 'images', content)
    await expectError(() => readIdx(path, 3), 'invalid_data', text)
    await expectError(() => readIdx(path, 3), 'invalid_data', /aludel-test-.*images: /)
  })

  it('names a missing file', () => expectError(() => readIdx(join(freshDir(), 'absent'), 3), 'not_found', /absent: .*ENOENT/))

  it('refuses a directory', () => expectError(() => readIdx(freshDir(), 3), 'invalid_data', /regular file/))

  it('stops a gzip bomb at the announced size', async () => {
    const inflated = new Uint8Array(64 << 20)
    inflated.set(good)
    const bomb = gzip(inflated)
    const path = write(freshDir(), 'bomb', bomb)
    expect(statSync(path).size).toBeLessThan(1 << 17)
    const before = process.memoryUsage().arrayBuffers
    await expectError(() => readIdx(path, 3), 'invalid_data', /more follow/)
    expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(16 << 20)
  })
})

function damaged(content: Uint8Array): Uint8Array {
  const copy = content.slice()
  copy[copy.length - 8] ^= 1
  return copy
}

test('any bytes are read or refused, never a crash', async () => {
  const path = join(freshDir(), 'fuzz')
  await fc.assert(
    fc.asyncProperty(fc.uint8Array({ maxLength: 64 }), fc.integer({ min: 0, max: 76 }), fc.boolean(), async (noise, at, packed) => {
      const content = good.slice()
      content.set(noise.subarray(0, Math.max(0, content.length - at)), at)
      writeFileSync(path, packed ? gzip(content) : content)
      const outcome = await readIdx(path, 3).catch((error) => error.code)
      if (typeof outcome === 'string') expect(outcome).toBe('invalid_data')
      else expect(outcome.data.length).toBe(outcome.shape.reduce((n: number, d: number) => n * d, 1))
    }),
    { numRuns: 60 },
  )
})
