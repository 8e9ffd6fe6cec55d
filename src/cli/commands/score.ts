/** @file `aludel score`: scores of the training images by networks trained on the spot, or by a user's checkpoint or ONNX model, into a directory. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { datasetStream } from '../../data/image-stream.js'
import { AludelError, expected } from '../../errors.js'
import { exportBilpScores } from '../../prune/index.js'
import { writeScoreReport } from '../../report/index.js'
import type { EpochWindow } from '../../scores/epoch-window.js'
import { type ScoreName, scoreNames } from '../../scores/registry.js'
import { readKind, readRecord, type ScoresRecord } from '../../scoring/score-directory.js'
import { tidyScores } from '../../scoring/work-directory.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, inPlace, openOptions, specificationOf } from '../data-options.js'
import { flagOf, given, nameList, nonEmptyPath, positiveNumber, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import { withScoring } from '../run-scoring.js'
import { openSameDevice } from '../same-device.js'
import { reportScores } from '../score-report.js'
import {
  addModelOptions,
  checkWithoutModel,
  concludeModel,
  type ModelScoreOptions,
  resumeModelCommand,
  scoreModelCommand,
} from './score-model.js'
import { addDeviceOptions, deviceOf, resumableDeviceOptions, seedOption } from './shared-options.js'

interface Options extends ModelScoreOptions {
  readonly kind?: string[]
  readonly out?: string
  readonly resume?: string
  readonly network?: string
  readonly runs?: number
  readonly epochs?: number
  readonly lr?: number
  readonly augment?: string
  readonly window?: WindowText
  readonly epoch?: number
  readonly neverLearned?: 'presentations' | 'infinity' | 'events'
  readonly features?: true
  readonly saveNetworks?: true
  readonly checkpoint?: string[]
  readonly allowChance?: true
  readonly exportBilp?: { readonly dataset: string; readonly indicator: string }
  readonly seed: number
}

/** What may stand beside --resume: where things are, and what does not change the scores. */
const resumable = ['resume', 'data', 'cache', ...resumableDeviceOptions, 'allowChance', 'exportBilp']

type WindowText = (epochs: number) => EpochWindow

/** 'init:K', 'converge:K' or 'FROM-TO' in epochs counted from 1, both included. */
function windowText(text: string): WindowText {
  const [, rule, count] = /^(init|converge):(\d+)$/.exec(text) ?? []
  if (rule === 'init') return () => ({ from: 0, to: Number(count) })
  if (rule === 'converge') return (epochs) => ({ from: epochs - Number(count), to: epochs })
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? []
  if (from === undefined) throw new InvalidArgumentError('expected init:K, converge:K or FROM-TO in epochs.')
  return () => ({ from: Number(from) - 1, to: Number(to) })
}

function bilpName(text: string): { dataset: string; indicator: string } {
  const [, dataset, indicator] = /^(.+)_([^_]+)$/.exec(text.replace(/\.json$/, '')) ?? []
  if (dataset === undefined) throw new InvalidArgumentError('expected {Dataset}_{Indicator}, such as CIFAR10_LossConverge.')
  return { dataset, indicator }
}

export function addScore(program: Command, context: CliContext): void {
  const command = program
    .command('score')
    .description('score the training images by networks trained on them or by an ONNX model, for `aludel prune`')
    .option('--kind <names>', `scores, separated by commas: ${scoreNames.join(', ')} (default: loss)`, nameList)
    .option('--out <dir>', 'directory of the scores', nonEmptyPath)
    .option(
      '--resume <dir>',
      `continue the scoring in this directory; ${resumable.slice(1).map(flagOf).join(', ')} may stand beside it`,
      nonEmptyPath,
    )
    .option('--network <name>', 'network that scores (default: convnet)')
    .option('--runs <n>', 'networks trained from scratch, over which scores are averaged (default: 5)', wholeNumber(1))
    .option('--epochs <n>', 'passes over the images of each (default: 5)', wholeNumber(1))
    .option('--lr <x>', 'learning rate (default: 0.01)', positiveNumber)
    .option('--augment <policy>', 'augmentation while training; scores are of clean images (default: none)')
    .option('--window <epochs>', 'epochs that loss is the mean over: init:K, converge:K, or FROM-TO (default: all)', windowText)
    .option('--epoch <n>', 'epoch, from 1, after which el2n, margins and entropies are taken (default: the last)', wholeNumber(1))
    .option('--never-learned <rule>', 'forgetting of images never right: presentations, infinity or events (default: presentations)')
    .option('--features', "also keep the last network's features, for orders that choose sets")
    .option('--save-networks', 'also keep the weights of every network')
    .option('--checkpoint <file...>', 'score with these weights of --network (safetensors) in place of training')
    .option('--allow-chance', 'go on where a network is hardly better than chance')
    .option('--export-bilp <name>', 'also write the loss as {Dataset}_{Indicator}.json, into the directory', bilpName)
    .addOption(seedOption())
  addModelOptions(command)
  addDataOptions(command, 'data set whose training images are scored')
  addDeviceOptions(command).action(async (options: Options) => {
    if (options.resume !== undefined) return resume(options.resume, options, command, context)
    if (options.model === undefined) return score(options, command, context)
    checkExport(options, options.kind ?? ['loss'])
    const [out, output] = [options.out as string, outputOf(context, command)]
    const record = await scoreModelCommand(options, command, context)
    await conclude(out, record, options, output, await modelReport(out, record, context, output))
  })
}

