/** @file `aludel evaluate RUN`: trains fresh networks on a distilled set and measures them on real test images. */
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { exists } from '../../data/file-bytes.js'
import { AludelError, expected } from '../../errors.js'
import type { TrainingSource } from '../../evaluate/index.js'
import {
  checkUnlocked,
  type EvaluationRecord,
  loadRunSet,
  type Phase,
  type RunRecord,
  readEvents,
  readRunRecord,
  reopenRunDir,
  runFile,
  runSpecification,
} from '../../experiment/run-dir.js'
import { loadSyntheticSet } from '../../experiment/synthetic-set.js'
import type { EvaluationResult, ProtocolName, SyntheticSet } from '../../experiment/types.js'
import { writeReport } from '../../report/index.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { factor, given, nameList, nonEmptyPath, numberList, wholeNumber } from '../options.js'
import { commandLine, startPhase } from '../phase.js'
import { formatAccuracy, runEvaluation, withProgress } from '../run-evaluation.js'
import { evaluateModelCommand, type ModelOptions } from './evaluate-model.js'
import { addDeviceOptions, type DeviceOptions, protocolOption, seedOption } from './shared-options.js'

interface Options extends DeviceOptions, DataOptions, Partial<Omit<ModelOptions, keyof DeviceOptions | keyof DataOptions>> {
  readonly networks: string[]
  readonly repeats: number
  readonly protocol: ProtocolName
  readonly epochs?: number
  readonly augment?: string
  readonly seed: number
  readonly baseline: string[] | false
  readonly herdingEpochs: number
  readonly inference: 'auto' | 'onnx' | 'engine'
}

export function addEvaluate(program: Command, context: CliContext): void {
  const command = program
    .command('evaluate')
    .description('train networks on a distilled set, or take an ONNX model, and report their test accuracy')
    .argument('[run]', 'run directory, or the directory of a saved set', nonEmptyPath)
    .option('--networks <names>', 'networks to train, or pools such as unseen, separated by commas', nameList, ['convnet'])
    .option('--repeats <n>', 'networks trained from scratch per name', wholeNumber(1), 5)
    .addOption(protocolOption())
    .option('--epochs <n>', "training epochs (default: the protocol's 1000)", wholeNumber(1))
    .option('--augment <policy>', 'augmentation while training (default: dsa)')
    .option('--baseline <names>', 'real images trained on beside it: random, herding', nameList, [...baselineNames])
    .option('--no-baseline', 'train on the distilled images only')
    .option('--herding-epochs <n>', 'epochs that the network behind herding is trained for', wholeNumber(1), 2)
    .addOption(
      new Option('--inference <who>', 'who computes the test accuracies: ONNX Runtime or the engine')
        .choices(['auto', 'onnx', 'engine'])
        .default('auto'),
    )
    .option('--model <file>', 'measure this ONNX image classifier instead, in ONNX Runtime', nonEmptyPath)
    .option('--mean <numbers>', "with --model: mean per channel of its input's normalisation (default: that of its metadata)", numberList)
    .option('--std <numbers>', 'with --model: standard deviation per channel', numberList)
    .option('--scale <factor>', 'with --model: what bytes are multiplied by before that, a number or 1/255 (default: 1/255)', factor)
    .addOption(seedOption())
  addDataOptions(command, 'data set whose test images are used (default: that of the run)')
  addDeviceOptions(command).action((run: string | undefined, options: Options) => {
    const { model } = options
    if ((run === undefined) === (model === undefined))
      throw expected('invalid_option', 'evaluate', 'either a run directory or --model', run === undefined ? 'neither' : 'both')
    if (run === undefined) return evaluateModelCommand({ ...options, model: model as string }, command, context)
    for (const name of ['mean', 'std', 'scale'] as const) {
      if (options[name] !== undefined) throw expected('invalid_option', `--${name}`, '--model beside it', run)
    }
    return evaluateCommand(run, options, command, context)
  })
}

