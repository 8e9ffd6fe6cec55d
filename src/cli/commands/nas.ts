/** @file `aludel nas RUN`: orders a space of networks on a distilled set, and says how far that order is the one of all real images. */
import { type Command, InvalidArgumentError, Option } from 'commander'
import { isRecord } from '../../arguments.js'
import { readText } from '../../data/file-bytes.js'
import { checkLabelled } from '../../data/labels.js'
import { AludelError, expected } from '../../errors.js'
import type { LabelKind, ProtocolName } from '../../experiment/types.js'
import { type NasBaseline, type NasProgress, nasBaselines } from '../../nas/options.js'
import type { NasPlan } from '../../nas/plan.js'
import { openNasStore, readNasStore } from '../../nas/record.js'
import type { NasSpace } from '../../nas/space.js'
import type { NasResult, NasSourceResult } from '../../nas/summary.js'
import { type Activation, activations, type Pooling, poolings } from '../../nn/blocks.js'
import { type Norm, norms } from '../../nn/normalization.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, openOptions } from '../data-options.js'
import { onInterruptibleDevice } from '../interruptible-device.js'
import { given, nameList, nonEmptyPath, positiveNumber, wholeNumber } from '../options.js'
import { formatClock, Progress } from '../progress.js'
import { inResultDirectory } from '../result-directory.js'
import { formatAccuracy } from '../run-evaluation.js'
import { openRun } from './evaluate.js'
import { addDeviceOptions, type DeviceOptions, labelsOption, protocolOption, seedOption } from './shared-options.js'

interface Options extends DataOptions, DeviceOptions, NasSpace {
  readonly space?: string
  readonly sample?: number
  readonly baseline: NasBaseline[] | false
  readonly repeats: number
  readonly fullRepeats: number
  readonly protocol?: ProtocolName
  readonly labels?: LabelKind
  readonly epochs?: number
  readonly fullEpochs: number
  readonly augment?: string
  readonly top: number
  readonly plan?: true
  readonly out?: string
  readonly seed: number
}

const counts = (text: string): number[] => nameList(text).map(wholeNumber(1))

/** Names separated by commas; 'leaky_relu' is 'leakyrelu'. */
const namesAmong =
  <T extends string>(all: readonly T[]) =>
  (text: string): T[] =>
    nameList(text).map((name) => {
      const known = all.find((one) => one === name || one === name.replaceAll('_', ''))
      if (known === undefined) throw new InvalidArgumentError(`expected names among ${all.join(', ')}.`)
      return known
    })

export function addNas(program: Command, context: CliContext): void {
  const command = program
    .command('nas')
    .description('order a space of ConvNets on a distilled set, and compare the order with that of training on all real images')
    .argument('<run>', 'run directory, or the directory of a saved set')
    .option('--space <file>', 'a JSON object of the axes below in place of the options', nonEmptyPath)
    .option('--width <list>', 'channels of every block (default: 32,64,128,256)', counts)
    .option('--depth <list>', 'blocks (default: 1,2,3,4)', counts)
    .option('--norm <list>', `${norms.join(', ')} (default: all)`, namesAmong<Norm>(norms))
    .option('--activation <list>', `${activations.join(', ')} (default: all)`, namesAmong<Activation>(activations))
    .option('--pooling <list>', `${poolings.join(', ')} (default: all)`, namesAmong<Pooling>(poolings))
    .option('--sample <n>', 'networks that are trained on all real images too (default: 20, or all of a smaller space)', wholeNumber(2))
    .addOption(
      new Option('--baseline <names>', `what the sample is trained on besides: ${nasBaselines.join(', ')}`)
        .argParser(namesAmong(nasBaselines))
        .default([...nasBaselines]),
    )
    .option('--no-baseline', 'compare the distilled set only')
    .option('--repeats <n>', 'trainings of each network on the distilled set and on the baselines', wholeNumber(1), 3)
    .option('--full-repeats <n>', 'trainings of each sampled network on all real images', wholeNumber(1), 1)
    .addOption(protocolOption())
    .addOption(labelsOption())
    .option('--epochs <n>', "epochs over the distilled set (default: the protocol's)", wholeNumber(1))
    .option('--full-epochs <n>', 'epochs over all real images', wholeNumber(1), 20)
    .option('--augment <policy>', "augmentation while training (default: the protocol's, or dsa)")
    .option('--top <share>', 'share of the sample that the correlations at the top are of', positiveNumber, 0.2)
    .option('--plan', 'say what would be trained, how long it takes and what it needs, and end')
    .option('--out <dir>', 'where results are kept, and found again (default: the run)', nonEmptyPath)
    .addOption(seedOption())
  addDataOptions(command, 'the real images that the set was made from (default: those of the run)')
  addDeviceOptions(command).action((run: string, options: Options) => nasCommand(run, options, command, context))
}

