/** @file Rows drawn without replacement, addressed by (seed, part): the baseline that every score is to be compared with. */
import { checkSeed, wholeNumber } from '../arguments.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { philoxBlock } from '../engine/tensor/philox.js'
import { inPieces, Turn } from '../event-loop.js'
import { checkCount } from './pick.js'
import type { Score } from './score.js'

export const uniform: Score = {
  name: 'uniform',
  easy: 'low',
  input: 'nothing',
  source: 'place in a random order: the baseline that every score is to be compared with',
}

/** The place of every sample in a random order, float64 `[samples]`: kept in ascending order they are a uniform choice. Throws `invalid_option`. */
export async function uniformScore(samples: number, seed: number): Promise<Float64Array> {
  const order = await drawUniform(samples, samples, seed, 'score')
  const places = new Float64Array(samples)
  await inPieces(samples, new Turn(), (from, to) => {
    for (let place = from; place < to; place++) places[order[place]] = place
  })
  return places
}

/** Draws between two turns of the event loop. */
const drawsPerTurn = 1024

/**
 * The first `count` of a random order of 0..rows-1; a longer draw begins with a shorter one. `part` separates draws that share a seed, as
 * those of classes do. Bias per place is below rows / 2^32. Throws `invalid_option`.
 */
export async function drawUniform(rows: number, count: number, seed: number, part: string | number = 0): Promise<Int32Array> {
  wholeNumber('drawUniform: rows', rows)
  checkCount('drawUniform', count, Math.min(rows, 2 ** 31))
  const key = fold(keyOf(checkSeed('drawUniform: seed', seed)), 'uniform', part)
  const pool = new Int32Array(rows)
  const turn = new Turn()
  await inPieces(rows, turn, (from, to) => {
    for (let i = from; i < to; i++) pool[i] = i
  })
  const words = new Uint32Array(4)
  for (let i = 0; i < count; i++) {
    if (i % drawsPerTurn === 0) await turn.breathe()
    if (i % 4 === 0) philoxBlock(key, i / 4, 0, purpose.score, 0, words)
    const other = i + Math.floor((words[i % 4] * (rows - i)) / 2 ** 32)
    const held = pool[i]
    pool[i] = pool[other]
    pool[other] = held
  }
  return pool.slice(0, count)
}