async function evaluateCommand(run: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { seed, threads, device: kind, herdingEpochs, inference } = options
  const baselines = (options.baseline || []).map(baselineOf)
  const isRun = await exists(join(run, runFile))
  // the accuracies are written down at the end: better to hear now that another process works there
  if (isRun) await checkUnlocked(run)
  const of = isRun ? await readRunRecord(run) : undefined
  const { networks, repeats, protocol, epochs, augment } = measuring(options, command, of?.recipe?.evaluate)
  const set = of ? await loadRunSet(run, of) : await loadSyntheticSet(run)
  const steps = of && (await readEvents(run)).findLast((event) => event.type === 'done')?.step
  const ofRun = of && runSpecification(run, of)
  const named = options.data ?? ofRun
  if (named === undefined) throw new AludelError('invalid_option', `${run}: holds no ${runFile} that names its data; give --data`)
  const data = completedBy(specificationOf(named, options), ofRun)
  const read = await library.openDataset(data, 'test', openOptions(options))
  if (read.classes.join('\n') !== set.classes.join('\n')) {
    throw expected('invalid_option', `--data ${data}: classes`, `those of the set (${set.classes.join(', ')})`, read.classes.join(', '))
  }
  const device = await library.openDevice(given({ threads, device: kind }))
  try {
    const asSet = async (dataset: Dataset) => (set.whitening ? library.whiten(dataset, set.whitening, device) : dataset)
    const test = await asSet(read)
    const settings = { networks, repeats, protocol, seed, inference, ...given({ epochs, augment }) } as const
    const measure = async (source: TrainingSource, label: string) => {
      let endPhase = startPhase('')
      // Told and kept network by network: what an interrupt ends later is not lost.
      const onResult = async (result: EvaluationResult) => {
        output.line(`${result.network} on ${label}: ${formatAccuracy(result)} (n=${result.n} networks)`)
        if (isRun)
          await recordEvaluation(
            run,
            {
              ...{ label, protocol, epochs: epochs ?? null, data, seed, augment: augment ?? null, results: [result] },
              ...(source === set && given({ steps })),
            },
            { ...endPhase(), name: `evaluate ${result.network} on ${label}` },
          )
        endPhase = startPhase('')
      }
      const results = await runEvaluation({ library, output, device, source, test, settings, label, onResult })
      return Object.fromEntries(results.map(({ network, ...accuracy }) => [network, accuracy]))
    }
    if (isRun) await recordCommand(run, commandLine(context.args))
    // What the baselines need is looked at before anything trains: hours must not end in a missing file.
    const train = baselines.length > 0 ? await asSet(await library.openDataset(data, 'train', openOptions(options))) : undefined
    const ipc = largestClass(set)
    if (train) checkClassSizes(train, ipc)
    const distilled = await measure(set, 'distilled')
    const others: [string, Awaited<ReturnType<typeof measure>>][] = []
    if (train) {
      for (const name of baselines) {
        if (name === 'herding')
          output.notice(`herding: a network is trained on all ${train.shape[0]} real images first (--baseline random leaves it out)`)
        const source =
          name === 'random'
            ? await library.randomBaseline(train, ipc, seed)
            : await withProgress(output, `all ${train.shape[0]} real images`, ({ signal, onProgress }) =>
                library.herdingBaseline(train, ipc, { device, epochs: herdingEpochs, seed, signal, onProgress }),
              )
        others.push([name, await measure(source, baselineLabels[name])])
      }
    }
    output.value({
      accuracy: distilled[networks[0]],
      networks: distilled,
      baselines: Object.fromEntries(others),
      run,
      data,
      protocol,
      epochs: epochs ?? null,
      seed,
    })
  } finally {
    await device.close()
  }
}

type Measuring = Pick<Options, 'networks' | 'repeats' | 'protocol' | 'epochs' | 'augment'>

/** What the command says, else what the run's recipe says, else the defaults. */
function measuring(options: Options, command: Command, recipe: NonNullable<RunRecord['recipe']>['evaluate'] = {}): Measuring {
  const own = Object.entries(recipe).filter(([name]) => command.getOptionValueSource(name) !== 'cli')
  return { ...options, ...Object.fromEntries(own) }
}

type Baseline = keyof typeof baselineLabels

const baselineLabels = { random: 'random real images', herding: 'herded real images' } as const
const baselineNames = Object.keys(baselineLabels) as Baseline[]

function baselineOf(name: string): Baseline {
  const known = baselineNames.find((baseline) => baseline === name)
  if (known === undefined) throw expected('invalid_option', '--baseline', `some of ${baselineNames.join(', ')}`, name)
  return known
}

/** Real images to compare with need as many in every class. */
function checkClassSizes(train: Dataset, ipc: number): void {
  for (const [c, name] of train.classes.entries()) {
    const available = train.classIndices(c).length
    if (available < ipc) {
      const todo = 'leave the baselines out with --no-baseline'
      throw expected('invalid_option', `class '${name}'`, `at least ${ipc} real images for the baselines`, available, todo)
    }
  }
}

/** Images per class of a set: the most of any class where they differ. */
function largestClass({ classes, labels }: SyntheticSet): number {
  const counts = new Int32Array(classes.length)
  for (const label of labels) counts[label]++
  return Math.max(...counts)
}

/** Adds the accuracies of one network to the run and its report. */
export async function recordEvaluation(run: string, entry: EvaluationRecord, phase: Phase): Promise<void> {
  const runDir = await reopenRunDir(run)
  try {
    await runDir.append({ type: 'evaluation', ...entry })
    const { evaluations, phases = [] } = runDir.record
    // The same measurement again takes the place of the one before.
    const others = evaluations.filter((one) => protocolOf(one) !== protocolOf(entry))
    await runDir.update({ evaluations: [...others, entry], phases: [...phases, phase] })
  } finally {
    await runDir.close()
  }
  await writeReport(run)
}

/** What was measured, and how: everything but the outcome. */
const protocolOf = ({ results, protocol = 'dc', ...settings }: EvaluationRecord): string =>
  JSON.stringify([protocol, Object.entries(settings).sort(), results.map(({ network, n, inference }) => [network, n, inference])])

/** Notes the command in the run. */
async function recordCommand(run: string, command: string): Promise<void> {
  const runDir = await reopenRunDir(run)
  try {
    await runDir.update({ commands: [...(runDir.record.commands ?? []), command] })
  } finally {
    await runDir.close()
  }
}
