/** @file `aludel report DIR…`: the page of a run, of scores or of a sweep, or several runs beside each other. */
import { join } from 'node:path'
import type { Command } from 'commander'
import { exists } from '../../data/file-bytes.js'
import { expected } from '../../errors.js'
import { readRunRecord, runFile, runSpecification } from '../../experiment/run-dir.js'
import { sweepFile } from '../../experiment/sweep-record.js'
import { loadSyntheticSet } from '../../experiment/synthetic-set.js'
import { writeComparison, writeReport, writeSweepReport } from '../../report/index.js'
import { isScoreDirectory, readRecord } from '../../scoring/score-directory.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, completedBy, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { given, nonEmptyPath } from '../options.js'
import type { Output } from '../output.js'
import { addRealImages } from '../real-images.js'
import { reportScores } from '../score-report.js'
import { addDeviceOptions, type DeviceOptions, deviceOf } from './shared-options.js'

interface Options extends DeviceOptions, DataOptions {
  readonly real: boolean
  readonly nas?: string
  readonly out?: string
}

export function addReport(program: Command, context: CliContext): void {
  const command = program
    .command('report')
    .description('write report.html of a run, of scores or of a sweep, or one page that compares several runs')
    .argument('<dir...>', 'run directories, or one directory of scores or of a sweep')
    .option('--no-real', 'do not look at the training data: show real images only where the run has them')
    .option('--nas <dir>', 'directory of aludel nas on the set of one run (default: the run)', nonEmptyPath)
    .option('--out <file>', 'page to write (default: report.html in the directory; comparison.html for several)', nonEmptyPath)
  addDataOptions(command, 'training data to show beside the images of one run (default: that of the run)')
  addDeviceOptions(command).action((dirs: string[], options: Options) => reportCommand(dirs, options, command, context))
}

async function reportCommand(dirs: string[], options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const report = await writePage(dirs, options, context, output)
  output.line(report)
  output.value({ report })
}

async function writePage(dirs: string[], options: Options, context: CliContext, output: Output): Promise<string> {
  if (options.nas !== undefined && (dirs.length > 1 || !(await exists(join(dirs[0], runFile)))))
    throw expected('invalid_option', '--nas', 'one run beside it', dirs.join(', '))
  if (dirs.length > 1) return writeComparison(dirs, options.out ?? join(process.cwd(), 'comparison.html'))
  const [dir] = dirs
  if (await isScoreDirectory(dir))
    return reportScores(dir, { library: context.library, output, record: await readRecord(dir), options, real: options.real })
  if (await exists(join(dir, sweepFile))) return writeSweepReport(dir, options.out)
  if (options.real) await showReal(dir, options, context)
  return writeReport(dir, options.out, given({ nas: options.nas }))
}

async function showReal(run: string, options: Options, { library }: CliContext): Promise<void> {
  const record = await readRunRecord(run)
  // a run without labels has kept what the report shows of real images
  if (record.representations) return
  const ofRun = runSpecification(run, record)
  const set = await loadSyntheticSet(run)
  const data = completedBy(specificationOf(options.data ?? ofRun, options), ofRun)
  const train = await library.openDataset(data, 'train', openOptions(options))
  const device = await library.openDevice(deviceOf(options))
  try {
    await addRealImages(run, { set, train, device, library })
  } finally {
    await device.close()
  }
}
