/** @file `aludel prune`: scores in, the file of a subset out, which every later command takes with --subset. */
import { dirname } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { exists } from '../../data/file-bytes.js'
import { checkLabelled } from '../../data/labels.js'
import type { Device } from '../../engine/runtime/device.js'
import { AludelError, expected, onFile } from '../../errors.js'
import { makeDirectory } from '../../files/make-directory.js'
import {
  createSubset,
  type Order,
  type ScoreDescription,
  type Selection,
  type SelectOptions,
  selectSamples,
  writeSubset,
} from '../../prune/index.js'
import { orders } from '../../prune/options.js'
import { type ScoreName, scoreInfo, scoreNames } from '../../scores/registry.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { given, nonEmptyPath, numberList, wholeNumber } from '../options.js'
import { factorsOf, featuresAt, scoresAt } from '../score-source.js'
import { addDeviceOptions, type DeviceOptions, deviceOf, seedOption } from './shared-options.js'

interface Options extends DataOptions, DeviceOptions {
  readonly scores?: string
  readonly kind?: string
  readonly order: Order
  readonly keep?: number
  readonly drop?: number
  readonly keepPercent?: number
  readonly window?: [number, number]
  readonly hardest?: 'largest' | 'smallest'
  readonly cutoff?: number
  readonly bins?: number
  readonly scope: 'class' | 'global'
  readonly minimum: number
  readonly seed: number
  readonly out: string
}

/** Shares are the library's to judge: it says what each of them must be. */
const number = (text: string): number => (text.trim() === '' ? Number.NaN : Number(text))

function windowOf(text: string): [number, number] {
  const [from, to, ...more] = numberList(text)
  if (to === undefined || more.length > 0) throw new InvalidArgumentError('expected FROM,TO.')
  return [from, to]
}

export function addPrune(program: Command, context: CliContext): void {
  const command = program.command('prune').description('choose the training images that stay, by scores, by features or at random')
  command
    .option('--scores <path>', 'a directory of `aludel score`, a file of it, or {Dataset}_{Indicator}.json of BiLP', nonEmptyPath)
    .option('--kind <name>', 'which scores of a directory (default: its only ones, else loss)')
    .addOption(
      new Option(
        '--order <rule>',
        'asc keeps the smallest scores, desc the largest, moderate those nearest to their class median; ccs covers their range; herding, kCenter, craig and gradMatch choose by the features of a directory',
      )
        .choices(orders)
        .default('asc'),
    )
    .option('--keep <share>', 'share of the images that stays', number)
    .option('--drop <share>', 'share that goes', number)
    .option('--keep-percent <n>', 'whole per cent that stays, rounded down', number)
    .option('--window <from,to>', 'what stays of the order, what should go first: 0.5,0.95 with desc leaves the hardest 5 % out', windowOf)
    .addOption(
      new Option('--hardest <end>', "of ccs: which end of the scores is hard (default: that of the score's kind)").choices([
        'largest',
        'smallest',
      ]),
    )
    .option('--cutoff <share>', 'of ccs: share of the hardest that goes first (default: 0.1)', number)
    .option('--bins <n>', 'of ccs: parts that the range of scores is cut into (default: 50)', wholeNumber(1))
    .addOption(
      new Option('--scope <part>', 'of every class the same share, or of all images').choices(['class', 'global']).default('class'),
    )
    .option('--minimum <n>', 'images that every class keeps at least', wholeNumber(0), 1)
    .addOption(seedOption())
    .requiredOption('--out <file>', 'file of the subset', nonEmptyPath)
  addDataOptions(command, 'data set whose training images are chosen from')
  addDeviceOptions(command).action((options: Options) => prune(options, command, context))
}

const byFeatures: readonly Order[] = ['herding', 'kCenter', 'craig', 'gradMatch']
/** Orders that a device computes. */
const onDevice: readonly Order[] = ['herding', 'kCenter', 'craig']
/** Orders by gradients of the last layer. */
const byGradients: readonly Order[] = ['craig', 'gradMatch']

