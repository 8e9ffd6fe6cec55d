/** @file The curriculum of experts on the command line: scores of the images, and the schedule that orders them by difficulty. */
import { join } from 'node:path'
import { InvalidArgumentError } from 'commander'
import type { Dataset } from '../data/dataset.js'
import { expected } from '../errors.js'
import type { RunConfig } from '../experiment/types.js'
import { describeScores, readScores, scoresOf, writeScores } from '../prune/index.js'
import { type DataSchedule, type PadRule, padCifar10, padManyClasses, padSchedule } from '../schedule/index.js'
import { type ScoreName, scoreInfo, scoreNames } from '../scores/registry.js'
import { uniformScore } from '../scores/uniform.js'
import { assignment, type OptionText } from './options.js'
import type { NamedScores } from './score-source.js'

/** Of the rule, and whose shares they are. */
export type PadChoice = Partial<PadRule> & { readonly scope?: 'class' | 'global' }

const ruleKeys: readonly string[] = [...Object.keys(padCifar10), 'scope']

/** 'none', 'pad', or 'pad:initialRatio=0.8,removeMiddle=8': what orders the images of every epoch. */
export function scheduleChoice(text: string): PadChoice | 'none' {
  if (text === 'none') return text
  const [, name, settings] = /^([^:]*)(?::(.+))?$/s.exec(text) ?? []
  if (name !== 'pad')
    throw new InvalidArgumentError("expected none, pad, or pad:key=value,… with the settings that are not to be the defaults'.")
  const values = (settings?.split(',') ?? []).reduce<Record<string, OptionText>>((before, part) => assignment(part, before), {})
  const unknown = Object.keys(values).find((key) => !ruleKeys.includes(key))
  if (unknown !== undefined) throw new InvalidArgumentError(`'${unknown}' is none of ${ruleKeys.join(', ')}.`)
  return values as PadChoice
}

/** Where a store keeps the scores that its schedule was made of. */
export const difficultyPath = (dir: string): string => join(dir, 'difficulty.safetensors')

/** The published rule for so many classes, with what is given in its place. */
export const ruleOf = ({ classes }: Dataset, choice: PadChoice): PadRule & { readonly scope: 'class' | 'global' } => ({
  ...(classes.length > 10 ? padManyClasses : padCifar10),
  scope: 'class',
  ...choice,
})

/** The schedule by scores, whose easy end their name says. Throws as `padSchedule`. */
export function scheduleBy(train: Dataset, choice: PadChoice, { values, score }: NamedScores): Promise<DataSchedule> {
  const easy = scoreNames.includes(score.name as ScoreName) ? scoreInfo(score.name as ScoreName).easy : 'low'
  const { labels, classes } = train
  return padSchedule({ ...ruleOf(train, choice), scores: values, labels, classes: classes.length, easy })
}

/** Scores that say nothing: the order to compare a curriculum with. */
export async function randomScores({ labels }: Dataset, seed: number): Promise<NamedScores> {
  const score = { name: 'uniform', source: 'a random order', pass: 'evaluation', epochs: null, runs: null, seed } as const
  return { values: await uniformScore(labels.length, seed), score }
}

/** Keeps the scores beside the experts, for a continuation. Throws `io`. */
export const keepScores = (dir: string, train: Dataset, { values, score }: NamedScores): Promise<void> =>
  writeScores(difficultyPath(dir), describeScores(train, values, score))

/** The schedule that a store was begun with, from the scores beside it; undefined for one of all rows. Throws `incompatible` for other scores. */
export async function scheduleAgain(dir: string, train: Dataset, recorded: RunConfig): Promise<DataSchedule | undefined> {
  if (recorded.name === 'none') return undefined
  const file = await readScores(difficultyPath(dir))
  const choice = Object.fromEntries(ruleKeys.map((key) => [key, recorded[key]])) as PadChoice
  const schedule = await scheduleBy(train, choice, { values: scoresOf(train, file), score: file.score })
  if (schedule.config.ranking === recorded.ranking) return schedule
  throw expected('incompatible', `${difficultyPath(dir)}: ranking of the images`, String(recorded.ranking), schedule.config.ranking)
}
