/** @file `aludel distill`: a data set in, a run directory with synthetic images out. */

import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { checkLabelled } from '../../data/labels.js'
import { AludelError, expected } from '../../errors.js'
import { reopenRunDir } from '../../experiment/run-dir.js'
import type { DistillSettings, DynamicPruning, RepresentationRunSettings } from '../../experiment/types.js'
import { checkBeforeWhitening } from '../../experts/store.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, inPlace, openOptions, specificationOf } from '../data-options.js'
import { type PadChoice, scheduleChoice } from '../experts-schedule.js'
import {
  dynamicPruning,
  flagOf,
  given,
  nonEmptyPath,
  type OptionText,
  type PruneText,
  positiveNumber,
  pruneChoice,
  wholeNumber,
} from '../options.js'
import { preparePruning } from '../pruning.js'
import { addRecipeOptions, type RecipeOptions, withRecipe } from '../recipe-options.js'
import {
  addRepresentationOptions,
  isRepresentationRun,
  openEncoder,
  type RepresentationOptions,
  runRepresentations,
  teacherChoice,
} from '../representations.js'
import { completedSteps, resumeDistillation, resumeRepresentations } from '../resume-distillation.js'
import { concludeDistillation, runDistillation } from '../run-distillation.js'
import { prepareSchedule } from '../run-schedule.js'
import { whitenTraining } from '../whitening.js'
import {
  addDeviceOptions,
  addMethodOptions,
  addWhiteningOptions,
  type DeviceOptions,
  deviceOf,
  methodOptionsOf,
  resumableDeviceOptions,
  seedOption,
  type WhiteningOptions,
  zcaOf,
} from './shared-options.js'

interface Options
  extends Omit<DistillSettings, 'dynamic'>,
    DeviceOptions,
    DataOptions,
    RecipeOptions,
    WhiteningOptions,
    RepresentationOptions {
  readonly dynamic?: DynamicPruning | 'off'
  readonly out?: string
  readonly resume?: string
  readonly checkpointEvery?: number
  readonly set?: Readonly<Record<string, OptionText>>
  readonly prune?: PruneText
  readonly scores?: string
  readonly mask?: string
  readonly experts?: string
  readonly schedule?: PadChoice | 'none'
  readonly scheduleEvery?: number
  readonly kind?: string
}

/** Options that a continued run may be given; everything else is its own. */
const resumable = ['data', 'cache', 'experts', 'teacher', 'iterations', 'checkpointEvery', 'onDivergence', ...resumableDeviceOptions]

export function addDistill(program: Command, context: CliContext): void {
  const command = program.command('distill').description('distill a data set into a few synthetic images per class')
  addMethodOptions(command)
  command.option('--experts <dir>', 'trained experts, from aludel experts: what mtt, ftd, tesla, datm and pad match', nonEmptyPath)
  command.option('--image-lr <x>', "learning rate of the pixels (default: the preset's)", positiveNumber)
  addRepresentationOptions(command)
  addWhiteningOptions(command)
  command
    .option(
      '--prune <rule>',
      'choose the training images first: a score or random, such as loss, loss:keep=0.6 or el2n:keepPercent=20,order=desc',
      pruneChoice,
    )
    .option(
      '--scores <path>',
      'scores that --prune chooses or --schedule sorts by: a file or directory (default for --prune: networks are trained to score)',
      nonEmptyPath,
    )
    .option('--kind <score>', 'which score of --scores the schedule sorts by (default: the only one there, else loss)')
    .option(
      '--schedule <rule>',
      'draw real images from easy to hard: none, pad, or pad:addEndEpoch=4 and other settings (default: none)',
      scheduleChoice,
    )
    .option('--schedule-every <n>', 'iterations of one epoch of the schedule (default: a hundredth of all)', wholeNumber(1))
    .option('--dynamic <rule>', 'leave out real samples step by step by their effect: bilp, or bilp:betaLow=0.05,every=10', dynamicPruning)
    .addOption(seedOption())
    .option('--out <dir>', 'run directory (default: runs/METHOD-DATA-ipcN-seedN)', nonEmptyPath)
    .option(
      '--resume <run>',
      `continue the run in this directory; only ${resumable.map(flagOf).join(', ')} may stand beside it`,
      nonEmptyPath,
    )
    .option('--checkpoint-every <n>', 'steps between checkpoints (default: by time, at most a hundredth of it)', wholeNumber(1))
    .addOption(
      new Option('--on-divergence <policy>', 'fail, or go back and lower the image learning rate (default: stop)').choices([
        'stop',
        'rollback',
      ]),
    )
  addRecipeOptions(command)
  addDataOptions(command, 'training data')
  addDeviceOptions(command).action((options: Options) =>
    options.resume === undefined ? distillCommand(options, command, context) : resumeCommand(options.resume, options, command, context),
  )
}

/** The choice of --schedule, if any. Throws `invalid_option` for options that do not go with it. */
function checkedSchedule({ schedule = 'none', scheduleEvery, kind, prune }: Options): PadChoice | undefined {
  if (schedule !== 'none') {
    if (prune === undefined) return schedule
    throw new AludelError('invalid_option', '--schedule: --prune chooses its images in the run; prune them first, and give --subset')
  }
  if (scheduleEvery !== undefined || kind !== undefined)
    throw new AludelError('invalid_option', `--${kind === undefined ? 'schedule-every' : 'kind'}: goes with --schedule pad only`)
  return undefined
}

