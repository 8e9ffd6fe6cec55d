/** @file The command line as a whole, and how one invocation ends. */
import { Command, CommanderError } from 'commander'
import { AbortError, AludelError, systemFailure } from '../errors.js'
import { packageVersion } from '../package-root.js'
import { addAssess } from './commands/assess.js'
import { addBuild } from './commands/build.js'
import { addDistill } from './commands/distill.js'
import { addDoctor } from './commands/doctor.js'
import { addEvaluate } from './commands/evaluate.js'
import { addExperts } from './commands/experts.js'
import { addExport } from './commands/export.js'
import { addMerge } from './commands/merge.js'
import { addNas } from './commands/nas.js'
import { addPack } from './commands/pack.js'
import { addPlan } from './commands/plan.js'
import { addPretrain } from './commands/pretrain.js'
import { addPrune } from './commands/prune.js'
import { addQuickstart } from './commands/quickstart.js'
import { addRecipes } from './commands/recipes.js'
import { addReport } from './commands/report.js'
import { addScore } from './commands/score.js'
import { addSweep } from './commands/sweep.js'
import { addTransfer } from './commands/transfer.js'
import type { CliContext } from './context.js'
import { exitCodeOf } from './exit-codes.js'
import type { Library } from './library.js'
import { createOutput, type Stream } from './output.js'

const exitCodes = '\nExit codes: 0 done, 1 failed, 2 wrong command or option, 130 interrupted (what was reached is saved).'

function buildProgram(context: CliContext): Command {
  const program = new Command('aludel')
    .description('Dataset distillation: a few synthetic images per class that train almost as well as the whole data set.')
    .version(packageVersion)
    .option('--json', 'print the result as one JSON value on stdout; progress stays on stderr')
    .addHelpText('afterAll', exitCodes)
    .exitOverride()
    .configureOutput({ writeOut: (text) => context.stdout.write(text), writeErr: (text) => context.stderr.write(text) })
  // sub-commands inherit exitOverride and output when they are added after both are set
  for (const add of [
    addPack,
    addPlan,
    addScore,
    addMerge,
    addPrune,
    addExperts,
    addPretrain,
    addAssess,
    addDistill,
    addSweep,
    addEvaluate,
    addTransfer,
    addNas,
    addExport,
    addReport,
    addDoctor,
    addBuild,
    addRecipes,
    addQuickstart,
  ])
    add(program, context)
  return program
}

export interface Invocation {
  /** Arguments after the program's name. */
  readonly args: readonly string[]
  readonly library: Library
  readonly stdout: Stream
  readonly stderr: Stream
}

/** Runs one command line and returns its exit code; never throws and never ends the process. */
export async function runCli({ args, library, stdout, stderr }: Invocation): Promise<number> {
  let code = 0
  const context: CliContext = {
    args,
    library,
    stdout,
    stderr,
    setExitCode: (next) => {
      code = Math.max(code, next)
    },
  }
  try {
    await buildProgram(context).parseAsync([...args], { from: 'user' })
    return code
  } catch (failure) {
    const error = systemFailure(failure)
    code = exitCodeOf(error)
    if (code !== 0) reportFailure(error, createOutput(stdout, stderr, args.includes('--json')))
    return code
  }
}

/** Errors in two forms: a sentence on stderr, and with --json { error: { code, message } } on stdout. */
function reportFailure(error: unknown, output: ReturnType<typeof createOutput>): void {
  const message = error instanceof Error ? error.message : String(error)
  const known = error instanceof AludelError || error instanceof AbortError
  // commander has written its own sentence
  if (!(error instanceof CommanderError))
    output.notice(known ? `error: ${message}` : `error: ${error instanceof Error ? error.stack : message}`)
  output.value({ error: { code: known ? error.code : error instanceof CommanderError ? 'invalid_option' : 'internal', message } })
}
