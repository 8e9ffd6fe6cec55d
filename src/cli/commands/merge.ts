/** @file `aludel merge DIR…`: shards that were computed apart, joined to what one process would have made. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { exists } from '../../data/file-bytes.js'
import { expected } from '../../errors.js'
import { joinRuns } from '../../experiment/merge-runs.js'
import { writeRealImages } from '../../experiment/real-images.js'
import { createRunDir, runFile } from '../../experiment/run-dir.js'
import { manifestHash } from '../../experiment/synthetic-set.js'
import { writeReport } from '../../report/index.js'
import { mergeScores } from '../../scoring/model/index.js'
import { isScoreDirectory } from '../../scoring/score-directory.js'
import { type CliContext, outputOf } from '../context.js'
import { given, nonEmptyPath } from '../options.js'
import type { Output } from '../output.js'
import { commandLine } from '../phase.js'
import { reportScores } from '../score-report.js'
import { concludeModel } from './score-model.js'

interface Options {
  readonly out: string
  readonly allowChance?: true
}

export function addMerge(program: Command, context: CliContext): void {
  const command = program.command('merge').description('join shards to what one process would have made')
  command
    .argument('<dirs...>', 'directories of all shards of a score or a run, in any order')
    .requiredOption('--out <dir>', 'directory of the whole', nonEmptyPath)
    .option('--allow-chance', 'of scores: let an accuracy near chance pass')
    .action((dirs: string[], options: Options) => merge(dirs, options, command, context))
}

async function merge(dirs: readonly string[], options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const [first] = dirs
  if (await isScoreDirectory(first)) return mergeScoreShards(dirs, options, context, output)
  if (await exists(join(first, runFile))) return mergeRuns(dirs, options.out, context, output)
  throw expected('invalid_option', first, 'a directory of aludel score --shard or aludel distill --shard', 'something else')
}

async function mergeScoreShards(
  dirs: readonly string[],
  { out, allowChance }: Options,
  context: CliContext,
  output: Output,
): Promise<void> {
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

/** A run directory as one process would have left it, but for its checkpoints and steps. */
async function mergeRuns(dirs: readonly string[], out: string, { args }: CliContext, output: Output): Promise<void> {
  const { set, record, real } = await joinRuns(dirs)
  const commands = [...(record.commands ?? []), commandLine(args)]
  const runDir = await createRunDir(out, { ...record, status: 'running', finished: null, commands })
  try {
    await set.save(out)
    if (real) await writeRealImages(out, real)
    const artifact = { manifestSha256: await manifestHash(out) }
    await runDir.update({ status: 'done', finished: new Date().toISOString(), artifact })
  } finally {
    await runDir.close()
  }
  const report = await writeReport(out)
  output.line(`${dirs.length} parts, ${set.labels.length} images of ${set.classes.length} classes in ${out}, report in ${report}`)
  output.value({ run: out, parts: dirs.length, images: set.labels.length, classes: set.classes.length, report })
}
