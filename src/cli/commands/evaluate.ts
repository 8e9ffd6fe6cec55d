/** @file `aludel evaluate RUN`: trains fresh networks on a distilled set and measures them on real test images. */
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import { exists } from '../../data/file-bytes.js'
import { checkLabelled } from '../../data/labels.js'
import { formatSpecification, parseSpecification } from '../../data/specification.js'
import { AludelError, expected } from '../../errors.js'
import type { Teacher, TrainingSource } from '../../evaluate/index.js'
import { defaultProtocol, protocolOf as protocolNamed } from '../../evaluate/protocol.js'
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
import type { EvaluationResult, LabelKind, ProtocolName, SyntheticSet } from '../../experiment/types.js'
import { writeReport } from '../../report/index.js'
import { baselineLabels, baselineNames, baselineOf, checkScoresGiven, prepareBaselines } from '../baselines.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { factor, given, nameList, nonEmptyPath, numberList, wholeNumber } from '../options.js'
import { commandLine, startPhase } from '../phase.js'
import { formatAccuracy, runEvaluation, trainingNote } from '../run-evaluation.js'
import { isModelFile, openTeacher, softened, softLabel } from '../teacher.js'
import { evaluateModelCommand, type ModelOptions } from './evaluate-model.js'
import { addDeviceOptions, type DeviceOptions, deviceOf, labelsOption, protocolOption, seedOption } from './shared-options.js'

interface Options extends DeviceOptions, DataOptions, Partial<Omit<ModelOptions, keyof DeviceOptions | keyof DataOptions>> {
  readonly networks?: string[]
  readonly repeats: number
  readonly protocol?: ProtocolName
  readonly labels?: LabelKind
  readonly epochs?: number
  readonly augment?: string
  readonly seed: number
  readonly baseline: string[] | false
  readonly scores?: string
  readonly teacher?: string
  readonly teacherEpochs?: number
  readonly herdingEpochs: number
  readonly inference: 'auto' | 'onnx' | 'engine'
}

export function addEvaluate(program: Command, context: CliContext): void {
  const command = program
    .command('evaluate')
    .description('train networks on a distilled set, or take an ONNX model, and report their test accuracy')
    .argument(
      '[run]',
      'run directory, or the directory of a saved set; none with --model, or to train on the images of --subset',
      nonEmptyPath,
    )
    .option(
      '--networks <names>',
      'networks to train, or pools such as unseen, separated by commas (default: convnet; of protocol frepo conv-frepo-nn, of rfad conv-rfad)',
      nameList,
    )
    .option('--repeats <n>', 'networks trained from scratch per name', wholeNumber(1), 5)
    .addOption(protocolOption())
    .addOption(labelsOption())
    .option('--epochs <n>', 'training epochs (default: those of the protocol)', wholeNumber(1))
    .option('--augment <policy>', 'augmentation while training (default: dsa)')
    .option('--baseline <names>', `real images trained on beside it: ${baselineNames.join(', ')}`, nameList, ['random', 'herding'])
    .option('--no-baseline', 'train on the distilled images only')
    .option('--herding-epochs <n>', 'epochs that the network behind herding and k-center is trained for', wholeNumber(1), 2)
    .option('--scores <dir>', 'scores of `aludel score` for the baselines loss and el2n', nonEmptyPath)
    .option(
      '--teacher <who>',
      'train towards the answers of a teacher: an ONNX file, or a network that is trained on all real images',
      nonEmptyPath,
    )
    .option('--teacher-epochs <n>', 'epochs that a network as teacher is trained for (default: 20)', wholeNumber(1))
    .addOption(
      new Option('--inference <who>', 'who computes the test accuracies: ONNX Runtime or the engine')
        .choices(['auto', 'onnx', 'engine'])
        .default('auto'),
    )
    .option('--model <file>', 'measure this ONNX image classifier instead, in ONNX Runtime', nonEmptyPath)
    .option(
      '--mean <numbers>',
      "with --model or --teacher: mean per channel of its input's normalisation (default: that of its metadata)",
      numberList,
    )
    .option('--std <numbers>', 'with --model or --teacher: standard deviation per channel', numberList)
    .option(
      '--scale <factor>',
      'with --model or --teacher: what bytes are multiplied by before that, a number or 1/255 (default: 1/255)',
      factor,
    )
    .addOption(seedOption())
  addDataOptions(command, 'data set whose test images are used (default: that of the run)')
  addDeviceOptions(command).action((run: string | undefined, options: Options) => {
    const { model, teacher } = options
    if (run !== undefined && model !== undefined) throw expected('invalid_option', 'evaluate', 'either a run directory or --model', 'both')
    if (model !== undefined) return evaluateModelCommand({ ...options, model }, command, context)
    const source = run ?? subsetOf(options)
    if (source === undefined)
      throw expected('invalid_option', 'evaluate', 'a run directory, --model, or --subset with --data', 'none of them')
    for (const name of ['mean', 'std', 'scale'] as const) {
      if (options[name] === undefined || (teacher !== undefined && isModelFile(teacher))) continue
      throw expected('invalid_option', `--${name}`, '--model or --teacher with an ONNX file beside it', source)
    }
    if (options.teacherEpochs !== undefined && (teacher === undefined || isModelFile(teacher)))
      throw expected('invalid_option', '--teacher-epochs', '--teacher with the name of a network beside it', teacher)
    if (options.labels !== undefined && teacher !== undefined)
      throw expected('invalid_option', '--labels', 'none beside --teacher, whose answers are the labels', options.labels)
    return evaluateCommand(run, options, command, context)
  })
}

