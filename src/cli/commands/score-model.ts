/** @file `aludel score --model FILE`: scores of images by any ONNX classifier, streamed, resumable, in shards. */
import { type Command, Option } from 'commander'
import { isRecord } from '../../arguments.js'
import { readText } from '../../data/file-bytes.js'
import { AludelError, expected } from '../../errors.js'
import type { Shard } from '../../experiment/types.js'
import type { ScoresRecord } from '../../scoring/score-directory.js'
import { type CliContext, outputOf } from '../context.js'
import { type DataOptions, inPlace, specificationOf } from '../data-options.js'
import { interruptible } from '../interruptible.js'
import { factor, flagOf, given, nonEmptyPath, numberList, shardOption } from '../options.js'
import type { Output } from '../output.js'
import { noticeScale } from '../pixel-scale.js'
import { Progress } from '../progress.js'
import { type DeviceOptions, deviceOf, deviceOptionNames } from './shared-options.js'

export interface ModelScoreOptions extends DataOptions, DeviceOptions {
  readonly kind?: string[]
  readonly out?: string
  readonly features?: true
  readonly allowChance?: true
  readonly model?: string
  readonly split?: 'train' | 'test'
  readonly mean?: number[]
  readonly std?: number[]
  readonly scale?: number
  readonly featuresOutput?: string
  readonly classMap?: string
  readonly provider?: 'auto' | 'cpu'
  readonly shard?: Shard
}

/** Options that go with --model alone. */
const own = ['model', 'split', 'mean', 'std', 'scale', 'featuresOutput', 'classMap', 'provider', 'shard'] as const
/** Options of `score` that mean something to a model; every other one speaks of networks. */
const applying = [
  'kind',
  'out',
  'data',
  'size',
  'fit',
  'onUnreadable',
  'subset',
  'features',
  'allowChance',
  'exportBilp',
  ...deviceOptionNames,
]

export function addModelOptions(command: Command): Command {
  return command
    .option('--model <file>', 'score with this ONNX image classifier, in ONNX Runtime, in place of training', nonEmptyPath)
    .addOption(new Option('--split <part>', 'with --model: images to score (default: train)').choices(['train', 'test']))
    .option('--mean <numbers>', "with --model: mean per channel of its input's normalisation (default: that of its metadata)", numberList)
    .option('--std <numbers>', 'with --model: standard deviation per channel', numberList)
    .option('--scale <factor>', 'with --model: what bytes are multiplied by before that, a number or 1/255 (default: 1/255)', factor)
    .option('--features-output <name>', 'with --model: output that its last layer takes, for features and the scores that need them')
    .option('--class-map <file>', 'with --model: JSON with the output of each class of the data, {"NAME": INDEX, …}', nonEmptyPath)
    .addOption(new Option('--provider <name>', 'with --model: where ONNX Runtime computes (default: auto)').choices(['auto', 'cpu']))
    .option('--shard <i/N>', 'with --model: score this part only; aludel merge joins all N', shardOption)
}

/** Throws `invalid_option` for an option that goes with --model, without it. */
export function checkWithoutModel(options: ModelScoreOptions): void {
  const lone = own.find((name) => options[name] !== undefined)
  if (lone !== undefined) throw expected('invalid_option', flagOf(lone), '--model beside it', 'none')
}