async function nasCommand(run: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { sample, baseline, repeats, fullRepeats, protocol, labels, epochs, fullEpochs, augment, top, seed, out = run } = options
  const space = await spaceOf(options)
  const { set, data: specification } = await openRun(run, options)
  const data = await library.openDataset(specification, 'train', openOptions(options))
  checkLabelled('nas', data)
  const test = await library.openDataset(specification, 'test', openOptions(options))
  const bar = new Progress({ label: 'nas, % of the work', total: 100, stream: output.stderr })
  const stopping = () =>
    output.notice('\nstopping; what is trained is kept, and the same command goes on from there (ctrl-c again: leave at once)')
  await onInterruptibleDevice(library, options, stopping, async ({ device, signal }) => {
    const job = {
      ...{ device, data, test, space, baselines: baseline || [], repeats, fullRepeats, fullEpochs, top, seed, signal },
      ...given({ sample, protocol, labels, epochs, augment }),
    }
    if (options.plan) {
      const plan = await library.planNas(set, { ...job, store: await readNasStore(out) })
      for (const line of planLines(plan)) output.line(line)
      output.value(plan)
      return
    }
    const onPlan = (plan: NasPlan) => {
      for (const line of planLines(plan)) output.notice(line)
    }
    const onProgress = ({ source, architecture, trainings, total, share, loss }: NasProgress) => {
      const details = [`${trainings}/${total} trainings`, `${architecture} on ${source}`]
      bar.update(Math.min(99.9, Math.floor(1000 * share) / 10), [...details, ...(loss === null ? [] : [`loss ${loss.toPrecision(3)}`])])
    }
    const search = async () => library.nas(set, { ...job, store: await openNasStore(out), onPlan, onProgress })
    const result = await inResultDirectory(out, search).finally(() => bar.finish())
    for (const line of resultLines(result)) output.line(line)
    output.value({ ...result, run, data: specification })
  })
}

const mostSpaceBytes = 1 << 20

/** Of the file, or of the options. Throws `invalid_option` for both, `invalid_data` for a file that is no JSON object. */
async function spaceOf({ space, width, depth, norm, activation, pooling }: Options): Promise<NasSpace> {
  const axes = given({ width, depth, norm, activation, pooling })
  if (space === undefined) return axes
  const [beside] = Object.keys(axes)
  if (beside !== undefined) throw expected('invalid_option', '--space', 'no axis beside it', `--${beside}`, 'write it into the file')
  const text = await readText(space, mostSpaceBytes)
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AludelError('invalid_data', `${space}: not JSON (${(cause as Error).message})`, { cause })
  }
  if (!isRecord(value)) throw expected('invalid_data', space, 'an object such as { "width": [64, 128], "depth": [3] }', value)
  return value
}

const time = (seconds: number | null): string => (seconds === null ? '?' : formatClock(seconds))

function planLines({ architectures, sample, sources, flops, seconds, bytes, freeBytes, flopsPerSecond }: NasPlan): string[] {
  const mebibytes = (n: number) => `${Math.ceil(n / 2 ** 20)} MiB`
  return [
    `${architectures} networks, ${sample} of them on all real images too`,
    ...sources.map(
      ({ source, trainings, done, flops: own, seconds: about }) =>
        `${source.padEnd(10)}  ${trainings} trainings${done > 0 ? ` (${done} are done)` : ''}, ${own.toExponential(1)} FLOP, about ${time(about)}`,
    ),
    `in all      ${flops.toExponential(1)} FLOP, about ${time(seconds)} at ${(flopsPerSecond / 1e9).toFixed(0)} GFLOP/s, measured just now`,
    `needs       ${mebibytes(bytes)} on the device, ${mebibytes(freeBytes)} are free`,
  ]
}

const number = (value: number | null): string => (value === null ? '–' : value.toFixed(2))

function resultLines({ ranking, sample, sources, top }: NasResult): string[] {
  const atTop = `top ${Number((100 * top).toPrecision(3))} %`
  const head = [
    'trained on',
    'Spearman [95 %]',
    'Kendall',
    `${atTop}: Spearman`,
    'Kendall',
    'its best, on all images',
    'time',
    'whole space',
  ]
  const row = ({ source, sample: all, top: best, best: chosen, seconds, spaceSeconds }: NasSourceResult) => [
    ...[source, `${number(all.spearman)}${all.interval ? ` [${all.interval.map(number).join(', ')}]` : ''}`, number(all.kendall)],
    ...[`${number(best.spearman)} (n=${best.n})`, number(best.kendall), `${chosen.architecture} ${chosen.accuracy.toFixed(1)} %`],
    ...[time(seconds), time(spaceSeconds)],
  ]
  return [
    `correlation with training on all real images, over ${sample.length} of ${ranking.length} networks`,
    ...columns([head, ...sources.map(row)]),
    'best on the distilled set',
    ...columns(
      ranking
        .slice(0, 10)
        .map(({ name, parameters, accuracies: { distilled, full } }) => [
          ...[name, `${parameters} parameters`, distilled ? formatAccuracy(distilled) : ''],
          full ? `${full.mean.toFixed(1)} % on all real images` : '',
        ]),
    ),
  ]
}

function columns(rows: readonly (readonly string[])[]): string[] {
  const widths = rows[0].map((_, column) => Math.max(...rows.map((row) => row[column].length)))
  return rows.map((row) =>
    row
      .map((text, column) => text.padEnd(widths[column]))
      .join('  ')
      .trimEnd(),
  )
}
