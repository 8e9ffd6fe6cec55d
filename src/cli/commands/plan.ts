/** @file `aludel plan`: bytes and time of a run and its evaluation before either starts, and the largest settings that fit. */
import type { Command } from 'commander'
import { checkLabelled } from '../../data/labels.js'
import { AludelError } from '../../errors.js'
import type { DistillSettings, ProtocolName, RepresentationRunSettings } from '../../experiment/types.js'
import { checkBeforeWhitening } from '../../experts/store.js'
import type { RunPlan } from '../../plan/plan.js'
import type { RepresentationPlan } from '../../plan/representations.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { exitCode } from '../exit-codes.js'
import { given, nameList, nonEmptyPath, type OptionText, wholeNumber } from '../options.js'
import { addRecipeOptions, type RecipeOptions, withRecipe } from '../recipe-options.js'
import {
  addRepresentationOptions,
  isRepresentationRun,
  openEncoder,
  type RepresentationOptions,
  teacherChoice,
} from '../representations.js'
import {
  addDeviceOptions,
  addMethodOptions,
  addWhiteningOptions,
  type DeviceOptions,
  deviceOf,
  methodOptionsOf,
  protocolOption,
  type WhiteningOptions,
  zcaOf,
} from './shared-options.js'

interface Options extends DistillSettings, DeviceOptions, DataOptions, RecipeOptions, WhiteningOptions, RepresentationOptions {
  readonly set?: Readonly<Record<string, OptionText>>
  readonly mask?: string
  readonly experts?: string
  readonly networks: string[]
  readonly repeats: number
  readonly protocol?: ProtocolName
  readonly epochs?: number
}

export function addPlan(program: Command, context: CliContext): void {
  const command = program
    .command('plan')
    .description('say what a distillation and its evaluation will need, in bytes and time, and the largest settings that fit')
  addMethodOptions(command)
  addRepresentationOptions(command)
  addWhiteningOptions(command)
  command
    .option('--experts <dir>', 'of a method that matches experts: check that these fit the run', nonEmptyPath)
    .option('--networks <names>', 'networks of the evaluation, or pools such as unseen, separated by commas', nameList, ['convnet'])
    .option('--repeats <n>', 'networks trained per name', wholeNumber(1), 5)
    .addOption(protocolOption())
    .option('--epochs <n>', "training epochs of each (default: the protocol's 1000)", wholeNumber(1))
  addRecipeOptions(command)
  addDataOptions(command, 'training data')
  addDeviceOptions(command).action((options: Options) => planCommand(options, command, context))
}

async function planCommand(fromCommand: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  if (await isRepresentationRun(fromCommand.method, fromCommand, command)) return planWithoutLabels(fromCommand, command, context)
  const { options } = await withRecipe(fromCommand, command)
  const { method, ipc, networks, repeats, protocol, ...rest } = options
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  const data = specificationOf(options.data, options)
  const { iterations, realBatch, init, augment, network, preset, epochs, memory, classGroup, shard } = rest
  const train = await library.openDataset(data, 'train', openOptions(options))
  checkLabelled(`plan --method ${method}`, train)
  const test = await library.openDataset(data, 'test', openOptions(options))
  const zca = zcaOf(options)
  const experts = options.experts === undefined ? undefined : await library.openExperts(options.experts)
  if (experts) checkBeforeWhitening(experts, train, zca)
  // What does not fit is to be counted, not refused: the limit is the plan's.
  const { memory: _, ...choice } = options
  const device = await library.openDevice(deviceOf(choice))
  try {
    const settings = {
      method,
      ipc,
      ...given({ iterations, realBatch, init, augment, network, preset, classGroup, shard, methodOptions: methodOptionsOf(options) }),
    } as DistillSettings
    const plan = await library.planRun(train, {
      ...{ ...settings, networks, repeats, test, device },
      ...given({ protocol, epochs, memory, zca, experts }),
    })
    for (const line of planLines(plan)) output.line(line)
    output.value(plan)
    if (!plan.fits) context.setExitCode(exitCode.failure)
  } finally {
    await device.close()
  }
}

/** What an evaluation is planned by: a set without labels is measured by transfer. */
const evaluationOptions = ['networks', 'repeats', 'protocol', 'epochs']

