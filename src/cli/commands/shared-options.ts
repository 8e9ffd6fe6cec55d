/** @file Options that mean the same in every command. */
import { type Command, Option } from 'commander'
import type { ZcaOrder } from '../../data/whitening.js'
import { type Precision, precisions } from '../../engine/isa.js'
import { AludelError } from '../../errors.js'
import { assignment, byteCount, given, type OptionText, positiveNumber, shardOption, wholeNumber } from '../options.js'
import type { ZcaChoice } from '../whitening.js'

export interface DeviceOptions {
  readonly threads?: number
  readonly device?: 'cpu' | 'cuda'
  readonly gpu?: number
  readonly precision?: Precision
  readonly memory?: number
}

/** Names of these options in code. */
export const deviceOptionNames: readonly string[] = ['threads', 'device', 'gpu', 'precision', 'memory'] satisfies (keyof DeviceOptions)[]
/** Those that may stand beside --resume: what the result does not depend on. */
export const resumableDeviceOptions = deviceOptionNames.filter((name) => name !== 'precision')

/** What `openDevice` is asked for. */
export const deviceOf = ({ threads, device, gpu, precision, memory }: DeviceOptions) =>
  given({ threads, device, index: gpu, precision, memory })

export function addDeviceOptions(command: Command): Command {
  return command
    .option('--threads <n>', 'worker threads of the CPU device (default: all cores); results do not depend on it', wholeNumber(1))
    .addOption(new Option('--device <kind>', 'where to compute (default: the best there is)').choices(['cpu', 'cuda']))
    .option('--gpu <index>', 'which GPU, as aludel doctor numbers them (default: 0)', wholeNumber(0))
    .addOption(new Option('--precision <name>', 'of products on a GPU; storage and sums are float32 (default: tf32)').choices(precisions))
    .option('--memory <size>', 'most memory that the device may take, such as 8G (default: what is free)', byteCount)
}

/** What is distilled by which method, beside the data. */
export function addMethodOptions(command: Command): Command {
  return command
    .option('--method <name>', 'distillation method', 'dm')
    .option('--ipc <n>', 'synthetic images per class', wholeNumber(1), 1)
    .option('--iterations <n>', "outer steps (default: the preset's)", wholeNumber(1))
    .option('--real-batch <n>', "real images per class and step (default: the preset's)", wholeNumber(1))
    .addOption(new Option('--init <start>', "what the images start from (default: the preset's)").choices(['real', 'noise', 'predicted']))
    .option('--augment <policy>', "none, dsa, or operations joined by _ such as color_crop_flip (default: the preset's)")
    .option('--network <name>', "network that the images are matched under (default: the preset's)")
    .option('--preset <name>', "published settings that everything not given is taken from (default: the method's first)")
    .option('--class-group <n>', 'classes that a step computes at once (default: all where they fit 4 GiB)', wholeNumber(1))
    .option('--shard <i/n>', 'distil part i of n of the classes only; aludel merge puts the parts together', shardOption)
    .option('--mask <rule>', "parameters that the loss leaves out: none, depth:A or loss:A (default: the preset's)")
    .option('--set <key=value>', "one of the method's own options; repeatable", assignment)
}

/** The method's own options: those of --set, and the mask. Throws `invalid_option` where both say the mask. */
export function methodOptionsOf({ set, mask }: { readonly set?: Readonly<Record<string, OptionText>>; readonly mask?: string }) {
  if (mask === undefined) return set
  if (set?.mask !== undefined) throw new AludelError('invalid_option', '--mask: --set says the mask too; give one of the two')
  return { ...set, mask }
}

export interface WhiteningOptions {
  readonly zca?: ZcaOrder | true
  readonly zcaEps?: number
}

export function addWhiteningOptions(command: Command): Command {
  const rule = 'whiten the images: raw pixels (default), or pixels normalised by channel first'
  return command
    .addOption(new Option('--zca [order]', rule).choices(['raw', 'normalised']))
    .option('--zca-eps <x>', 'what is added to the eigenvalues of the covariance (default: 0.1)', positiveNumber)
}

/** Throws `invalid_option` for an eps without whitening. */
export function zcaOf({ zca, zcaEps }: WhiteningOptions): ZcaChoice | undefined {
  if (zca === undefined && zcaEps !== undefined) throw new AludelError('invalid_option', '--zca-eps: goes with --zca only')
  return zca && { order: zca === true ? 'raw' : zca, ...given({ eps: zcaEps }) }
}

export const protocolOption = (what = ''): Option =>
  new Option(
    '--protocol <name>',
    `${what}how networks are trained: dc (one drop of the rate), glad (warm-up, cosine, averaged weights), trajectory (as dc, at the learned rate; default for sets that have one), frepo or kip (Adam, warm-up, cosine, squared errors; default for sets of these methods), rfad (SGD, outputs less those at the start; default for sets of rfad); else dc`,
  ).choices(['dc', 'glad', 'trajectory', 'frepo', 'kip', 'rfad'])

/** Soft labels that a set has learned are used unless this says otherwise. */
export const labelsOption = (what = ''): Option =>
  new Option('--labels <kind>', `${what}soft: the labels that the set has learned (default where it has some); hard: its classes`).choices([
    'soft',
    'hard',
  ])

export const seedOption = (): Option => new Option('--seed <n>', 'seed of every random draw').argParser(wholeNumber(0)).default(0)
