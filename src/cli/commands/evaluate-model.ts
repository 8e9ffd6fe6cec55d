/** @file `aludel evaluate --model FILE`: the accuracy of any ONNX image classifier on real test images. */
import type { Command } from 'commander'
import { expected } from '../../errors.js'
import { type CliContext, outputOf } from '../context.js'
import { type DataOptions, openOptions, specificationOf } from '../data-options.js'
import { type InterruptibleWork, onInterruptibleDevice } from '../interruptible-device.js'
import { given } from '../options.js'
import { noticeScale } from '../pixel-scale.js'
import { Progress } from '../progress.js'
import { type DeviceOptions, deviceOptionNames } from './shared-options.js'

export interface ModelOptions extends DeviceOptions, DataOptions {
  readonly model: string
  readonly mean?: number[]
  readonly std?: number[]
  readonly scale?: number
}

/** Options of `evaluate` that mean something to a model; every other one speaks of networks that are trained first. */
const applying = ['data', 'size', 'fit', 'onUnreadable', 'cache', 'model', 'mean', 'std', 'scale', ...deviceOptionNames]

export async function evaluateModelCommand(options: ModelOptions, command: Command, context: CliContext): Promise<void> {
  const { library } = context
  const output = outputOf(context, command)
  const { model, mean, std, scale } = options
  for (const name of Object.keys(command.opts())) {
    if (command.getOptionValueSource(name) !== 'cli' || applying.includes(name)) continue
    throw expected('invalid_option', `evaluate --model`, `options among ${applying.map((o) => `--${o}`).join(', ')}`, `--${name}`)
  }
  if (options.data === undefined) throw expected('invalid_option', 'evaluate --model', '--data with the data set to measure on', undefined)
  noticeScale(output, options)
  const data = specificationOf(options.data, options)
  const test = await library.openDataset(data, 'test', openOptions(options))
  const bar = new Progress({ label: `test ${model}, image`, total: test.shape[0], stream: output.stderr })
  const work = async ({ device, signal }: InterruptibleWork) => {
    const onProgress = ({ images }: { readonly images: number }) => bar.update(images, [])
    const result = await library.evaluateModel(model, { test, device, signal, onProgress, ...given({ mean, std, scale }) })
    bar.finish()
    const { accuracy, correct, images, provider } = result
    output.line(`${model}: ${accuracy.toFixed(2)} % (${correct} of ${images} test images, ONNX Runtime on ${provider})`)
    output.value({ model, data, ...result })
  }
  await onInterruptibleDevice(
    library,
    options,
    () => undefined,
    (given) => work(given).finally(() => bar.finish()),
  )
}
