/** @file `aludel prune`: scores in, the file of a subset out, which every later command takes with --subset. */

import { dirname } from 'node:path'
import type { Command } from 'commander'
import { Option } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { exists } from '../../data/file-bytes.js'
import { AludelError, expected, onFile } from '../../errors.js'
import { makeDirectory } from '../../files/make-directory.js'
import {
  createSubset,
  describeScores,
  importBilpScores,
  readScores,
  type ScoreDescription,
  type ScoreOrder,
  scoresOf,
  selectSamples,
  writeSubset,
} from '../../prune/index.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { given, nonEmptyPath, wholeNumber } from '../options.js'
import { seedOption } from './shared-options.js'

interface Options extends DataOptions {
  readonly scores?: string
  readonly order: Extract<ScoreOrder, 'asc' | 'desc' | 'moderate'> | 'random'
  readonly keep?: number
  readonly drop?: number
  readonly keepPercent?: number
  readonly scope: 'class' | 'global'
  readonly minimum: number
  readonly seed: number
  readonly out: string
}

/** Shares are the library's to judge: it says what each of them must be. */
const number = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text))

export function addPrune(program: Command, context: CliContext): void {
  const command = program.command('prune').description('choose the training images that stay, by scores or at random')
  command
    .option('--scores <file>', 'scores: a file of this package, or {Dataset}_{Indicator}.json of BiLP', nonEmptyPath)
    .addOption(
      new Option('--order <rule>', 'asc keeps the smallest scores, desc the largest, moderate those nearest to their class median')
        .choices(['asc', 'desc', 'moderate', 'random'])
        .default('asc'),
    )
    .option('--keep <share>', 'share of the images that stays', number)
    .option('--drop <share>', 'share that goes', number)
    .option('--keep-percent <n>', 'whole per cent that stays, rounded down', number)
    .addOption(
      new Option('--scope <part>', 'of every class the same share, or of all images').choices(['class', 'global']).default('class'),
    )
    .option('--minimum <n>', 'images that every class keeps at least', wholeNumber(0), 1)
    .addOption(seedOption())
    .requiredOption('--out <file>', 'file of the subset', nonEmptyPath)
  addDataOptions(command, 'data set whose training images are chosen from').action((options: Options) => prune(options, command, context))
}

async function prune(options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const { data, scores: file, order, keep, drop, keepPercent, scope, minimum, seed, out } = options
  if (data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if ((file === undefined) !== (order === 'random'))
    throw expected('invalid_option', `--order ${order}`, order === 'random' ? 'no --scores' : '--scores with the file of them', file)
  if (await exists(out)) throw new AludelError('invalid_option', `${out}: exists already; remove it or give another --out`)
  const train = await context.library.openDataset(specificationOf(data, options), 'train', openOptions(options))
  const scored = file === undefined ? undefined : await scoresIn(file, train)
  const selection = await selectSamples(train, {
    ...{ order, scope, minimumPerClass: minimum },
    ...(order === 'random' && { seed }),
    ...given({ keep, drop, keepPercent, scores: scored?.values }),
  })
  await onFile(dirname(out), () => makeDirectory(dirname(out)))
  await writeSubset(out, createSubset(train, selection, scored?.score ?? null))
  for (const { class: c, from, to } of selection.raised)
    output.notice(`class '${train.classes[c]}' keeps ${to} images, not ${from}: --minimum ${minimum}`)
  for (const c of selection.thinned) output.notice(`class '${train.classes[c]}' loses more than 95 % of its images`)
  const kept = selection.indices.length
  output.line(
    `${out}: ${kept} of ${train.shape[0]} images stay, ${Math.min(...selection.counts)} to ${Math.max(...selection.counts)} of a class`,
  )
  output.value({ out, kept, of: train.shape[0], counts: Array.from(selection.counts), raised: selection.raised, rule: selection.rule })
}

/** Scores of the data set at hand, and what they are. */
async function scoresIn(file: string, train: Dataset): Promise<{ readonly values: Float64Array; readonly score: ScoreDescription }> {
  if (!file.endsWith('.json')) {
    const scores = await readScores(file)
    return { values: scoresOf(train, scores), score: scores.score }
  }
  const { indicator, values } = await importBilpScores(file)
  const about = { name: indicator, source: file, pass: 'training', epochs: null, runs: null, seed: null } as const
  const { score } = describeScores(train, values, about)
  return { values, score }
}
