/** @file A part of the classes: what one of several processes distils, each for itself, so that together they give the whole set. */
import { isRecord } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import type { Shard } from '../experiment/types.js'

/** Classes [first, end). */
export type ClassRange = readonly [first: number, end: number]

export type { Shard }

/** 'i/N' as the command line has it, parts counted from 1. */
export const shardText = ({ index, of }: Shard): string => `${index}/${of}`

/** Throws `invalid_option` unless `shard` is a part that there is, of no more parts than classes. */
export function checkShard(shard: unknown, classes: number): Shard {
  const { index, of } = (isRecord(shard) ? shard : {}) as Partial<Shard>
  const whole = Number.isInteger(index) && Number.isInteger(of) && (index as number) >= 1 && (index as number) <= (of as number)
  if (!whole) throw expected('invalid_option', 'shard', '{ index, of } with 1 <= index <= of', shard)
  if ((of as number) > classes) throw expected('invalid_option', 'shard: of', `at most the ${classes} classes`, of)
  return { index, of } as Shard
}

/** The classes of a part, where groups of `perGroup` classes stay together if there are several. */
export function classesOfShard({ index, of }: Shard, classes: number, perGroup: number): ClassRange {
  const unit = perGroup < classes ? perGroup : 1
  const units = classes / unit
  if (of > units) {
    const todo = `at most ${units} parts, or a smaller classGroup (--class-group)`
    throw new AludelError('invalid_option', `shard: the classes run in ${units} groups of ${perGroup}, which stay whole: give ${todo}`)
  }
  return [Math.floor(((index - 1) * units) / of) * unit, Math.floor((index * units) / of) * unit]
}
