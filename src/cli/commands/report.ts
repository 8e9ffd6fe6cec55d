/** @file `aludel report RUN…`: the page of one run, or several runs beside each other. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { readRunRecord, runSpecification } from '../../experiment/run-dir.js'
import { loadSyntheticSet } from '../../experiment/synthetic-set.js'
import { writeComparison, writeReport } from '../../report/index.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { given, nonEmptyPath } from '../options.js'
import { addRealImages } from '../real-images.js'
import { addDeviceOptions, type DeviceOptions } from './shared-options.js'

interface Options extends DeviceOptions, DataOptions {
  readonly real: boolean
  readonly out?: string
}

export function addReport(program: Command, context: CliContext): void {
  const command = program
    .command('report')
    .description('write report.html of a run, or one page that compares several')
    .argument('<run...>', 'run directories')
    .option('--no-real', 'do not look at the training data: show real images only where the run has them')
    .option('--out <file>', 'page to write (default: report.html in the run; comparison.html for several)', nonEmptyPath)
  addDataOptions(command, 'training data to show beside the images of one run (default: that of the run)')
  addDeviceOptions(command).action((runs: string[], options: Options) => reportCommand(runs, options, command, context))
}

async function reportCommand(runs: string[], options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  if (runs.length === 1 && options.real) await showReal(runs[0], options, context)
  const report =
    runs.length === 1
      ? await writeReport(runs[0], options.out)
      : await writeComparison(runs, options.out ?? join(process.cwd(), 'comparison.html'))
  output.line(report)
  output.value({ report })
}

async function showReal(run: string, options: Options, { library }: CliContext): Promise<void> {
  const { threads, device: kind } = options
  const ofRun = runSpecification(run, await readRunRecord(run))
  const set = await loadSyntheticSet(run)
  const data = completedBy(specificationOf(options.data ?? ofRun, options), ofRun)
  const train = await library.openDataset(data, 'train', openOptions(options))
  const device = await library.openDevice(given({ threads, device: kind }))
  try {
    await addRealImages(run, { set, train, device, library })
  } finally {
    await device.close()
  }
}