/** The file of the subset that is to be trained on itself. */
const subsetOf = (options: Options): string | undefined =>
  options.data === undefined ? undefined : parseSpecification(specificationOf(options.data, options)).options.subset

/** What networks are trained on first, and where it stands: a run, a saved set, or a subset of real images. */
export interface Measured {
  readonly set: SyntheticSet
  readonly label: string
  /** Directory of the run that accuracies are written to. */
  readonly run: string | undefined
  readonly of: RunRecord | undefined
  /** Steps after which the images of the run were saved. */
  readonly steps: number | undefined
  readonly data: string
}

/** A run, or a saved set, with the data set that its networks are measured on. */
export async function openRun(run: string, options: DataOptions): Promise<Measured> {
  const isRun = await exists(join(run, runFile))
  // the accuracies are written down at the end: better to hear now that another process works there
  if (isRun) await checkUnlocked(run)
  const of = isRun ? await readRunRecord(run) : undefined
  const set = of ? await loadRunSet(run, of) : await loadSyntheticSet(run)
  const steps = of && (await readEvents(run)).findLast((event) => event.type === 'done')?.step
  const ofRun = of && runSpecification(run, of)
  const named = options.data ?? ofRun
  if (named === undefined) throw new AludelError('invalid_option', `${run}: holds no ${runFile} that names its data; give --data`)
  const data = completedBy(specificationOf(named, options), ofRun)
  return { set, label: 'distilled', run: isRun ? run : undefined, of, steps, data }
}

/** The images that a subset keeps; baselines and a teacher are of the whole data. */
async function openSubset(options: Options & { readonly data: string }, { library }: CliContext): Promise<Measured> {
  const chosen = specificationOf(options.data, options)
  const set = await library.subsetSet(await library.openDataset(chosen, 'train', openOptions(options)))
  const { name, path, options: reading } = parseSpecification(chosen)
  const { subset: _, ...whole } = reading
  const data = formatSpecification({ name, path, options: whole })
  return { set, label: 'the subset', run: undefined, of: undefined, steps: undefined, data }
}