async function planWithoutLabels(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const wrong = evaluationOptions.find((name) => command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined)
    throw new AludelError('invalid_option', `--${wrong}: a set without labels is not evaluated but transferred; leave it out`)
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  const { method, n, iterations, realBatch, augment, network, preset, set, memory } = options
  const train = await library.openDataset(specificationOf(options.data, options), 'train', openOptions(options))
  const general = { iterations, realBatch, augment, network, preset, methodOptions: set }
  const settings = { method, n, ...given(general) } as RepresentationRunSettings
  // What does not fit is to be counted, not refused: the limit is the plan's.
  const { memory: _, ...choice } = options
  const device = await library.openDevice(deviceOf(choice))
  try {
    const teacher = await openEncoder(library, teacherChoice(options), { device, image: train.shape.slice(1) })
    try {
      const plan = await library.planRepresentations(train, { ...settings, device, teacher, ...given({ memory }) })
      for (const line of representationLines(plan)) output.line(line)
      output.value(plan)
      if (!plan.fits) context.setExitCode(exitCode.failure)
    } finally {
      await teacher.dispose()
    }
  } finally {
    await device.close()
  }
}

function representationLines(plan: RepresentationPlan): string[] {
  const { bytes, seconds, config, largest } = plan
  const kept = plan.tableBytes > 0 ? `, ${formatBytes(plan.tableBytes)} for its answers in this process once all are known` : ''
  const own = plan.teacherBytes === null ? 'its weights on the device' : `${formatBytes(plan.teacherBytes)} in a process of its own`
  const time = [
    ...(seconds.pool > 0 ? [`about ${formatTime(seconds.pool)} for the pool`] : []),
    `about ${formatTime(seconds.steps)} for ${config.iterations} steps`,
  ]
  return [
    `distill  ${formatBytes(plan.totalBytes)} on the device (working memory ${formatBytes(bytes.workspace)}), ${time.join(', ')}`,
    `state    ${formatBytes(plan.stateBytes)} of that, ${formatBytes(plan.poolBytes)} for the pool; each of two checkpoints takes as much of the disk, and twice as much memory while it is taken`,
    `teacher  ${own}${kept}; about ${formatTime(seconds.teacher)} in all`,
    `data     ${formatBytes(plan.dataBytes)} in this process`,
    `needs    ${formatBytes(plan.peakBytes)} at most, ${formatBytes(plan.freeBytes)} are free: ${plan.fits ? 'fits' : 'does not fit'}`,
    `largest that fits: ${largestLine('--n', largest.n, config.n)}, ${largestLine('--real-batch', largest.realBatch, config.realBatch)}, ${largestLine('--set poolModels', largest.poolModels, config.poolModels)}`,
    rateLine(plan.flopsPerSecond),
  ]
}

const rateLine = (flopsPerSecond: number): string =>
  `times are predicted from ${(flopsPerSecond / 1e9).toFixed(0)} GFLOP/s, measured just now with this network`

function planLines({ phases, stateBytes, dataBytes, peakBytes, freeBytes, fits, flopsPerSecond, largest, config }: RunPlan): string[] {
  const width = Math.max(...phases.map(({ name }) => name.length))
  return [
    ...phases.map(
      ({ name, totalBytes, bytes, seconds, steps }) =>
        `${name.padEnd(width)}  ${formatBytes(totalBytes)} on the device (working memory ${formatBytes(bytes.workspace)}), about ${formatTime(seconds)} for ${countOf(name, steps)}`,
    ),
    `state   ${formatBytes(stateBytes)} of the distillation, twice more while a checkpoint is taken`,
    `data    ${formatBytes(dataBytes)} in this process`,
    `needs   ${formatBytes(peakBytes)} at most, ${formatBytes(freeBytes)} are free: ${fits ? 'fits' : 'does not fit'}`,
    `largest that fits: ${largestLine('--ipc', largest.ipc, config.ipc)}${realBatchLine(largest.realBatch, config.realBatch)}`,
    rateLine(flopsPerSecond),
  ]
}

/** An evaluation's steps are batches of its training, of all its networks; measuring is counted in its time. */
const countOf = (name: string, steps: number): string =>
  name.startsWith('evaluate') ? `${steps} training steps and the measuring` : name === 'whiten' ? 'the whitening' : `${steps} steps`

/** Nothing where a method takes no real images in its steps. */
const realBatchLine = (most: number | null, chosen: unknown): string =>
  chosen === 0 ? '' : `, ${largestLine('--real-batch', most, chosen)}`

const largestLine = (flag: string, most: number | null, chosen: unknown): string =>
  most === null ? `no ${flag} at all` : `${flag} ${most} (chosen: ${chosen})`

const formatBytes = (bytes: number): string =>
  bytes >= 2 ** 30 ? `${(bytes / 2 ** 30).toFixed(1)} GiB` : `${Math.ceil(bytes / 2 ** 20)} MiB`

function formatTime(seconds: number): string {
  if (seconds < 90) return `${Math.max(1, Math.round(seconds))} s`
  return seconds < 5400 ? `${Math.round(seconds / 60)} min` : `${(seconds / 3600).toFixed(1)} h`
}
