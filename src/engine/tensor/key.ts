/** @file Keys of the counter-based generator: a draw is addressed by (key, purpose, counter, element), never by hidden state. */
import { expected } from '../../errors.js'
import { type Key, philoxBlock } from './philox.js'

export type { Key } from './philox.js'

/** What a stream of draws is for: draws with another purpose never share bits. Numbers are part of every result; never renumber. */
export const purpose = {
  fold: 0,
  parameterInit: 1,
  syntheticInit: 2,
  realBatch: 3,
  syntheticBatch: 4,
  augment: 5,
  shuffle: 6,
  evaluate: 7,
  score: 8,
  expert: 9,
  pool: 10,
  noise: 11,
  validation: 12,
} as const

export type Purpose = keyof typeof purpose

/** Key of a seed: a whole number in [0, 2^53) or a bigint in [0, 2^64). */
export function keyOf(seed: number | bigint): Key {
  const valid = typeof seed === 'bigint' ? seed >= 0n && seed < 1n << 64n : Number.isSafeInteger(seed) && seed >= 0
  if (!valid) throw expected('invalid_option', 'seed', 'a whole number in [0, 2^53) or a bigint in [0, 2^64)', seed)
  const wide = BigInt(seed)
  return [Number(wide & 0xffffffffn), Number(wide >> 32n)]
}

/** A key for a part of the work: a name or a number per level, mixed in one after the other. */
export function fold(key: Key, ...path: readonly (string | number)[]): Key {
  const words = new Uint32Array(4)
  return path.reduce<Key>((k, part) => {
    const isName = typeof part === 'string'
    philoxBlock(k, isName ? hashName(part) : part >>> 0, isName ? 1 : 0, purpose.fold, 1, words)
    return [words[0], words[1]]
  }, key)
}

/** FNV-1a over UTF-16 code units. */
function hashName(name: string): number {
  let hash = 0x811c9dc5
  for (let i = 0; i < name.length; i++) hash = Math.imul(hash ^ name.charCodeAt(i), 0x01000193)
  return hash >>> 0
}