async function distillCommand(fromCommand: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  if (await isRepresentationRun(fromCommand.method, fromCommand, command)) return representationCommand(fromCommand, command, context)
  const { options, recipe } = await withRecipe(fromCommand, command)
  const { out, method, ipc, seed, checkpointEvery } = options
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  const data = inPlace(specificationOf(options.data, options))
  const { classGroup, shard } = options
  const { iterations, realBatch, imageLr, init, augment, network, preset, onDivergence, prune, scores } = options
  const dynamic = options.dynamic === 'off' ? undefined : options.dynamic
  const choice = checkedSchedule(options)
  const train = await library.openDataset(data, 'train', openOptions(options))
  checkLabelled(`distill --method ${method}`, train)
  const part = shard ? `-part${shard.index}of${shard.of}` : ''
  const dir = out ?? join('runs', `${method}-${train.name}-ipc${ipc}-seed${seed}${part}`)
  const general = { iterations, realBatch, imageLr, init, augment, network, preset, seed, onDivergence, dynamic, classGroup, shard }
  const settings = { method, ipc, ...given({ ...general, methodOptions: methodOptionsOf(options) }) } as DistillSettings
  if (options.experts !== undefined && prune !== undefined)
    throw new AludelError(
      'invalid_option',
      '--prune: experts match what they saw; train them on the images that are to stay, and give those as --data',
    )
  const experts = options.experts === undefined ? undefined : await library.openExperts(options.experts)
  const device = await library.openDevice(deviceOf(options))
  try {
    const zca = zcaOf(options)
    if (scores !== undefined && prune === undefined && choice === undefined)
      throw expected('invalid_option', '--scores', '--prune or --schedule beside it', undefined)
    const scheduling =
      choice &&
      (await prepareSchedule(train, { choice, settings, ...given({ scores, kind: options.kind, every: options.scheduleEvery }) }, library))
    const pruning =
      prune && (await preparePruning(train, { ...prune, dir, settings, zca, ...given({ scores }) }, { library, output, device }))
    // a whitening may take long: what can be said of the experts is said before
    if (experts) checkBeforeWhitening(experts, train, zca)
    // what stays is whitened, once it is known
    const dataset = pruning ? train : await whitenTraining(train, zca, { library, output, device, ...openOptions(options) })
    const job = {
      library,
      output,
      device,
      dataset,
      specification: data,
      settings,
      dir,
      args: context.args,
      ...given({ checkpointEvery, recipe, pruning, experts, scheduling }),
      ...openOptions(options),
    }
    await concludeDistillation(await runDistillation(job), output, context)
  } finally {
    await device.close()
  }
}

/** A run without labels: the teacher is opened first, and both are checked against each other before a directory is made. */
async function representationCommand(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  const data = inPlace(specificationOf(options.data, options))
  const { method, n, iterations, realBatch, imageLr, augment, network, preset, seed, onDivergence, checkpointEvery, set } = options
  const train = await library.openDataset(data, 'train', openOptions(options))
  const general = { iterations, realBatch, imageLr, augment, network, preset, seed, onDivergence, methodOptions: set }
  const settings = { method, n, ...given(general) } as RepresentationRunSettings
  const device = await library.openDevice(deviceOf(options))
  try {
    const choice = teacherChoice(options)
    const teacher = await openEncoder(library, choice, { device, image: train.shape.slice(1) })
    try {
      const dir = options.out ?? join('runs', `${method}-${train.name}-n${n}-seed${seed}`)
      const job = { library, output, device, dataset: train, specification: data, settings, dir, args: context.args, teacher, choice }
      await concludeDistillation(await runRepresentations({ ...job, ...given({ checkpointEvery }) }), output, context)
    } finally {
      await teacher.dispose()
    }
  } finally {
    await device.close()
  }
}

async function resumeCommand(dir: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const wrong = Object.keys(options).find(
    (name) => name !== 'resume' && !resumable.includes(name) && command.getOptionValueSource(name) === 'cli',
  )
  if (wrong !== undefined) {
    throw new AludelError('invalid_option', `${flagOf(wrong)}: a run continues with its own settings; leave it out beside --resume`)
  }
  const { data, cache, experts, teacher, iterations, checkpointEvery, onDivergence } = options
  const runDir = await reopenRunDir(dir)
  try {
    const completed = await completedSteps(runDir, iterations, output)
    if (completed !== undefined) {
      output.line(`${dir}: is complete, all ${completed} steps are done and its images are there`)
      output.value({ run: dir, status: 'done', steps: completed, iterations: completed, resumed: false })
      return
    }
    const job = {
      library,
      output,
      runDir,
      args: context.args,
      chosen: options,
      ...given({ data, cache, experts, teacher, iterations, checkpointEvery, onDivergence }),
    }
    const resumed = runDir.record.representations ? resumeRepresentations(job) : resumeDistillation(job)
    await concludeDistillation(await resumed, output, context)
  } finally {
    await runDir.close()
  }
}
