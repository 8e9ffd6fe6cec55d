/** @file `aludel evaluate RUN`: trains fresh networks on a distilled set and measures them on real test images. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { exists } from '../../data/file-bytes.js'
import { AludelError, expected } from '../../errors.js'
import { checkUnlocked, loadRunSet, readRunRecord, reopenRunDir, runFile } from '../../experiment/run-dir.js'
import { loadSyntheticSet } from '../../experiment/synthetic-set.js'
import type { EvaluationResult, SyntheticSet } from '../../experiment/types.js'
import { writeReport } from '../../report/index.js'
import { type CliContext, outputOf } from '../context.js'
import type { Library } from '../library.js'
import { given, nameList, wholeNumber } from '../options.js'
import { formatAccuracy, runEvaluation } from '../run-evaluation.js'
import { addDeviceOptions, type DeviceOptions, seedOption } from './shared-options.js'

interface Options extends DeviceOptions {
  readonly data?: string
  readonly networks: string[]
  readonly repeats: number
  readonly epochs?: number
  readonly augment?: string
  readonly seed: number
  readonly baseline: boolean
}

export function addEvaluate(program: Command, context: CliContext): void {
  const command = program
    .command('evaluate')
    .description('train networks on a distilled set and report their test accuracy')
    .argument('<run>', 'run directory, or the directory of a saved set')
    .option('--data <name[:dir]>', 'data set whose test images are used (default: that of the run)')
    .option('--networks <names>', 'networks to train, separated by commas', nameList, ['convnet'])
    .option('--repeats <n>', 'networks trained from scratch per name', wholeNumber(1), 5)
    .option('--epochs <n>', "training epochs (default: the protocol's 1000)", wholeNumber(1))
    .option('--augment <policy>', 'augmentation while training (default: dsa)')
    .option('--no-baseline', 'leave out random real images of the same number per class under the same protocol')
    .addOption(seedOption())
  addDeviceOptions(command).action((run: string, options: Options) => evaluateCommand(run, options, command, context))
}

async function evaluateCommand(run: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { networks, repeats, epochs, augment, seed, threads, device: kind, baseline } = options
  const isRun = await exists(join(run, runFile))
  // the accuracies are written down at the end: better to hear now that another process works there
  if (isRun) await checkUnlocked(run)
  const of = isRun ? await readRunRecord(run) : undefined
  const set = of ? await loadRunSet(run, of) : await loadSyntheticSet(run)
  const data = options.data ?? of?.data.specification
  if (data === undefined) throw new AludelError('invalid_option', `${run}: holds no ${runFile} that names its data; give --data`)
  const test = await library.openDataset(data, 'test')
  if (test.classes.join('\n') !== set.classes.join('\n')) {
    throw expected('invalid_option', `--data ${data}: classes`, `those of the set (${set.classes.join(', ')})`, test.classes.join(', '))
  }
  const device = await library.openDevice(given({ threads, device: kind }))
  try {
    const settings = { networks, repeats, seed, ...given({ epochs, augment }) } as const
    const measure = async (entry: SyntheticSet, label: string) => {
      const results = await runEvaluation({ library, output, device, set: entry, test, settings, label })
      if (isRun) await record(run, label, epochs ?? null, results)
      for (const result of results) output.line(`${result.network} on ${label}: ${formatAccuracy(result)} (n=${result.n} networks)`)
      return results.map(({ network, ...accuracy }) => [network, accuracy] as const)
    }
    const distilled = await measure(set, 'distilled')
    const random = baseline ? await measure(await randomReal(set, data, seed, library), 'random real images') : undefined
    output.value({
      accuracy: distilled[0][1],
      networks: Object.fromEntries(distilled),
      ...(random && { random: Object.fromEntries(random) }),
      run,
      data,
      epochs: epochs ?? null,
      seed,
    })
  } finally {
    await device.close()
  }
}

/** The baseline: as many random real training images per class as the set has, the most of any class where they differ. */
async function randomReal(set: SyntheticSet, data: string, seed: number, library: Library): Promise<SyntheticSet> {
  const counts = new Int32Array(set.classes.length)
  for (const label of set.labels) counts[label]++
  return library.randomRealSet(await library.openDataset(data, 'train'), Math.max(...counts), seed)
}

/** Adds the accuracies to the run and its report. */
async function record(run: string, label: string, epochs: number | null, results: readonly EvaluationResult[]): Promise<void> {
  const runDir = await reopenRunDir(run)
  try {
    const entry = { label, epochs, results }
    await runDir.append({ type: 'evaluation', ...entry })
    await runDir.update({ evaluations: [...runDir.record.evaluations, entry] })
  } finally {
    await runDir.close()
  }
  await writeReport(run)
}
