/** @file `aludel quickstart`: the whole way on bundled data in a few minutes, from images to distilled images to accuracies to a report. */
import type { Command } from 'commander'
import type { Dataset } from '../../data/dataset.js'
import type { TrainingSource } from '../../evaluate/index.js'
import type { DeviceHandle, EvaluationResult } from '../../experiment/types.js'
import { writeReport } from '../../report/index.js'
import { type CliContext, outputOf } from '../context.js'
import { nonEmptyPath, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import { startPhase } from '../phase.js'
import { concludeDistillation, type Distillation, runDistillation } from '../run-distillation.js'
import { formatAccuracy, runEvaluation } from '../run-evaluation.js'
import { addDeviceOptions, type DeviceOptions, deviceOf, seedOption } from './shared-options.js'

const specification = 'fashion-mnist'
const network = 'convnet'
const realBatch = 32
const ipc = 1

interface Options extends DeviceOptions {
  readonly iterations: number
  readonly repeats: number
  readonly epochs: number
  readonly seed: number
  readonly out: string
}

export function addQuickstart(program: Command, context: CliContext): void {
  const command = program
    .command('quickstart')
    .description('distill the bundled Fashion-MNIST subset to one image per class and compare with random real images')
    .option('--iterations <n>', 'distillation steps', wholeNumber(1), 120)
    .option('--repeats <n>', 'networks trained per set', wholeNumber(1), 5)
    .option('--epochs <n>', 'training epochs per network', wholeNumber(1), 120)
    .addOption(seedOption())
    .option('--out <dir>', 'run directory; an earlier run in it is replaced', nonEmptyPath, 'runs/quickstart')
  addDeviceOptions(command).action((options: Options) => quickstartCommand(options, command, context))
}

async function quickstartCommand(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { iterations, seed, out } = options
  const train = await library.openDataset(specification, 'train')
  const device = await library.openDevice(deviceOf(options))
  try {
    const settings = { method: 'dm', ipc, iterations, realBatch, network, seed }
    const distillation = await runDistillation({
      library,
      output,
      device,
      dataset: train,
      specification,
      settings,
      dir: out,
      args: context.args,
      overwrite: true,
    })
    try {
      if (distillation.interrupted) await concludeDistillation(distillation, output, context)
      else await compare(distillation, train, device, options, context, output)
    } finally {
      await distillation.runDir.close()
    }
  } finally {
    await device.close()
  }
}

/** Trains on the distilled and on random real images, writes both down, and prints the line that sums the run up. */
async function compare(
  { runDir, set, done, loss }: Distillation,
  train: Dataset,
  device: DeviceHandle,
  { seed, epochs, repeats, out }: Options,
  context: CliContext,
  output: Output,
): Promise<void> {
  const { library } = context
  const test = await library.openDataset(specification, 'test')
  const entries: [string, TrainingSource][] = [
    ['distilled', set],
    ['random real images', await library.randomBaseline(train, ipc, seed)],
  ]
  const results: EvaluationResult[] = []
  for (const [label, source] of entries) {
    // The engine, as everywhere without onnxruntime-node: the accuracies are the same, and a first look should not wait.
    const settings = { networks: [network], repeats, epochs, seed, inference: 'engine' } as const
    const endPhase = startPhase(`evaluate ${network} on ${label}`)
    const evaluation = await runEvaluation({ library, output, device, source, test, settings, label }).catch(async (error) => {
      // the images are there, and so may be the first accuracies: an interrupt does not take them away
      // what failed first is what the user hears of: a full disk takes the report too
      await writeReport(out).then(
        (path) => output.notice(`images in ${out}, report in ${path}`),
        () => undefined,
      )
      throw error
    })
    results.push(evaluation[0])
    const evaluated = { label, epochs, data: specification, seed, augment: null, results: evaluation }
    await runDir.append({ type: 'evaluation', ...evaluated })
    await runDir.update({
      evaluations: [...runDir.record.evaluations, evaluated],
      phases: [...(runDir.record.phases ?? []), endPhase()],
    })
  }
  const report = await writeReport(out)
  const [distilled, randomReal] = results
  output.line(`images in ${out}, report in ${report}`)
  output.line(summaryLine(distilled, randomReal))
  output.value({ run: out, steps: done.step, seconds: done.seconds, loss, report, distilled, randomReal })
}

export const summaryLine = (distilled: EvaluationResult, randomReal: EvaluationResult): string =>
  `accuracy: distilled ${formatAccuracy(distilled)}, random real images ${formatAccuracy(randomReal)} (ConvNet-3, IPC ${ipc}, n=${distilled.n} networks)`
