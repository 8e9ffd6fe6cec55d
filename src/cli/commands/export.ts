/** @file `aludel export RUN`: the distilled set in the forms that others read, or networks trained on it as ONNX models. */
import { join } from 'node:path'
import { type Command, Option } from 'commander'
import { exists } from '../../data/file-bytes.js'
import { AludelError, expected } from '../../errors.js'
import { loadRunSet, readRunRecord, runFile } from '../../experiment/run-dir.js'
import { loadSyntheticSet } from '../../experiment/synthetic-set.js'
import type { LabelKind, ProtocolName, SyntheticSet } from '../../experiment/types.js'
import { writeNewFile } from '../../export/write-new.js'
import { withPools } from '../../nn/networks/registry.js'
import { type CliContext, outputOf } from '../context.js'
import { given, nameList, nonEmptyPath, wholeNumber } from '../options.js'
import type { Output } from '../output.js'
import { withProgress } from '../run-evaluation.js'
import {
  addDeviceOptions,
  type DeviceOptions,
  deviceOf,
  deviceOptionNames,
  labelsOption,
  protocolOption,
  seedOption,
} from './shared-options.js'

interface Options extends DeviceOptions {
  readonly format: 'npz' | 'png' | 'parquet' | 'onnx'
  readonly out?: string
  readonly networks: string[]
  readonly repeats: number
  readonly protocol?: ProtocolName
  readonly labels?: LabelKind
  readonly epochs?: number
  readonly augment?: string
  readonly seed: number
}

/** Where each format goes below the run, unless --out says otherwise. */
const places = { npz: 'data.npz', png: 'png', parquet: 'train.parquet', onnx: 'onnx' } as const

/** Options that only networks have. */
const ofNetworks = ['networks', 'repeats', 'protocol', 'labels', 'epochs', 'augment', 'seed', ...deviceOptionNames]

export function addExport(program: Command, context: CliContext): void {
  const command = program
    .command('export')
    .description('write a distilled set as npz, PNG files or parquet, or networks trained on it as ONNX')
    .argument('<run>', 'run directory, or the directory of a saved set', nonEmptyPath)
    .addOption(new Option('--format <name>', 'what to write').choices(Object.keys(places)).makeOptionMandatory())
    .option('--out <path>', 'file, or folder for png and onnx (default: below export/ in the run)', nonEmptyPath)
    .option('--networks <names>', 'onnx: networks to train, or pools such as unseen, separated by commas', nameList, ['convnet'])
    .option('--repeats <n>', 'onnx: networks trained from scratch per name', wholeNumber(1), 1)
    .addOption(protocolOption('onnx: '))
    .addOption(labelsOption('onnx: '))
    .option('--epochs <n>', "onnx: training epochs (default: the protocol's 1000)", wholeNumber(1))
    .option('--augment <policy>', 'onnx: augmentation while training (default: dsa)')
    .addOption(seedOption())
  addDeviceOptions(command).action((run: string, options: Options) => exportCommand(run, options, command, context))
}

async function exportCommand(run: string, options: Options, command: Command, context: CliContext): Promise<void> {
  const output = outputOf(context, command)
  const { format, out = join(run, 'export', places[format]) } = options
  if (format !== 'onnx') {
    const wrong = ofNetworks.find((name) => command.getOptionValueSource(name) === 'cli')
    if (wrong !== undefined) throw expected('invalid_option', `--${wrong}`, '--format onnx, which trains networks', format)
  }
  const set = (await exists(join(run, runFile))) ? await loadRunSet(run, await readRunRecord(run)) : await loadSyntheticSet(run)
  if (format === 'onnx') return exportNetworks(set, out, options, output, context)
  const { path, files, bytes } = await context.library.exportSet(set, { format, out })
  output.line(`${path}: ${files === 1 ? '' : `${files} files, `}${bytes} bytes`)
  output.value({ format, path, files, bytes })
}

async function exportNetworks(set: SyntheticSet, out: string, options: Options, output: Output, { library }: CliContext): Promise<void> {
  const { networks: named, repeats, protocol, labels, epochs, augment, seed } = options
  const networks = withPools(named)
  const fileOf = (network: string, index: number) => join(out, `${network}-${index}.onnx`)
  for (const network of networks) {
    for (let i = 0; i < repeats; i++) {
      // Before hours of training; whether it would hold the same bytes is known after them only.
      if (await exists(fileOf(network, i)))
        throw new AludelError('invalid_option', `${fileOf(network, i)}: exists already; remove it or give another --out`)
    }
  }
  const device = await library.openDevice(deviceOf(options))
  const models: { readonly network: string; readonly path: string; readonly bytes: number }[] = []
  try {
    await withProgress(output, 'the set', ({ signal, onProgress, endLine }) => {
      const training = { networks, repeats, seed, device, signal, onProgress, ...given({ protocol, labels, epochs, augment }) }
      return library.trainModels(set, training, async ({ network, index, bytes }) => {
        endLine()
        const path = fileOf(network, index)
        await writeNewFile(path, bytes)
        models.push({ network, path, bytes: bytes.length })
        output.line(`${path}: ${bytes.length} bytes`)
      })
    })
    output.value({ format: 'onnx', models })
  } finally {
    await device.close()
  }
}
