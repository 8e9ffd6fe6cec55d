/** @file `aludel sweep`: one method on different shares of the data, chosen from either end or at random, with the accuracies of each. */
import { join, resolve } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import { exists } from '../../data/file-bytes.js'
import { AludelError, expected } from '../../errors.js'
import { checkNameable } from '../../experiment/run-data.js'
import { readSweep, type SweepRecord, sweepFile } from '../../experiment/sweep-record.js'
import type { DistillSettings, DynamicPruning, ProtocolName } from '../../experiment/types.js'
import { writeSweepReport } from '../../report/index.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, inPlace, openOptions, specificationOf } from '../data-options.js'
import { dynamicPruning, given, nameList, nonEmptyPath, type OptionText, positiveNumber, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import type { SweepOrder } from '../sweep/cells.js'
import { runSweep } from '../sweep/run-sweep.js'
import type { SweepSettings } from '../sweep/settings.js'
import { summarise, tableLines } from '../sweep/table.js'
import {
  addDeviceOptions,
  addMethodOptions,
  addWhiteningOptions,
  type DeviceOptions,
  methodOptionsOf,
  protocolOption,
  resumableDeviceOptions,
  seedOption,
  type WhiteningOptions,
  zcaOf,
} from './shared-options.js'

interface Options extends Omit<DistillSettings, 'dynamic' | 'network'>, DeviceOptions, DataOptions, WhiteningOptions {
  readonly network?: string
  readonly dynamic?: DynamicPruning | 'off'
  readonly set?: Readonly<Record<string, OptionText>>
  readonly keep: number[]
  readonly order: SweepOrder[]
  readonly kind: string
  readonly scores?: string
  readonly scoreNetwork?: string
  readonly scoreRuns?: number
  readonly scoreEpochs?: number
  readonly repeats: number
  readonly networks: string[]
  readonly trained: number
  readonly protocol?: ProtocolName
  readonly epochs?: number
  readonly evaluationAugment?: string
  readonly inference: 'auto' | 'onnx' | 'engine'
  readonly checkpointEvery?: number
  readonly experts?: string
  readonly mask?: string
  readonly out?: string
  readonly resume?: string
}

const resumable = ['resume', 'cache', ...resumableDeviceOptions]
const orders: readonly string[] = ['asc', 'desc', 'random']

export function addSweep(program: Command, context: CliContext): void {
  const command = program.command('sweep').description('distil different shares of a data set, chosen by score or at random, and compare')
  addMethodOptions(command)
  command.option('--experts <dir>', 'trained experts, for methods that match them; they saw all images, so only --keep 1', nonEmptyPath)
  command.option('--image-lr <x>', "learning rate of the pixels (default: the preset's)", positiveNumber)
  addWhiteningOptions(command)
  command
    .option('--dynamic <rule>', 'dynamic pruning in every run, as in distill', dynamicPruning)
    .option(
      '--keep <shares>',
      'shares of the images that stay, separated by commas; 1 is a run on all',
      shareList,
      [0.1, 0.2, 0.4, 0.6, 0.8, 1],
    )
    .option('--order <orders>', 'what stays: asc, desc, random', orderList, ['asc', 'desc', 'random'])
    .option('--kind <score>', 'score of asc and desc', 'loss')
    .option('--scores <path>', 'directory or file of the scores (default: networks are trained to score, once)', nonEmptyPath)
    .option('--score-network <name>', 'network that scores (default: convnet)')
    .option('--score-runs <n>', 'networks that scores are means over (default: 5)', wholeNumber(1))
    .option('--score-epochs <n>', 'epochs that each of them trains (default: 5)', wholeNumber(1))
    .option('--repeats <n>', 'runs for each share and order, with seeds that count on', wholeNumber(1), 3)
    .option(
      '--networks <names>',
      'networks that each distilled set is measured with, or pools such as unseen, separated by commas',
      nameList,
      ['convnet'],
    )
    .option('--trained <n>', 'networks trained from scratch per name, on each distilled set', wholeNumber(1), 5)
    .addOption(protocolOption())
    .option('--epochs <n>', "training epochs of them (default: the protocol's 1000)", wholeNumber(1))
    .option('--evaluation-augment <policy>', 'augmentation while they train (default: dsa)')
    .addOption(
      new Option('--inference <who>', 'who computes the test accuracies: ONNX Runtime or the engine')
        .choices(['auto', 'onnx', 'engine'])
        .default('auto'),
    )
    .option('--checkpoint-every <n>', 'steps between checkpoints of a run (default: by time)', wholeNumber(1))
    .addOption(seedOption())
    .option('--out <dir>', 'directory of the sweep', nonEmptyPath)
    .option('--resume <dir>', 'go on with the sweep in this directory, with its own settings', nonEmptyPath)
  addDataOptions(command, 'training data, and test images of the same data set')
  addDeviceOptions(command).action((options: Options) =>
    options.resume === undefined ? sweep(options, command, context) : resume(options.resume, options, command, context),
  )
}

function shareList(text: string): number[] {
  const shares = text.split(',').map((part) => (part.trim() === '' ? Number.NaN : Number(part)))
  if (!shares.every((share) => share > 0 && share <= 1)) throw new InvalidArgumentError('expected shares in (0, 1] separated by commas.')
  if (new Set(shares).size !== shares.length) throw new InvalidArgumentError('a share is given twice.')
  return shares
}

function orderList(text: string): SweepOrder[] {
  const list = nameList(text)
  if (!list.every((order) => orders.includes(order)) || new Set(list).size !== list.length)
    throw new InvalidArgumentError('expected different ones of asc, desc, random.')
  return list as SweepOrder[]
}

async function sweep(options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const { data, out, keep, order, kind, scores, repeats, seed = 0, checkpointEvery } = options
  if (data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if (out === undefined) throw new AludelError('invalid_option', "required option '--out <dir>' not specified")
  if (options.subset !== undefined) throw expected('invalid_option', '--subset', 'none: a sweep chooses its own', options.subset)
  if (await exists(join(out, sweepFile)))
    throw new AludelError('invalid_option', `${out}: holds a sweep already; continue it with --resume, or give another --out`)
  checkNameable(out)
  if (options.experts !== undefined && keep.some((share) => share < 1)) {
    const why = 'experts match what they saw, which is all images'
    throw expected('invalid_option', '--keep', `1 beside --experts: ${why}`, keep.join(','))
  }
  const byScore = order.some((one) => one !== 'random') && keep.some((share) => share < 1)
  const scoring = given({ network: options.scoreNetwork, runs: options.scoreRuns, epochs: options.scoreEpochs })
  const scoresItself = byScore && scores === undefined
  if (!scoresItself && Object.keys(scoring).length > 0)
    throw expected('invalid_option', '--score-network, --score-runs, --score-epochs', 'none where nothing is scored', Object.keys(scoring))
  const { method, ipc, iterations, realBatch, imageLr, init, augment, network, preset, dynamic } = options
  const general = { iterations, realBatch, imageLr, init, augment, network, preset, methodOptions: methodOptionsOf(options) }
  const { networks, trained, protocol, epochs, evaluationAugment, inference } = options
  const settings: SweepSettings = {
    data: inPlace(specificationOf(data, options)),
    ...{ keep, orders: order, repeats, seed, kind },
    distill: { method, ipc, ...given({ ...general, dynamic: dynamic === 'off' ? undefined : dynamic }) } as SweepSettings['distill'],
    evaluate: { networks, repeats: trained, inference, ...given({ protocol, epochs, augment: evaluationAugment }) },
    scores: byScore && scores !== undefined ? resolve(scores) : null,
    scoring: scoresItself ? scoring : null,
    zca: zcaOf(options) ?? null,
    experts: options.experts === undefined ? null : resolve(options.experts),
    checkpointEvery: checkpointEvery ?? null,
    isa: null,
  }
  await conclude(out, await runSweep({ dir: resolve(out), settings, context, output, chosen: options, ...openOptions(options) }), output)
}

async function resume(dir: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const wrong = Object.keys(options).find((name) => !resumable.includes(name) && command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined) {
    const flag = `--${wrong.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)}`
    throw new AludelError('invalid_option', `${flag}: a sweep continues with its own settings; leave it out beside --resume`)
  }
  const record = await readSweep(dir)
  const settings = record.settings as unknown as SweepSettings
  const job = { dir: resolve(dir), settings, record, context, output, chosen: options, ...openOptions(options) }
  await conclude(dir, record.status === 'done' ? record : await runSweep(job), output)
}

async function conclude(dir: string, record: SweepRecord, output: Output): Promise<void> {
  const table = summarise(record)
  const report = await writeSweepReport(dir)
  for (const line of tableLines(table)) output.line(line)
  output.line(`report in ${report}`)
  output.value({ sweep: dir, status: record.status, cells: record.cells.length, table, report })
}
