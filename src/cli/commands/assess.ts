/** @file `aludel assess TEACHER`: what a frozen encoder's representations of a data set are worth, before anything is distilled from it. */
import { type Command, Option } from 'commander'
import { AludelError } from '../../errors.js'
import { type CliContext, outputOf } from '../context.js'
import { addDataOptions, type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { onInterruptibleDevice } from '../interruptible-device.js'
import { factor, numberList, wholeNumber } from '../options.js'
import { printQuality } from '../quality-lines.js'
import { openEncoder, teacherChoice } from '../representations.js'
import { addDeviceOptions, type DeviceOptions, seedOption } from './shared-options.js'

interface Options extends DataOptions, DeviceOptions {
  readonly split: 'train' | 'test'
  readonly teacherOutput?: string
  readonly teacherObjective?: string
  readonly mean?: number[]
  readonly std?: number[]
  readonly scale?: number
  readonly images: number
  readonly seed: number
}

export function addAssess(program: Command, context: CliContext): void {
  const command = program
    .command('assess')
    .description(
      'look at the representations that a teacher gives images: their range and spread, and what a linear classifier makes of them',
    )
    .argument('<teacher>', 'an ONNX model or a directory of aludel pretrain')
    .addOption(new Option('--split <name>', 'which images').choices(['train', 'test']).default('train'))
    .option('--images <n>', 'images to look at, drawn of all', wholeNumber(2), 4000)
    .option('--teacher-output <name>', "an ONNX model's output that is taken (default: features, or the only one)")
    .option('--teacher-objective <name>', 'what an ONNX model was trained by (default: unknown)')
    .option('--mean <numbers>', "mean per channel of an ONNX model's normalisation (default: that of its metadata)", numberList)
    .option('--std <numbers>', 'standard deviation per channel', numberList)
    .option('--scale <factor>', 'what bytes are multiplied by before that, a number or 1/255 (default: 1/255)', factor)
    .addOption(seedOption())
  addDataOptions(command, 'the images; labels are read for the linear classifier alone')
  addDeviceOptions(command).action((teacher: string, options: Options) => assess(teacher, options, command, context))
}

async function assess(path: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { split, images: samples, seed } = options
  if (options.data === undefined) throw new AludelError('invalid_option', "required option '--data <name[:path]>' not specified")
  const data = await library.openDataset(specificationOf(options.data, options), split, openOptions(options))
  await onInterruptibleDevice(
    library,
    options,
    () => undefined,
    async ({ device, signal }) => {
      const teacher = await openEncoder(library, teacherChoice({ ...options, teacher: path }), { device, image: data.shape.slice(1) })
      try {
        const quality = await library.assessTeacher(teacher, data, { samples, seed, signal })
        printQuality(quality, output)
        output.value(quality)
      } finally {
        await teacher.dispose()
      }
    },
  )
}
