/** @file `aludel pretrain`: a network trained on images without labels, kept as a teacher with a report of what it is worth. */
import { type Command, Option } from 'commander'
import { AludelError } from '../../errors.js'
import type { PretrainedTeacher } from '../../pretrain/pretrain.js'
import { type Objective, objectives } from '../../pretrain/recipes.js'
import { holdsPretraining, readPretrainRecord } from '../../pretrain/record.js'
import type { PretrainOptions, PretrainRecord } from '../../pretrain/settings.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, type DataOptions, inPlace, openOptions, specificationOf } from '../data-options.js'
import { amount, flagOf, given, nonEmptyPath, numberList, positiveNumber, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import { printQuality } from '../quality-lines.js'
import { withPretraining } from '../run-pretraining.js'
import { openSameDevice } from '../same-device.js'
import { addDeviceOptions, type DeviceOptions, deviceOf, resumableDeviceOptions, seedOption } from './shared-options.js'

interface Options extends DataOptions, DeviceOptions {
  readonly objective?: Objective
  readonly network?: string
  readonly epochs?: number
  readonly batch?: number
  readonly lr?: number
  readonly weightDecay?: number
  readonly warmupEpochs?: number
  readonly projector?: number[]
  readonly predictor?: number[]
  readonly temperature?: number
  readonly checkpointSeconds?: number
  readonly seed: number
  readonly out?: string
  readonly resume?: string
}

/** What may stand beside --resume: where things are. */
const resumable = ['resume', 'data', 'cache', 'checkpointSeconds', ...resumableDeviceOptions]

export function addPretrain(program: Command, context: CliContext): void {
  const command = program
    .command('pretrain')
    .description('train a network on images without their labels, as a teacher for distillation')
    .addOption(new Option('--objective <name>', 'what it is trained by (default: barlow-twins)').choices(objectives))
    .option('--network <name>', 'network whose last layer is left out (default: resnet18-krr)')
    .option('--epochs <n>', 'epochs (default: 1000)', wholeNumber(1))
    .option('--batch <n>', 'images of a step, each seen twice (default: 256)', wholeNumber(2))
    .option('--lr <x>', 'learning rate of a batch of 256, others in proportion (default: of the objective)', positiveNumber)
    .option('--weight-decay <x>', 'weight decay (default: of the objective)', amount)
    .option('--warmup-epochs <n>', 'epochs of linear warm-up (default: 10, a tenth of shorter trainings)', wholeNumber(0))
    .option('--projector <widths>', 'widths of its layers, by commas (default: of the objective)', numberList)
    .option('--predictor <widths>', "widths of the layers of BYOL's predictor (default: 4096,256)", numberList)
    .option('--temperature <x>', 'of SimCLR (default: 0.2)', positiveNumber)
    .option('--checkpoint-seconds <s>', 'seconds between two checkpoints (default: 120)', amount)
    .addOption(seedOption())
    .option('--out <dir>', 'directory of the teacher', nonEmptyPath)
    .option(
      '--resume <dir>',
      `go on with the training in this directory; ${resumable.slice(1).map(flagOf).join(', ')} may stand beside it`,
      nonEmptyPath,
    )
  addDataOptions(command, 'data set whose training images are trained on; labels are read for the report alone')
  addDeviceOptions(command).action(async (options: Options) =>
    options.resume === undefined ? begin(options, command, context) : resume(options.resume, options, command, context),
  )
}

async function begin(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { out } = options
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if (out === undefined) throw new AludelError('invalid_option', "required option '--out <dir>' not specified")
  if (await holdsPretraining(out))
    throw new AludelError('invalid_option', `${out}: holds a training already; continue it with --resume ${out}, or give another directory`)
  const specification = inPlace(specificationOf(options.data, options))
  const train = await library.openDataset(specification, 'train', openOptions(options))
  const { objective, network, epochs, batch, lr, weightDecay, warmupEpochs, projector, predictor, temperature, seed, checkpointSeconds } =
    options
  const settings = given({
    objective,
    network,
    epochs,
    batch,
    lr,
    weightDecay,
    warmupEpochs,
    projector,
    predictor,
    temperature,
    checkpointSeconds,
  })
  const device = await library.openDevice(deviceOf(options))
  try {
    const teacher = await withPretraining(output, train, out, (hooks) =>
      library.pretrain(out, train, { ...settings, seed, specification, ...hooks, device }),
    )
    conclude(teacher, output)
  } finally {
    await device.close()
  }
}

async function resume(dir: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const wrong = Object.keys(options).find((name) => !resumable.includes(name) && command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined)
    throw new AludelError('invalid_option', `${flagOf(wrong)}: a training continues with its own settings; leave it out beside --resume`)
  const record = await readPretrainRecord(dir)
  const named = options.data ?? record.specification
  if (named === null) throw new AludelError('invalid_option', `${dir}: its record does not name its data; give --data`)
  const train = await library.openDataset(completedBy(named, record.specification ?? undefined), 'train', openOptions(options))
  const device = await openSameDevice(library, options, record.arithmetic, 'training')
  try {
    const teacher = await withPretraining(output, train, dir, (hooks) =>
      library.pretrain(dir, train, { ...settingsOf(record), ...given({ checkpointSeconds: options.checkpointSeconds }), ...hooks, device }),
    )
    conclude(teacher, output)
  } finally {
    await device.close()
  }
}

/** The options that a training was begun with. */
function settingsOf({ objective, network, config, specification }: PretrainRecord): Omit<PretrainOptions, 'device'> {
  const { flip: _, predictor, ...rest } = config
  return {
    ...(rest as Omit<PretrainOptions, 'device'>),
    ...(objective === 'byol' && { predictor: predictor as number[] }),
    ...{ objective: objective as Objective, network },
    ...(specification !== null && { specification }),
  }
}

function conclude({ dir, record, sha256, quality }: PretrainedTeacher, output: Output): void {
  printQuality(quality, output)
  const { objective, network, dim, losses, spreads } = record
  output.line(`${dir}: ${objective}, ${network} without its last layer, ${dim} numbers an image, sha256 ${sha256}`)
  output.value({ out: dir, objective, network, dim, sha256, epochs: losses.length, loss: losses.at(-1), spread: spreads.at(-1), quality })
}
