/** @file CIFAR-10 binary batches: order of pixels, class names, refusals. */
import { mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { cifar10 } from '../../../src/data/cifar10.js'
import { bytes, expectError, freshDir, ramp, write } from './fixtures.js'

const record = (label: number, salt = 0): Uint8Array =>
  Uint8Array.from({ length: 3073 }, (_, i) => (i === 0 ? label : (i - 1 + salt) & 255))

function testDir(content: Uint8Array): string {
  const dir = freshDir()
  write(dir, 'test_batch.bin', content)
  return dir
}

describe('cifar10', () => {
  it('reads five batches in order, CHW to HWC', async () => {
    const dir = freshDir()
    for (let b = 1; b <= 5; b++) write(dir, `data_batch_${b}.bin`, bytes(record(b, b), record(b + 4, 3 * b)))
    const set = await cifar10(dir, 'train')
    expect(set.shape).toEqual([10, 32, 32, 3])
    expect([...set.labels]).toEqual([1, 5, 2, 6, 3, 7, 4, 8, 5, 9])
    const at = (n: number, y: number, x: number, c: number) => set.images[((n * 32 + y) * 32 + x) * 3 + c]
    for (const [n, y, x, c] of [
      [0, 0, 0, 0],
      [0, 0, 1, 2],
      [3, 31, 31, 1],
      [9, 7, 20, 2],
    ]) {
      const salt = n % 2 === 0 ? n / 2 + 1 : 3 * ((n + 1) / 2)
      expect(at(n, y, x, c)).toBe((c * 1024 + y * 32 + x + salt) & 255)
    }
    expect(set.flip).toBe(true)
    expect(set.classes[3]).toBe('cat')
  })

  it('finds the folder inside the unpacked archive and reads its class names', async () => {
    const dir = freshDir()
    const inner = join(dir, 'cifar-10-batches-bin')
    mkdirSync(inner)
    write(inner, 'test_batch.bin', record(9))
    write(inner, 'batches.meta.txt', 'a\nb\nc\nd\ne\nf\ng\nh\ni\nj\n\n')
    expect((await cifar10(dir, 'test')).classes[9]).toBe('j')
    write(inner, 'batches.meta.txt', 'a\nb\n')
    await expectError(() => cifar10(dir, 'test'), 'invalid_data', /expected 10 class names but received 2/)
  })

  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(0), /multiple of 3073 bytes .* received 0/],
    ['a cut record', record(1).subarray(0, 3000), /received 3000/],
    ['trailing bytes', bytes(record(1), [7]), /received 3074/],
    ['a label out of range', bytes(record(1), record(10)), /record 1: expected a class in \[0, 10\) but received 10/],
    ['a pickle under the binary name', bytes([0x80, 2, 0x7d], ramp(3070)), /Python pickle/],
  ])('refuses %s', (_, content, text) => expectError(() => cifar10(testDir(content), 'test'), 'invalid_data', text))

  it('refuses the Python version by name', async () => {
    const dir = freshDir()
    write(dir, 'test_batch', bytes([0x80, 2], ramp(50)))
    await expectError(() => cifar10(dir, 'test'), 'invalid_data', /pickles are never read.*cifar-10-binary/)
  })

  it('names the missing file', async () => {
    await expectError(() => cifar10(freshDir(), 'train'), 'not_found', /data_batch_1\.bin: no such file/)
    await expectError(() => cifar10('no-such-directory', 'test'), 'not_found', /test_batch\.bin/)
  })
})

const data = process.env.ALUDEL_DATA
describe.skipIf(!data)('the real CIFAR-10 (ALUDEL_DATA)', () => {
  it('has 50,000 and 10,000 images, balanced, with the known mean', async () => {
    for (const [split, n] of [
      ['train', 50_000],
      ['test', 10_000],
    ] as const) {
      const set = await cifar10(join(data as string, 'cifar10'), split)
      expect(set.shape[0]).toBe(n)
      for (let c = 0; c < 10; c++) expect(set.classIndices(c)).toHaveLength(n / 10)
      if (split === 'test') continue
      const sums = [0, 0, 0]
      for (let i = 0; i < set.images.length; i++) sums[i % 3] += set.images[i]
      sums.forEach((sum, c) => {
        expect(sum / (n * 1024 * 255)).toBeCloseTo(set.mean[c], 3)
      })
    }
  })
})