async function evaluateCommand(source: string | undefined, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { seed, labels, herdingEpochs, inference, scores, teacher: teacherName } = options
  // A subset is a baseline itself: others stand beside it when they are asked for.
  const none = source === undefined && command.getOptionValueSource('baseline') !== 'cli'
  const baselines = none ? [] : (options.baseline || []).map(baselineOf)
  checkScoresGiven(baselines, scores)
  const measured = source === undefined ? await openSubset(options as Options & { data: string }, context) : await openRun(source, options)
  const { set, run, of, steps, data } = measured
  const { networks: wanted, repeats, protocol: named, epochs, augment } = measuring(options, command, of?.recipe?.evaluate)
  // of the set, and then of all that is trained on beside it
  const protocol = named ?? defaultProtocol(set)
  const networks = wanted ?? [protocolNamed(protocol).network ?? 'convnet']
  const read = await library.openDataset(data, 'test', openOptions(options))
  checkLabelled('evaluate', read)
  if (read.classes.join('\n') !== set.classes.join('\n')) {
    throw expected('invalid_option', `--data ${data}: classes`, `those of the set (${set.classes.join(', ')})`, read.classes.join(', '))
  }
  const device = await library.openDevice(deviceOf(options))
  let teacher: Teacher | undefined
  try {
    const asSet = async (dataset: Dataset) => (set.whitening ? library.whiten(dataset, set.whitening, device) : dataset)
    const test = await asSet(read)
    const settings = { networks, repeats, protocol, seed, inference, ...given({ epochs, augment }) } as const
    const measure = async (images: TrainingSource, named: string) => {
      const label = `${named}${teacherName === undefined ? '' : softLabel(teacherName)}`
      let endPhase = startPhase('')
      // Told and kept network by network: what an interrupt ends later is not lost.
      const onResult = async (result: EvaluationResult) => {
        output.line(`${result.network} on ${label}: ${formatAccuracy(result)} (n=${result.n} networks${trainingNote(result)})`)
        if (run !== undefined)
          await recordEvaluation(
            run,
            {
              ...{ label, protocol, epochs: epochs ?? null, data, seed, augment: augment ?? null, results: [result] },
              ...(images === set && given({ steps })),
            },
            { ...endPhase(), name: `evaluate ${result.network} on ${label}` },
          )
        endPhase = startPhase('')
      }
      const source = teacher ? await softened(images, teacher, repeats, library) : images
      const own = images === set ? { ...settings, ...given({ labels }) } : settings
      const results = await runEvaluation({ library, output, device, source, test, settings: own, label, onResult })
      return Object.fromEntries(results.map(({ network, ...accuracy }) => [network, accuracy]))
    }
    if (run !== undefined) await recordCommand(run, commandLine(context.args))
    const needsTrain = baselines.length > 0 || (teacherName !== undefined && !isModelFile(teacherName))
    const train = needsTrain ? await asSet(await library.openDataset(data, 'train', openOptions(options))) : undefined
    const ipc = largestClass(set)
    // What the baselines need is looked at before anything trains: hours must not end in a missing file.
    const sourceOf =
      train && baselines.length > 0
        ? await prepareBaselines({ library, output, device, names: baselines, train, ipc, scores, herdingEpochs, seed })
        : undefined
    if (teacherName !== undefined)
      teacher = await openTeacher({ ...options, teacher: teacherName }, { library, output, device, set, train, seed })
    const first = await measure(set, `${measured.label}${labels === 'hard' && (set.labelLogits ?? set.targets) ? ', hard labels' : ''}`)
    const others: [string, Awaited<ReturnType<typeof measure>>][] = []
    for (const name of sourceOf ? baselines : []) {
      others.push([name, await measure(await (sourceOf as NonNullable<typeof sourceOf>)(name), baselineLabels[name])])
    }
    output.value({
      accuracy: first[networks[0]],
      networks: first,
      baselines: Object.fromEntries(others),
      run: source ?? null,
      data,
      protocol,
      labels: teacherName ?? ((set.labelLogits ?? set.targets) && labels !== 'hard' ? 'learned' : 'hard'),
      epochs: epochs ?? null,
      seed,
    })
  } finally {
    teacher?.dispose()
    await device.close()
  }
}

type Measuring = Pick<Options, 'networks' | 'repeats' | 'protocol' | 'epochs' | 'augment'>

/** What the command says, else what the run's recipe says, else the defaults. */
function measuring(options: Options, command: Command, recipe: NonNullable<RunRecord['recipe']>['evaluate'] = {}): Measuring {
  const own = Object.entries(recipe).filter(([name]) => command.getOptionValueSource(name) !== 'cli')
  return { ...options, ...Object.fromEntries(own) }
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
