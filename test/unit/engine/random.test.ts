/** @file Philox against known answers, and keys that separate streams. */
import { expect, test } from 'vitest'
import { fold, keyOf, normal, permutation, philoxBlock, randomBits, uniform } from '../../../src/engine/index.js'

const hex = (words: Uint32Array): string[] => [...words].map((w) => w.toString(16).padStart(8, '0'))

// Known answers of Random123 for philox4x32-10.
test.each([
  [
    [0, 0, 0, 0],
    [0, 0],
    ['6627e8d5', 'e169c58d', 'bc57ac4c', '9b00dbd8'],
  ],
  [
    [~0, ~0, ~0, ~0],
    [~0, ~0],
    ['408f276d', '41c83b0e', 'a20bc7c6', '6d5451fd'],
  ],
  [
    [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
    [0xa4093822, 0x299f31d0],
    ['d16cfe09', '94fdcceb', '5001e420', '24126ea1'],
  ],
] as const)('philox of counter %j', ([a, b, c, d], key, wanted) => {
  const out = new Uint32Array(4)
  philoxBlock([key[0], key[1]], a >>> 0, b >>> 0, c >>> 0, d >>> 0, out)
  expect(hex(out)).toEqual(wanted)
})

test('an element depends on its index only', () => {
  const key = keyOf(7)
  expect([...randomBits(key, 3, 2, 5)]).toEqual([...randomBits(key, 3, 2, 9)].slice(0, 5))
  expect([...normal(key, 3, 2, 5)]).toEqual([...normal(key, 3, 2, 6)].slice(0, 5))
})

test('moments of the draws', () => {
  const mean = (x: Float64Array): number => x.reduce((a, b) => a + b, 0) / x.length
  const u = uniform(keyOf(1), 0, 0, 20000)
  const z = normal(keyOf(1), 0, 0, 20000)
  expect(mean(u)).toBeCloseTo(0.5, 2)
  expect(u.every((v) => v >= 0 && v < 1)).toBe(true)
  expect(Math.abs(mean(z))).toBeLessThan(0.02)
  expect(mean(z.map((v) => v * v))).toBeCloseTo(1, 1)
})

test('a permutation holds every index once', () => {
  expect([...permutation(keyOf(5), 0, 6, 100)].sort((a, b) => a - b)).toEqual(Array.from({ length: 100 }, (_, i) => i))
})

test('keys: seeds, folds and errors', () => {
  expect(keyOf(5)).toEqual([5, 0])
  expect(keyOf(2 ** 40 + 1)).toEqual([1, 256])
  expect(keyOf((1n << 64n) - 1n)).toEqual([0xffffffff, 0xffffffff])
  expect(fold(keyOf(1), 'network')).not.toEqual(fold(keyOf(1), 'augment'))
  expect(fold(keyOf(1), 'a', 2)).toEqual(fold(fold(keyOf(1), 'a'), 2))
  for (const seed of [-1, 1.5, Number.NaN, 1n << 64n]) expect(() => keyOf(seed)).toThrow(/seed/)
})