/** What the scoring wrote, once it is done. */
export async function scoreModelCommand(options: ModelScoreOptions, command: Command, context: CliContext): Promise<ScoresRecord> {
  const { library } = context
  const output = outputOf(context, command)
  const { model, out, data: named, split, features, allowChance, mean, std, scale, featuresOutput, classMap, provider, shard } = options
  noticeScale(output, options)
  for (const name of Object.keys(command.opts())) {
    if (command.getOptionValueSource(name) !== 'cli' || applying.includes(name) || (own as readonly string[]).includes(name)) continue
    throw expected('invalid_option', 'score --model', `options among ${[...applying, ...own].map(flagOf).join(', ')}`, flagOf(name))
  }
  if (named === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if (out === undefined) throw new AludelError('invalid_option', "required option '--out <dir>' not specified")
  const kinds = options.kind ?? (features ? [] : ['loss'])
  const map = classMap === undefined ? undefined : await readClassMap(classMap)
  const device = await library.openDevice(deviceOf(options))
  try {
    const data = inPlace(specificationOf(named, options))
    return await watched(output, out, (watch) =>
      library.scoreModel({
        ...{ model: model as string, data, out, kinds, device },
        ...watch,
        ...given({ split, features, allowChance, mean, std, scale, featuresOutput, classMap: map, provider, shard }),
      }),
    )
  } finally {
    await device.close()
  }
}

export async function resumeModelCommand(
  dir: string,
  options: ModelScoreOptions,
  command: Command,
  context: CliContext,
): Promise<ScoresRecord> {
  const { library } = context
  const { allowChance } = options
  const device = await library.openDevice(deviceOf(options))
  try {
    return await watched(outputOf(context, command), dir, (watch) =>
      library.resumeScoreModel(dir, { device, ...watch, ...given({ allowChance }) }),
    )
  } finally {
    await device.close()
  }
}

/** One line, and the value, of a scoring by a model that is done. */
export function concludeModel(dir: string, record: ScoresRecord, output: Output): void {
  const { kinds, features, accuracies, perClass, seconds, data, shard, unreadable, classes } = record
  const what = [...kinds, ...(features ? ['features'] : [])].join(', ')
  const part = shard ? `shard ${shard.index}/${shard.of} of ` : ''
  const right = accuracies.length === 0 ? '' : `; the model has ${accuracies[0].toFixed(2)} % of them right`
  output.line(`${dir}: ${what} of ${part}${data.samples} images in ${seconds.toFixed(1)} s${right}`)
  if (unreadable.length > 0) output.notice(`${unreadable.length} files could not be decoded and were left out: scores.json lists them`)
  const never = (perClass ?? []).flatMap((one, c) => (one === 0 ? [classes[c]] : []))
  if (never.length > 0)
    output.notice(`never right: class ${never.slice(0, 8).join(', ')}${never.length > 8 ? ', …' : ''}; does the class map fit?`)
}

/** Progress on stderr; a signal of the system ends the work, and what was reached stays in `dir`. */
async function watched(
  output: Output,
  dir: string,
  action: (watch: {
    readonly signal: AbortSignal
    readonly onProgress: (progress: { readonly images: number; readonly total: number }) => void
    readonly onNotice: (notice: string) => void
  }) => Promise<ScoresRecord>,
): Promise<ScoresRecord> {
  let bar: Progress | undefined
  let [start, from] = [performance.now(), 0]
  const onProgress = ({ images, total }: { readonly images: number; readonly total: number }) => {
    if (!bar) [start, from] = [performance.now(), images]
    bar ??= new Progress({ label: 'score, image', total, from: images, stream: output.stderr })
    const rate = (images - from) / ((performance.now() - start) / 1000)
    bar.update(images, images > from && Number.isFinite(rate) ? [`${rate.toFixed(rate < 10 ? 1 : 0)} images/s`] : [])
  }
  const onNotice = (notice: string) => {
    bar?.finish()
    output.notice(notice)
  }
  return interruptible(
    () => output.notice('\nstopping; what is scored is kept (ctrl-c again: leave at once)'),
    (signal) => action({ signal, onProgress, onNotice }).finally(() => bar?.finish()),
    () => output.notice(`continue with: aludel score --resume ${dir}`),
  )
}

const mostMapBytes = 16 << 20

async function readClassMap(path: string): Promise<Record<string, number>> {
  let value: unknown
  try {
    value = JSON.parse(await readText(path, mostMapBytes))
  } catch (cause) {
    if (cause instanceof AludelError) throw cause
    throw new AludelError('invalid_data', `${path}: not JSON (${(cause as Error).message})`, { cause })
  }
  const wanted = 'an object of the output, a whole number, by name of class'
  if (!isRecord(value)) throw expected('invalid_data', path, wanted, value)
  const wrong = Object.entries(value).find(([, output]) => !Number.isSafeInteger(output))
  if (wrong) throw expected('invalid_data', `${path}: '${wrong[0]}'`, wanted, wrong[1])
  return value as Record<string, number>
}
