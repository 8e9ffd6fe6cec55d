/** @file The scores by name. */
import { expected } from '../errors.js'
import { forgetting } from './forgetting.js'
import { grand } from './grand.js'
import { logitScores } from './logits.js'
import { moderate } from './moderate.js'
import { prototypicality, selfPrototypicality } from './prototypicality.js'
import type { Score } from './score.js'
import { uniform } from './uniform.js'

const scores = { ...logitScores, grand, forgetting, prototypicality, selfPrototypicality, moderate, uniform } as const

export type ScoreName = keyof typeof scores

export const scoreNames = Object.keys(scores) as readonly ScoreName[]

/** Direction, input and source of a score. Throws `not_found` with the names there are. */
export function scoreInfo(name: ScoreName): Readonly<Score> {
  if (typeof name !== 'string' || !Object.hasOwn(scores, name)) throw expected('not_found', 'score', scoreNames.join(', '), name)
  const { easy, input, source } = scores[name]
  return { name, easy, input, source }
}