async function score(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  checkWithoutModel(options)
  const { kind = ['loss'], network, runs, lr, augment, neverLearned, seed, features, allowChance, saveNetworks, checkpoint, out } = options
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if (out === undefined) throw new AludelError('invalid_option', "required option '--out <dir>' not specified")
  checkExport(options, kind)
  const data = inPlace(specificationOf(options.data, options))
  const train = await library.openDataset(data, 'train', openOptions(options))
  const epochs = options.epochs ?? 5
  const settings = {
    ...{ kinds: kind as ScoreName[], seed, specification: data },
    ...given({ network, runs, epochs: options.epochs, lr, augment, neverLearned, features, allowChance, saveNetworks }),
    ...given({ window: options.window?.(epochs), epoch: options.epoch && options.epoch - 1 }),
  }
  const device = await library.openDevice(deviceOf(options))
  try {
    const weights = checkpoint && (await library.loadNetworks(checkpoint, network ?? 'convnet', train))
    const written = await withScoring(output, train, out, (hooks) =>
      library.scoreToDirectory(out, train, { ...settings, ...hooks, device, ...(weights && { weights, files: checkpoint }) }),
    )
    await conclude(out, written.record, options, output, await writeScoreReport(out, { data: datasetStream(train) }))
  } finally {
    await device.close()
  }
}

async function resume(dir: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const wrong = Object.keys(options).find((name) => !resumable.includes(name) && command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined)
    throw new AludelError('invalid_option', `${flagOf(wrong)}: a scoring continues with its own settings; leave it out beside --resume`)
  const record = await readRecord(dir)
  checkExport(options, record.kinds)
  if (record.status === 'done') {
    await tidyScores(dir)
    return conclude(dir, record, options, output)
  }
  if (record.source.kind === 'model') {
    const done = await resumeModelCommand(dir, options, command, context)
    return conclude(dir, done, options, output, await modelReport(dir, done, context, output))
  }
  const { allowChance } = options
  const device = await openSameDevice(library, options, record.source, 'scoring')
  try {
    const train = await openAgain(dir, record, options, context)
    const { source } = record
    const weights = source.kind === 'checkpoint' && (await library.loadNetworks(source.files as string[], source.network as string, train))
    const written = await withScoring(output, train, dir, (hooks) =>
      library.resumeScoring(dir, train, { ...hooks, device, ...given({ allowChance }), ...(weights && { weights }) }),
    )
    const reached = written?.record ?? (await readRecord(dir))
    await conclude(dir, reached, options, output, await writeScoreReport(dir, { data: datasetStream(train) }))
  } finally {
    await device.close()
  }
}

function openAgain(dir: string, { specification }: ScoresRecord, options: Options, { library }: CliContext): Promise<Dataset> {
  const named = options.data ?? specification
  if (named === null) throw new AludelError('invalid_option', `${dir}: its record does not name its data; give --data`)
  return library.openDataset(completedBy(named, specification ?? undefined), 'train', openOptions(options))
}

function checkExport({ exportBilp }: Options, kinds: readonly string[]): void {
  if (exportBilp && !kinds.includes('loss')) throw expected('invalid_option', '--export-bilp', 'loss among the kinds', kinds.join(', '))
}

/** The report of what a model has scored; of a shard there is none. */
const modelReport = async (dir: string, record: ScoresRecord, { library }: CliContext, output: Output): Promise<string | undefined> =>
  record.shard === null ? reportScores(dir, { library, output, record, options: {} }) : undefined

/** Tells what was scored; of scores that were there already no report is written. */
async function conclude(dir: string, record: ScoresRecord, { exportBilp }: Options, output: Output, report?: string): Promise<void> {
  const { kinds, accuracies, seconds, features } = record
  const exported =
    exportBilp && record.shard === null && (await exportBilpScores(dir, { ...exportBilp, values: (await readKind(dir, 'loss')).values }))
  const networks =
    accuracies.length === 0 ? '' : `; networks have ${accuracies.map((one) => `${one.toFixed(1)} %`).join(', ')} of these images right`
  if (record.source.kind === 'model') concludeModel(dir, record, output)
  else
    output.line(
      `${dir}: ${kinds.join(', ')}${features ? ' and features' : ''} of ${record.data.samples} images in ${seconds.toFixed(1)} s${networks}`,
    )
  if (exported) output.line(`${exported}: loss, as BiLP reads it`)
  if (report) output.line(`report in ${report}`)
  output.value({
    out: dir,
    status: record.status,
    kinds,
    features,
    images: record.data.samples,
    accuracies,
    perClass: record.perClass,
    seconds,
    unreadable: record.unreadable.length,
    ...(record.shard && { shard: record.shard }),
    ...(exported && { exported }),
    ...given({ report }),
  })
}
