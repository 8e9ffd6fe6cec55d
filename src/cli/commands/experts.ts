/** @file `aludel experts`: networks trained on real images whose parameters after every epoch are kept, for trajectory matching. */
import { join } from 'node:path'
import { type Command, InvalidArgumentError, Option } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { fileSize } from '../../data/file-bytes.js'
import { AludelError, expected, onFile } from '../../errors.js'
import type { DeviceHandle, Shard } from '../../experiment/types.js'
import { checkpointsPath, type ExpertsRecord, readRecord } from '../../experts/record.js'
import type { ExpertsOptions } from '../../experts/settings.js'
import { type ExpertStore, rangesOf } from '../../experts/store.js'
import { trimExperts } from '../../experts/trim.js'
import { verifyExperts } from '../../experts/verify.js'
import { begunGroups } from '../../experts/work-directory.js'
import { makeDirectory } from '../../files/make-directory.js'
import type { DataSchedule } from '../../schedule/index.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, type DataOptions, inPlace, openOptions, specificationOf } from '../data-options.js'
import { asUsageError, exitCode } from '../exit-codes.js'
import { keepScores, type PadChoice, randomScores, ruleOf, scheduleAgain, scheduleBy, scheduleChoice } from '../experts-schedule.js'
import { amount, flagOf, given, nonEmptyPath, positiveNumber, shardOption, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import { checkOwnScoring, scoreInto } from '../own-scores.js'
import { withExperts } from '../run-experts.js'
import { openSameDevice } from '../same-device.js'
import { type NamedScores, scoresAt } from '../score-source.js'
import { keepWhiteningIn, whitenAs, whitenTraining } from '../whitening.js'
import {
  addDeviceOptions,
  addWhiteningOptions,
  type DeviceOptions,
  deviceOf,
  resumableDeviceOptions,
  seedOption,
  type WhiteningOptions,
  zcaOf,
} from './shared-options.js'

interface Options extends DataOptions, DeviceOptions, WhiteningOptions {
  readonly network?: string
  readonly experts?: number
  readonly epochs?: number
  readonly optimizer?: 'sgd' | 'gsam'
  readonly rho?: number
  readonly alpha?: number
  readonly gsamForm?: 'adaptive' | 'plain'
  readonly lr?: number
  readonly momentum?: number
  readonly weightDecay?: number
  readonly batch?: number
  readonly augment?: string
  readonly keepEpochs?: EpochRange
  readonly schedule?: PadChoice | 'none'
  readonly scores?: string
  readonly kind?: string
  readonly scoreNetwork?: string
  readonly scoreRuns?: number
  readonly scoreEpochs?: number
  readonly together?: number
  readonly shard?: Shard
  readonly seed: number
  readonly out?: string
  readonly resume?: string
  readonly verify?: string
  readonly trim?: EpochRange
}

interface EpochRange {
  readonly from: number
  readonly to: number
}

/** What may stand beside --resume: where things are, how many experts there are to be, and who trains which. */
const resumable = ['resume', 'data', 'cache', 'experts', 'shard', ...resumableDeviceOptions]

function epochRange(text: string): EpochRange {
  const [, from, to] = /^(\d+)-(\d+)$/.exec(text) ?? []
  if (from === undefined || Number(from) > Number(to))
    throw new InvalidArgumentError('expected FROM-TO in epochs, 0 for the initialisation.')
  return { from: Number(from), to: Number(to) }
}

export function addExperts(program: Command, context: CliContext): void {
  const command = program
    .command('experts')
    .description('train networks on the real images and keep their parameters after every epoch, for the methods that match trajectories')
    .option('--network <name>', 'network without batch norm (default: convnet)')
    .option('--experts <n>', 'experts of the store (default: 10)', wholeNumber(1))
    .option('--epochs <n>', 'epochs of each (default: 50)', wholeNumber(1))
    .addOption(new Option('--optimizer <name>', 'gradient descent, or GSAM as FTD, DATM and PAD (default: sgd)').choices(['sgd', 'gsam']))
    .option('--rho <x>', 'radius of GSAM (default: 0.01)', amount)
    .option('--alpha <x>', 'weight of GSAM on what is orthogonal to the perturbed gradient (default: 0.3)', amount)
    .addOption(
      new Option('--gsam-form <form>', 'whether the radius scales with each weight (default: adaptive)').choices(['adaptive', 'plain']),
    )
    .option('--lr <x>', 'learning rate (default: 0.01)', positiveNumber)
    .option('--momentum <x>', 'momentum (default: 0)', amount)
    .option('--weight-decay <x>', 'weight decay (default: 0)', amount)
    .option('--batch <n>', 'images of a step; the last one of an epoch may have fewer (default: 256)', wholeNumber(1))
    .option('--augment <policy>', 'augmentation (default: dsa)')
    .option('--keep-epochs <from-to>', 'epochs whose parameters are kept; the last always is (default: all)', epochRange)
    .option('--schedule <rule>', 'none, or pad with settings such as pad:addEndEpoch=4 (default: none)', scheduleChoice)
    .option(
      '--scores <path>',
      'scores that --schedule sorts by: a directory or file, or random (default: networks are trained to score)',
      nonEmptyPath,
    )
    .option('--kind <score>', 'which score that is (default: el2n)')
    .option('--score-network <name>', 'network that scores (default: convnet)')
    .option('--score-runs <n>', 'networks that scores are means over (default: 10)', wholeNumber(1))
    .option('--score-epochs <n>', 'epochs that each of them trains (default: 20)', wholeNumber(1))
    .option('--together <n>', 'networks of one program (default: by the rows of a step)', wholeNumber(1))
    .option('--shard <i/n>', 'train part i of n of the experts; other processes may train the others into the same directory', shardOption)
    .addOption(seedOption())
    .option('--out <dir>', 'directory of the store', nonEmptyPath)
    .option(
      '--resume <dir>',
      `go on with the store in this directory; ${resumable.slice(1).map(flagOf).join(', ')} may stand beside it`,
      nonEmptyPath,
    )
    .option('--verify <dir>', 'instead: read every checkpoint of a store and compare it with its hash', nonEmptyPath)
    .option('--trim <from-to>', 'instead: leave these epochs and the last one in the store at --out', epochRange)
  addWhiteningOptions(command)
  addDataOptions(command, 'data set whose training images the experts are trained on')
  addDeviceOptions(command).action(async (options: Options) => {
    if (options.verify !== undefined) {
      checkAlone(options, command, ['verify'])
      return verify(options.verify, command, context)
    }
    if (options.trim !== undefined) {
      checkAlone(options, command, ['trim', 'out'])
      return trim(options.trim, options, command, context)
    }
    if (options.resume !== undefined) return resume(options.resume, options, command, context)
    return begin(options, command, context)
  })
}

/** Throws `invalid_option` for an option beside those named. */
function checkAlone(options: Options, command: Command, names: readonly string[]): void {
  const wrong = Object.keys(options).find((name) => !names.includes(name) && command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined) throw new AludelError('invalid_option', `${flagOf(wrong)}: does nothing beside --${names[0]}; leave it out`)
}

async function begin(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { out, schedule = 'none', seed } = options
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  if (out === undefined) throw new AludelError('invalid_option', "required option '--out <dir>' not specified")
  const there = await recordAt(out)
  if (there && options.shard === undefined)
    throw new AludelError('invalid_option', `${out}: holds experts already; continue them with --resume ${out}, or give another directory`)
  if (schedule === 'none') checkNoScores(options, command)
  const zca = zcaOf(options)
  const data = inPlace(specificationOf(options.data, options))
  const settings = { ...settingsOf(options), seed, specification: data }
  const raw = await library.openDataset(data, 'train', openOptions(options))
  const device = await library.openDevice(deviceOf(options))
  try {
    // a mistyped name must not cost the hours that scores take
    await library.checkExperts(raw, { ...settings, device }).catch((error) => {
      throw asUsageError(error)
    })
    if (schedule !== 'none' && options.scores === undefined) await checkOwnScoring(raw, { ...ownScoring(options), device })
    const train = await whitenTraining(raw, zca, { library, output, device, ...openOptions(options) })
    await onFile(out, () => makeDirectory(out))
    // the files of a store that is there are compared with before they are written
    checkSame(out, 'whitening', there && (there.zca?.sha256 ?? 'none'), train.whitened?.whitening.sha256 ?? 'none')
    await keepWhiteningIn(out, train)
    const curriculum =
      schedule === 'none' ? undefined : await curriculumOf(train, schedule, { ...options, out, data, there }, { library, output, device })
    const store = await withExperts(output, train, out, (hooks) =>
      library.trainExperts(out, train, { ...settings, ...given({ schedule: curriculum, shard: options.shard }), ...hooks, device }),
    )
    await conclude(store, output)
  } finally {
    await device.close()
  }
}

/** The record of the store in a directory; undefined where there is none. */
async function recordAt(out: string): Promise<ExpertsRecord | undefined> {
  try {
    return (await readRecord(out)).record
  } catch (error) {
    if (error instanceof AludelError && error.code === 'not_found') return undefined
    throw error
  }
}

/** Throws `incompatible` where the store that is there, if any, has another `what`. */
function checkSame(out: string, what: string, there: unknown, here: unknown): void {
  const todo = 'give the settings of that store, or another directory'
  if (there !== undefined && there !== here) throw expected('incompatible', `${out}: ${what}`, String(there), String(here), todo)
}

function checkNoScores(options: Options, command: Command): void {
  const names = ['scores', 'kind', 'scoreNetwork', 'scoreRuns', 'scoreEpochs'] as const
  const wrong = names.find((name) => options[name] !== undefined && command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined) throw new AludelError('invalid_option', `${flagOf(wrong)}: goes with --schedule pad only`)
}

function settingsOf(options: Options): Omit<ExpertsOptions, 'device' | 'schedule' | 'shard'> {
  const { network, experts, epochs, optimizer, rho, alpha, gsamForm, lr, momentum, weightDecay, batch, augment, keepEpochs, together } =
    options
  const gsam = given({ rho, alpha, adaptive: gsamForm && gsamForm === 'adaptive' })
  if (optimizer !== 'gsam' && Object.keys(gsam).length > 0)
    throw new AludelError('invalid_option', '--rho, --alpha and --gsam-form go with --optimizer gsam only')
  return given({
    ...{ network, experts, epochs, optimizer, lr, momentum, weightDecay, batch, augment, keepEpochs, together },
    gsam: optimizer === 'gsam' ? gsam : undefined,
  })
}

/** The defaults are those of the family's specification: 10 networks, 20 epochs. */
const ownScoring = ({ kind = 'el2n', scoreNetwork, scoreRuns = 10, scoreEpochs = 20, seed }: Options) => ({
  kind,
  scoring: { ...given({ network: scoreNetwork }), runs: scoreRuns, epochs: scoreEpochs },
  seed,
})

interface Tools {
  readonly library: CliContext['library']
  readonly output: Output
  readonly device: DeviceHandle
}

/** The schedule, by scores that are kept beside the experts. */
async function curriculumOf(
  train: Dataset,
  choice: PadChoice,
  options: Options & { readonly out: string; readonly data: string; readonly there: ExpertsRecord | undefined },
  tools: Tools,
): Promise<DataSchedule> {
  const { out, data, scores, seed } = options
  // what cannot be a rule is told before anything is scored
  await scheduleBy(train, choice, await randomScores(train, seed))
  let found: NamedScores
  if (scores === 'random') found = await randomScores(train, seed)
  else if (scores !== undefined) found = await scoresAt(scores, options.kind, train)
  else {
    const dir = join(out, 'scores')
    const goOn = 'the same command'
    await scoreInto(train, { dir, ...ownScoring(options), specification: data, ...tools, goOn })
    found = await scoresAt(dir, options.kind ?? 'el2n', train)
  }
  const curriculum = await scheduleBy(train, choice, found)
  checkSame(out, 'ranking of the images', options.there?.schedule.ranking, curriculum.config.ranking)
  await keepScores(out, train, found)
  const { initialRatio, addEndEpoch, removeMiddle, removeEnd, r1, r2 } = ruleOf(train, choice)
  const stages = `${100 * initialRatio} % of the images at first, all by epoch ${addEndEpoch}; without the easiest ${100 * r1} % after epoch ${removeMiddle}, ${100 * r2} % after ${removeEnd}`
  tools.output.notice(`curriculum by ${found.score.name}: ${stages}`)
  return curriculum
}

async function resume(dir: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const wrong = Object.keys(options).find((name) => !resumable.includes(name) && command.getOptionValueSource(name) === 'cli')
  if (wrong !== undefined)
    throw new AludelError('invalid_option', `${flagOf(wrong)}: experts continue with their own settings; leave it out beside --resume`)
  const { record } = await readRecord(dir)
  const device = await openSameDevice(library, options, record.arithmetic, 'training')
  try {
    const raw = await openAgain(dir, record, options, context)
    const train = await whitenAs(raw, dir, record.zca, { library, output, device, ...openOptions(options) })
    const schedule = await scheduleAgain(dir, train, record.schedule)
    const { experts = record.experts, shard } = options
    const store = await withExperts(output, train, dir, (hooks) =>
      library.trainExperts(dir, train, { ...optionsOf(record), experts, ...given({ schedule, shard }), ...hooks, device }),
    )
    await conclude(store, output)
  } finally {
    await device.close()
  }
}

function openAgain(dir: string, { specification }: ExpertsRecord, options: Options, { library }: CliContext): Promise<Dataset> {
  const named = options.data ?? specification
  if (named === null) throw new AludelError('invalid_option', `${dir}: its record does not name its data; give --data`)
  return library.openDataset(completedBy(named, specification ?? undefined), 'train', openOptions(options))
}

/** The options that a store was begun with. */
function optionsOf({ network, epochs, kept, config, specification }: ExpertsRecord): Omit<ExpertsOptions, 'device'> {
  const { rho, alpha, adaptive, flip: _, ...rest } = config
  // kept are a range and the last epoch
  const to = kept.findIndex((epoch, i) => kept[i + 1] !== epoch + 1)
  return {
    ...(rest as Omit<ExpertsOptions, 'device'>),
    ...{ network, epochs, keepEpochs: { from: kept[0], to: kept[to] } },
    ...(specification !== null && { specification }),
    ...(config.optimizer === 'gsam' && { gsam: { rho, alpha, adaptive } as ExpertsOptions['gsam'] }),
  } as Omit<ExpertsOptions, 'device'>
}

async function verify(dir: string, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const { record } = await readRecord(dir)
  const verified = await verifyExperts(dir, ({ expert, checkpoints, problem }) =>
    output.line(problem === undefined ? `expert ${expert}: ${checkpoints} checkpoints are whole` : `expert ${expert}: ${problem}`),
  )
  const begun = await begunGroups(dir)
  const damaged = verified.filter(({ problem }) => problem !== undefined)
  output.line(`${dir}: ${verified.length} of ${record.experts} experts are finished, ${verified.length - damaged.length} of them whole`)
  if (damaged.length > 0) {
    const files = damaged.map(({ expert }) => `${checkpointsPath(dir, expert).replace(/safetensors$/, '*')}`).join(', ')
    output.line(`to train them anew, remove ${files} and continue with: aludel experts --resume ${dir}`)
    context.setExitCode(exitCode.failure)
  }
  output.value({ out: dir, planned: record.experts, epochs: record.epochs, kept: record.kept, experts: verified, begun })
}

async function trim(range: EpochRange, options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const { out } = options
  if (out === undefined) throw expected('invalid_option', '--trim', '--out with the directory of the store', 'none')
  const { record, experts, freed } = await trimExperts(out, range)
  output.line(`${out}: ${experts} experts keep epochs ${rangesOf(record.kept)}; ${megabytes(freed)} are free again`)
  output.value({ out, kept: record.kept, experts, freed })
}

const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`

async function conclude(store: ExpertStore, output: Output): Promise<void> {
  const { dir, record, experts, sha256 } = store
  const sizes = await Promise.all(experts.map((expert) => fileSize(checkpointsPath(dir, expert))))
  const bytes = sizes.reduce((a, b) => a + b, 0)
  const last = experts.map((expert) => {
    const { losses, accuracies } = store.expert(expert)
    return { expert, loss: losses.at(-1), accuracy: accuracies.at(-1) }
  })
  for (const { expert, loss = Number.NaN, accuracy = Number.NaN } of last)
    output.line(
      `expert ${expert}: loss ${loss.toFixed(3)}, ${accuracy.toFixed(1)} % of the augmented training images right in the last epoch`,
    )
  output.line(`${dir}: ${experts.length} of ${record.experts} experts, epochs ${rangesOf(record.kept)}, ${megabytes(bytes)}`)
  output.value({
    ...{ out: dir, network: record.network, data: record.data, status: experts.length < record.experts ? 'part' : 'done' },
    ...{ planned: record.experts, epochs: record.epochs, kept: record.kept, parameters: record.parameters, bytes, sha256, experts: last },
  })
}
