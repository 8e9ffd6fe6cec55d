/** @file `aludel distill`: a data set in, a run directory with synthetic images out. */

import { join } from 'node:path'
import { type Command, Option } from 'commander'
import type { DistillSettings } from '../../experiment/types.js'
import { writeReport } from '../../report/index.js'
import { type CliContext, outputOf } from '../context.js'
import { exitCode } from '../exit-codes.js'
import { assignment, given, nonEmptyPath, type OptionText, positiveNumber, wholeNumber } from '../options.js'
import { runDistillation } from '../run-distillation.js'
import { addDeviceOptions, type DeviceOptions, seedOption } from './shared-options.js'

interface Options extends DistillSettings, DeviceOptions {
  readonly data: string
  readonly out?: string
  readonly set?: Readonly<Record<string, OptionText>>
}

export function addDistill(program: Command, context: CliContext): void {
  const command = program
    .command('distill')
    .description('distill a data set into a few synthetic images per class')
    .requiredOption(
      '--data <name[:dir]>',
      'training data: cifar10:DIR, mnist:DIR, fashion-mnist:DIR, or fashion-mnist for the bundled subset',
    )
    .option('--method <name>', 'distillation method', 'dm')
    .option('--ipc <n>', 'synthetic images per class', wholeNumber(1), 1)
    .option('--iterations <n>', "outer steps (default: the preset's)", wholeNumber(1))
    .option('--real-batch <n>', "real images per class and step (default: the preset's)", wholeNumber(1))
    .option('--image-lr <x>', "learning rate of the pixels (default: the preset's)", positiveNumber)
    .addOption(new Option('--init <start>', "what the images start from (default: the preset's)").choices(['real', 'noise']))
    .option('--augment <policy>', "none, dsa, or operations joined by _ such as color_crop_flip (default: the preset's)")
    .option('--network <name>', "network that the images are matched under (default: the preset's)")
    .option('--preset <name>', "published settings that everything not given is taken from (default: the method's first)")
    .option('--set <key=value>', "one of the method's own options; repeatable", assignment)
    .addOption(seedOption())
    .option('--out <dir>', 'run directory (default: runs/METHOD-DATA-ipcN-seedN)', nonEmptyPath)
  addDeviceOptions(command).action((options: Options) => distillCommand(options, command, context))
}

async function distillCommand(options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const {
    data,
    out,
    threads,
    device: kind,
    method,
    ipc,
    seed,
    iterations,
    realBatch,
    imageLr,
    init,
    augment,
    network,
    preset,
    set,
  } = options
  const dataset = await library.openDataset(data, 'train')
  const dir = out ?? join('runs', `${method}-${dataset.name}-ipc${ipc}-seed${seed}`)
  const general = { iterations, realBatch, imageLr, init, augment, network, preset, seed }
  const settings = { method, ipc, ...given({ ...general, methodOptions: set }) } as DistillSettings
  const device = await library.openDevice(given({ threads, device: kind }))
  try {
    const job = { library, output, device, dataset, specification: data, settings, dir, args: context.args }
    const { runDir, done, loss, interrupted } = await runDistillation(job)
    await runDir.close()
    const report = await writeReport(dir)
    output.line(`${done.step} of ${done.iterations} steps in ${done.seconds.toFixed(1)} s; images in ${dir}, report in ${report}`)
    const { status } = runDir.record
    output.value({ run: dir, status, steps: done.step, iterations: done.iterations, seconds: done.seconds, loss, report })
    if (interrupted) context.setExitCode(exitCode.interrupted)
  } finally {
    await device.close()
  }
}
