/** @file `aludel transfer RUN`: networks pretrained on a set of representations, measured on labelled data sets beside the baselines. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { checkLabelled } from '../../data/labels.js'
import { parseSpecification } from '../../data/specification.js'
import { expected } from '../../errors.js'
import { loadRepresentationSet } from '../../experiment/representation-set.js'
import { openCells, type TransferCell } from '../../transfer/cells.js'
import type { SettingsChange, TransferProgress } from '../../transfer/index.js'
import { protocols, type TransferProtocol } from '../../transfer/settings.js'
import { type TransferSource, transferSources } from '../../transfer/source.js'
import { type TransferRow, transferRows } from '../../transfer/summary.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { onInterruptibleDevice } from '../interruptible-device.js'
import type { EncoderChoice } from '../library.js'
import { factor, flagOf, given, nameList, nonEmptyPath, numberList, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import { Progress } from '../progress.js'
import { inResultDirectory } from '../result-directory.js'
import { addDeviceOptions, type DeviceOptions, seedOption } from './shared-options.js'

interface Options extends DataOptions, DeviceOptions {
  readonly teacher?: string
  readonly teacherOutput?: string
  readonly mean?: number[]
  readonly std?: number[]
  readonly scale?: number
  readonly targets: readonly string[]
  readonly networks: string[]
  readonly protocol: TransferProtocol[]
  readonly sources?: TransferSource[]
  readonly kdTeacher?: NetworkFile
  readonly repeats: number
  readonly set?: SettingsChange
  readonly trainImages?: number
  readonly testImages?: number
  readonly seed: number
  readonly out?: string
}

interface NetworkFile {
  readonly network: string
  readonly file: string
}

/** Data sets separated by commas; a part KEY=VALUE belongs to the one before. */
export function targetList(text: string, before: readonly string[] = []): string[] {
  const targets: string[] = []
  for (const part of text.split(',')) {
    if (part === '') throw new InvalidArgumentError('expected data sets NAME:PATH separated by commas.')
    if (/^[a-z-]+=/.test(part) && targets.length > 0) targets[targets.length - 1] += `,${part}`
    else targets.push(part)
  }
  return [...before, ...targets]
}

const namesAmong =
  <T extends string>(all: readonly T[]) =>
  (text: string): T[] =>
    nameList(text).map((name) => {
      if (!(all as readonly string[]).includes(name)) throw new InvalidArgumentError(`expected names among ${all.join(', ')}.`)
      return name as T
    })

/** 'PART.KEY=VALUE', such as finetune.iterations=500. */
function settingChange(text: string, before: SettingsChange = {}): SettingsChange {
  const [, part, key, value] = /^(\w+)\.(\w+)=(.+)$/.exec(text) ?? []
  if (part === undefined) throw new InvalidArgumentError('expected PART.KEY=VALUE, such as finetune.iterations=500.')
  const number = Number(value)
  const own = (before as Record<string, object>)[part]
  return { ...before, [part]: { ...own, [key]: Number.isNaN(number) ? value : number } }
}

function networkFile(text: string): NetworkFile {
  const [, network, file] = /^([^:]+):(.+)$/.exec(text) ?? []
  if (network === undefined) throw new InvalidArgumentError('expected NETWORK:FILE, a name of the registry and a safetensors file.')
  return { network, file }
}

export function addTransfer(program: Command, context: CliContext): void {
  const command = program
    .command('transfer')
    .description('pretrain networks on a set of representations and measure them on labelled data sets, beside the baselines')
    .argument('<run>', 'run directory, or the directory of a saved set of representations')
    .requiredOption('--targets <list>', 'data sets NAME:PATH separated by commas; repeatable', targetList)
    .option('--networks <list>', 'networks of the registry', nameList, ['conv-bn'])
    .addOption(
      new Option('--protocol <list>', `${protocols.join(', ')}, separated by commas`)
        .argParser(namesAmong(protocols))
        .default(['finetune']),
    )
    .option(
      '--sources <list>',
      `what networks are pretrained on: ${transferSources.join(', ')} (default: those there is data for, but full)`,
      namesAmong(transferSources),
    )
    .option('--kd-teacher <network:file>', 'for kd: a classifier of the targets, its weights in a safetensors file', networkFile)
    .option('--repeats <n>', 'networks of each kind', wholeNumber(1), 3)
    .option('--set <part.key=value>', 'a setting of pretrain, finetune, linear, probe or kd; repeatable', settingChange)
    .option('--train-images <n>', 'most training images of each target (default: all)', wholeNumber(1))
    .option('--test-images <n>', 'most test images of each target (default: all)', wholeNumber(1))
    .option('--out <dir>', 'where results are kept, and found again (default: the run)', nonEmptyPath)
    .option(
      '--teacher <path>',
      "the set's teacher, for random, kmeans and full: an ONNX model or a directory of aludel pretrain",
      nonEmptyPath,
    )
    .option('--teacher-output <name>', 'with an ONNX teacher: the output that is taken (default: features, or the only one)')
    .option(
      '--mean <numbers>',
      "with an ONNX teacher: mean per channel of its input's normalisation (default: that of its metadata)",
      numberList,
    )
    .option('--std <numbers>', 'with an ONNX teacher: standard deviation per channel', numberList)
    .option(
      '--scale <factor>',
      'with an ONNX teacher: what bytes are multiplied by before that, a number or 1/255 (default: 1/255)',
      factor,
    )
    .addOption(seedOption())
  addDataOptions(command, 'the real images that the set was made from, for random, kmeans and full')
  addDeviceOptions(command).action((run: string, options: Options) => transferCommand(run, options, command, context))
}

