/** @file Philox4x32-10 in TypeScript: the bits of native/core/philox.h, for samplers and the reference interpreter. */

export type Key = readonly [number, number]

const m0 = 0xd2511f53
const m1 = 0xcd9e8d57
const w0 = 0x9e3779b9
const w1 = 0xbb67ae85

/** High 32 bits of a 32x32 product; the halves are split so that no partial product leaves 53 bits. */
function multiplyHigh(a: number, b: number): number {
  const aHigh = a >>> 16
  const aLow = a & 0xffff
  const bHigh = b >>> 16
  const bLow = b & 0xffff
  const low = aLow * bLow
  const middle = aHigh * bLow + (low >>> 16)
  const carry = aLow * bHigh + (middle & 0xffff)
  return (aHigh * bHigh + (middle >>> 16) + (carry >>> 16)) >>> 0
}

/** The four words of counter block (c0, c1, c2, c3) under `key`, written to `out` at `offset`. */
export function philoxBlock(key: Key, c0: number, c1: number, c2: number, c3: number, out: Uint32Array, offset = 0): void {
  let k0 = key[0] >>> 0
  let k1 = key[1] >>> 0
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(m0, c0)
    const low0 = Math.imul(m0, c0) >>> 0
    const high1 = multiplyHigh(m1, c2)
    const low1 = Math.imul(m1, c2) >>> 0
    c0 = (high1 ^ c1 ^ k0) >>> 0
    c1 = low1
    c2 = (high0 ^ c3 ^ k1) >>> 0
    c3 = low0
    k0 = (k0 + w0) >>> 0
    k1 = (k1 + w1) >>> 0
  }
  out[offset] = c0
  out[offset + 1] = c1
  out[offset + 2] = c2
  out[offset + 3] = c3
}

/** `length` random words: element i is word i % 4 of counter block (i / 4, counter, purpose, 0). */
export function randomBits(key: Key, counter: number, purpose: number, length: number): Uint32Array {
  const bits = new Uint32Array(Math.ceil(length / 4) * 4)
  for (let i = 0; i < length; i += 4) philoxBlock(key, i / 4, counter >>> 0, purpose >>> 0, 0, bits, i)
  return bits.subarray(0, length)
}

/** Uniform draws in [0, 1): multiples of 2^-24, exact in float32. */
export function uniform(key: Key, counter: number, purpose: number, length: number): Float64Array {
  return Float64Array.from(randomBits(key, counter, purpose, length), (bits) => (bits >>> 8) * 2 ** -24)
}

/** Standard normal draws by Box-Muller in float64, from the same bits as the native kernels (which round to float32). */
export function normal(key: Key, counter: number, purpose: number, length: number): Float64Array {
  const bits = randomBits(key, counter, purpose, length + (length & 1))
  const out = new Float64Array(bits.length)
  for (let i = 0; i < bits.length; i += 2) {
    const radius = Math.sqrt(-2 * Math.log(((bits[i] >>> 8) + 1) * 2 ** -24))
    const angle = 2 * Math.PI * (bits[i + 1] >>> 8) * 2 ** -24
    out[i] = radius * Math.cos(angle)
    out[i + 1] = radius * Math.sin(angle)
  }
  return out.subarray(0, length)
}

/** A random order of 0..length-1: indices sorted by (word, index). */
export function permutation(key: Key, counter: number, purpose: number, length: number): Int32Array {
  const steps = permuting(key, counter, purpose, length)
  for (;;) {
    const { done, value } = steps.next()
    if (done) return value
  }
}

/** Entries between two steps: a millisecond or so. */
const piece = 1 << 14
const digitBits = 11
const digits = 1 << digitBits

/** `permutation` in steps, for orders so long that others should have a turn between. */
export function* permuting(key: Key, counter: number, purpose: number, length: number): Generator<void, Int32Array> {
  const words = new Uint32Array(Math.ceil(length / 4) * 4)
  for (let i = 0; i < length; i += 4) {
    philoxBlock(key, i / 4, counter >>> 0, purpose >>> 0, 0, words, i)
    if ((i + 4) % piece === 0) yield
  }
  // Digit by digit from the last, each pass in the order of the one before: equal words stay in the order of their indices.
  let from = new Int32Array(length)
  let to = new Int32Array(length)
  for (let i = 0; i < length; i++) {
    from[i] = i
    if ((i + 1) % piece === 0) yield
  }
  for (let shift = 0; shift < 32; shift += digitBits) {
    const next = new Int32Array(digits + 1)
    for (let i = 0; i < length; i++) {
      next[((words[i] >>> shift) & (digits - 1)) + 1]++
      if ((i + 1) % piece === 0) yield
    }
    for (let digit = 0; digit < digits; digit++) next[digit + 1] += next[digit]
    yield
    for (let i = 0; i < length; i++) {
      to[next[(words[from[i]] >>> shift) & (digits - 1)]++] = from[i]
      if ((i + 1) % piece === 0) yield
    }
    ;[from, to] = [to, from]
  }
  return from
}
