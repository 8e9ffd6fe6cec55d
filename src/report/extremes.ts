/** @file The easiest and hardest samples of each class by one score. */
import type { ScoreFile } from '../prune/index.js'
import { type ScoreName, scoreInfo, scoreNames } from '../scores/registry.js'
import type { Extremes, ScoredSamples } from './score-report.js'

/** Images at either end of a class. */
const most = 6
/** A page with more images than this is slow to open and to scroll. */
const mostImages = 600

/** Which end of a score is easy: what the registry says, 'low' for scores of others, as for losses. */
export const easyEnd = (name: string): 'low' | 'high' =>
  scoreNames.includes(name as ScoreName) ? scoreInfo(name as ScoreName).easy : 'low'

/** Images at either end of each class that a page shows; 0 where there are too many classes for a gallery. */
export const shownExtremes = (classes: number): number => Math.min(most, Math.floor(mostImages / (2 * classes)))

/** Of equal scores the lower row comes first. No row stands at both ends. */
export function extremesOf({ score, values }: Pick<ScoreFile, 'score' | 'values'>, { rows }: ScoredSamples, count: number): Extremes {
  const sign = easyEnd(score.name) === 'low' ? 1 : -1
  const classes = rows.map((list) => {
    const order = Array.from(list).sort((a, b) => sign * (values[a] - values[b]) || a - b)
    const shown = Math.min(count, Math.floor(order.length / 2))
    return { easiest: order.slice(0, Math.max(shown, order.length > 0 ? 1 : 0)), hardest: order.slice(order.length - shown).reverse() }
  })
  return { kind: score.name, classes }
}