async function prune(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { data, scores: path, kind, order, keep, drop, keepPercent, window, scope, minimum, seed, out } = options
  if (data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if ((path === undefined) !== (order === 'random'))
    throw expected('invalid_option', `--order ${order}`, order === 'random' ? 'no --scores' : '--scores with where they are', path)
  if (kind !== undefined && (order === 'random' || byFeatures.includes(order)))
    throw expected('invalid_option', `--order ${order}`, 'no --kind', kind)
  if (await exists(out)) throw new AludelError('invalid_option', `${out}: exists already; remove it or give another --out`)
  const train = await library.openDataset(specificationOf(data, options), 'train', openOptions(options))
  checkLabelled('prune', train)
  const { what, score } = await basisOf(options, train)
  const rule = {
    ...{ ...what, order, scope, minimumPerClass: minimum },
    ...((order === 'random' || order === 'ccs') && { seed }),
    ...given({ keep, drop, keepPercent, window, ccs: ccsOf(options, score) }),
  }
  const selection = await select(train, rule, options, context)
  await onFile(dirname(out), () => makeDirectory(dirname(out)))
  await writeSubset(out, createSubset(train, selection, score))
  for (const { class: c, from, to } of selection.raised)
    output.notice(`class '${train.classes[c]}' keeps ${to} images, not ${from}: --minimum ${minimum}`)
  for (const c of selection.thinned) output.notice(`class '${train.classes[c]}' loses more than 95 % of its images`)
  const kept = selection.indices.length
  const range = `${Math.min(...selection.counts)} to ${Math.max(...selection.counts)} of a class`
  output.line(`${out}: ${kept} of ${train.shape[0]} images stay, ${range}${endOf(order, score)}`)
  output.value({ out, kept, of: train.shape[0], counts: Array.from(selection.counts), raised: selection.raised, rule: selection.rule })
}

interface Basis {
  readonly what: Pick<SelectOptions, 'scores' | 'features' | 'gradients'>
  readonly score: ScoreDescription | null
}

/** What the images are chosen by. */
async function basisOf({ scores: path, kind, order }: Options, train: Dataset): Promise<Basis> {
  if (path === undefined) return { what: {}, score: null }
  if (!byFeatures.includes(order)) {
    const { values, score } = await scoresAt(path, kind, train)
    return { what: { scores: values }, score }
  }
  const file = await featuresAt(path, train)
  return {
    what: byGradients.includes(order) ? { gradients: await factorsOf(file, train) } : { features: file.features },
    score: file.score,
  }
}

/** Distances are the device's; other orders need none, and no addon. */
async function select(train: Dataset, rule: SelectOptions, options: Options, { library }: CliContext): Promise<Selection> {
  if (!onDevice.includes(rule.order)) return selectSamples(train, rule)
  const device = await library.openDevice(deviceOf(options))
  try {
    return await selectSamples(train, { ...rule, device: device as Device })
  } finally {
    await device.close()
  }
}

const easyEnd = (name: string): 'low' | 'high' | undefined =>
  (scoreNames as readonly string[]).includes(name) ? scoreInfo(name as ScoreName).easy : undefined

function ccsOf({ order, hardest, cutoff, bins }: Options, score: ScoreDescription | null): SelectOptions['ccs'] {
  if (order !== 'ccs') {
    const [name] = Object.entries({ hardest, cutoff, bins }).find(([, value]) => value !== undefined) ?? []
    if (name !== undefined) throw expected('invalid_option', `--${name}`, '--order ccs beside it', order)
    return undefined
  }
  const easy = easyEnd(score?.name ?? '')
  const end = hardest ?? (easy && (easy === 'low' ? 'largest' : 'smallest'))
  if (end === undefined)
    throw expected('invalid_option', '--hardest', `largest or smallest: '${score?.name}' does not say which end is hard`, hardest)
  return { hardest: end, ...given({ cutoff, bins }) }
}

/** Which end that is: the small end of margins is the hard one. */
function endOf(order: Order, score: ScoreDescription | null): string {
  const easy = (order === 'asc' || order === 'desc') && score ? easyEnd(score.name) : undefined
  if (easy === undefined) return ''
  return `, the ${(easy === 'low') === (order === 'asc') ? 'easiest' : 'hardest'} by ${score?.name}`
}