async function transferCommand(run: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { networks, protocol, sources, kdTeacher, repeats, set: settings, trainImages, testImages, seed, out = run } = options
  const encoder = encoderOf(options)
  const set = await loadRepresentationSet(run)
  const data =
    options.data === undefined
      ? undefined
      : await library.openDataset(specificationOf(options.data, options), 'train', openOptions(options))
  const targets = await openTargets(options.targets, options, context)
  const bar = new Bar(output)
  const stopping = () =>
    output.notice('\nstopping; what is measured is kept, and the same command goes on from there (ctrl-c again: leave at once)')
  await onInterruptibleDevice(library, options, stopping, async ({ device, signal }) => {
    const image = set.shape.slice(1) as unknown as [number, number, number]
    const classifier = kdTeacher && (await library.loadNetwork(kdTeacher.file, kdTeacher.network, image, targets[0].train.classes.length))
    const measure = async () =>
      library.transfer(set, {
        ...{ device, targets, networks, protocols: protocol, repeats, seed, signal, store: await openCells(out) },
        ...given({ data, encoder, sources, settings, trainImages, testImages }),
        ...(classifier && kdTeacher && { kdTeacher: { network: kdTeacher.network, tensors: classifier } }),
        onProgress: (progress) => bar.update(progress),
      })
    conclude(await inResultDirectory(out, measure).finally(() => bar.finish()), output)
  })
}

/** Throws `invalid_option` unless the real images and their teacher are given together, and for what goes with a teacher alone. */
function encoderOf({ data, teacher, teacherOutput, mean, std, scale }: Options): EncoderChoice | undefined {
  if ((data === undefined) !== (teacher === undefined))
    throw expected('invalid_option', 'transfer', '--data and --teacher together', data === undefined ? '--teacher alone' : '--data alone')
  const normalization = given({ mean, std, scale })
  if (teacher !== undefined)
    return { path: teacher, ...given({ output: teacherOutput }), ...(Object.keys(normalization).length > 0 && { normalization }) }
  const lone = Object.entries({ teacherOutput, mean, std, scale }).find(([, value]) => value !== undefined)
  if (lone) throw expected('invalid_option', flagOf(lone[0]), '--teacher beside it', 'none')
  return undefined
}

/** Both splits of each, under the name of the data set, or all of the specification where two have the same. */
async function openTargets(specifications: readonly string[], options: Options, { library }: CliContext) {
  const names = specifications.map((one) => parseSpecification(one).name)
  const targets = []
  for (const [i, one] of specifications.entries()) {
    const name = names.filter((other) => other === names[i]).length > 1 ? one : names[i]
    if (specifications.indexOf(one) !== i) throw expected('invalid_option', '--targets', 'each data set once', one)
    const train = await library.openDataset(one, 'train', openOptions(options))
    checkLabelled(`transfer to '${name}'`, train)
    const test = await library.openDataset(one, 'test', openOptions(options))
    targets.push({ name, train, test })
  }
  return targets
}

/** One bar for each pretraining and each protocol of a cell. */
class Bar {
  readonly #output: Output
  #bar: Progress | undefined
  #of = ''

  constructor(output: Output) {
    this.#output = output
  }

  update({ cells, total, cell, what, step, steps, loss }: TransferProgress): void {
    const of = `${cells + 1}/${total} ${cell.network} ${cell.source}${what === 'pretrain' || what === 'encode' ? '' : ` -> ${cell.target}`} ${what}`
    if (of !== this.#of) {
      this.finish()
      this.#of = of
      this.#bar = new Progress({ label: of, total: steps, stream: this.#output.stderr })
    }
    this.#bar?.update(step, loss === null ? [] : [`loss ${loss.toPrecision(4)}`])
  }

  finish(): void {
    this.#bar?.finish()
    this.#bar = undefined
  }
}

function conclude(cells: readonly TransferCell[], output: Output): void {
  const rows = transferRows(cells)
  for (const line of tableOf(rows)) output.line(line)
  output.value({ rows, cells })
}

/** Columns are sources; accuracy in per cent, mean ± standard deviation, with the 95 % interval of the mean. */
function tableOf(rows: readonly TransferRow[]): string[] {
  const sources = transferSources.filter((source) => rows.some(({ accuracies }) => accuracies.some((one) => one.source === source)))
  const head = ['target', 'protocol', 'network', ...sources]
  const body = rows.map(({ target, protocol, network, accuracies }) => [
    ...[target, protocol, network],
    ...sources.map((source) => {
      const own = accuracies.find((one) => one.source === source)
      if (!own) return '–'
      const interval = own.interval ? ` [${own.interval.map((end) => end.toFixed(1)).join(', ')}]` : ''
      return `${own.mean.toFixed(2)} ± ${own.std.toFixed(2)}${interval}`
    }),
  ])
  const all = [head, ...body]
  const widths = head.map((_, column) => Math.max(...all.map((row) => row[column].length)))
  return all.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  )
}
