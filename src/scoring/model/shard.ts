/** @file Shards of a scoring: parts of the grid of blocks, one after the other, that several processes or machines score. */
import { join } from 'node:path'
import { isRecord } from '../../arguments.js'
import type { Block } from '../../data/image-stream.js'
import { expected } from '../../errors.js'
import type { Shard } from '../../experiment/types.js'

/** The file that a finished shard leaves. */
export const shardPath = (dir: string): string => join(dir, 'shard.safetensors')

/** Throws `invalid_option` unless index is a whole number from 1 to `of`. */
export function checkShard(shard: unknown): Shard {
  const { index, of } = (isRecord(shard) ? shard : {}) as Partial<Shard>
  const whole = Number.isSafeInteger(index) && Number.isSafeInteger(of)
  if (!whole || Number(index) < 1 || Number(index) > Number(of))
    throw expected('invalid_option', 'shard', '{ index, of } with whole numbers and 1 <= index <= of', shard)
  return shard as Shard
}

/** The blocks of a shard: of all `places` cut into blocks of `block`, those from (index - 1) / of to index / of. Without a shard all. */
export function shardBlocks(places: number, block: number, shard: Shard | null): Block[] {
  const count = Math.ceil(places / block)
  const [from, to] = shard ? [shard.index - 1, shard.index].map((part) => Math.floor((part * count) / shard.of)) : [0, count]
  return Array.from({ length: to - from }, (_, i) => {
    const first = (from + i) * block
    return { first, rows: Math.min(block, places - first) }
  })
}
