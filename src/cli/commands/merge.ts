/** @file `aludel merge DIR…`: shards that were computed apart, joined to what one process would have made. */
import type { Command } from 'commander'
import { expected } from '../../errors.js'
import { mergeScores } from '../../scoring/model/index.js'
import { isScoreDirectory } from '../../scoring/score-directory.js'
import { type CliContext, outputOf } from '../context.js'
import { given, nonEmptyPath } from '../options.js'
import { reportScores } from '../score-report.js'
import { concludeModel } from './score-model.js'

interface Options {
  readonly out: string
  readonly allowChance?: true
}

export function addMerge(program: Command, context: CliContext): void {
  const command = program.command('merge').description('join shards to what one process would have made')
  command
    .argument('<dirs...>', 'directories of all shards, in any order')
    .requiredOption('--out <dir>', 'directory of the whole', nonEmptyPath)
    .option('--allow-chance', 'of scores: let an accuracy near chance pass')
    .action((dirs: string[], options: Options) => merge(dirs, options, command, context))
}

async function merge(dirs: readonly string[], { out, allowChance }: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  if (!(await isScoreDirectory(dirs[0])))
    throw expected('invalid_option', dirs[0], 'a directory with a shard of aludel score --shard', 'something else')
  const record = await mergeScores(dirs, out, given({ allowChance }))
  concludeModel(out, record, output)
  const report = await reportScores(out, { library: context.library, output, record, options: {} })
  output.line(`report in ${report}`)
  output.value({
    out,
    shards: dirs.length,
    kinds: record.kinds,
    images: record.data.samples,
    accuracies: record.accuracies,
    perClass: record.perClass,
    report,
  })
}
