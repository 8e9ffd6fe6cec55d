/** @file The data set of a command: what --data says, with the options that stand beside it folded into one specification. */
import { resolve } from 'node:path'
import { type Command, Option } from 'commander'
import type { OpenOptions } from '../data/open.js'
import { formatSpecification, parseSpecification, type ReaderOptions } from '../data/specification.js'
import { AludelError } from '../errors.js'
import { given, nonEmptyPath, wholeNumber } from './options.js'

export interface DataOptions {
  readonly data?: string
  readonly size?: number
  readonly fit?: 'squash' | 'crop'
  readonly onUnreadable?: 'fail' | 'skip'
  readonly normalize?: string
  readonly subset?: string
  readonly cache?: string
}

export const dataNames = 'cifar10, cifar100, mnist, fashion-mnist, idx, folder, tiny-imagenet, npz, packed'

const form = 'NAME:PATH, with ,key=value for its options'

/** `--data` and what changes how it is read. */
export function addDataOptions(command: Command, description: string): Command {
  return command
    .option('--data <name[:path]>', `${description}: ${form}; NAME is one of ${dataNames}`)
    .option('--size <pixels>', 'side that images of folders are resized to', wholeNumber(1))
    .addOption(
      new Option('--fit <rule>', 'how they are resized: squash both sides, or crop the middle square (default: squash)').choices([
        'squash',
        'crop',
      ]),
    )
    .addOption(
      new Option('--on-unreadable <policy>', 'an image file that cannot be decoded: fail, or skip it (default: fail)').choices([
        'fail',
        'skip',
      ]),
    )
    .option('--normalize <choice>', 'auto, none, measured, a recipe, or MEAN/STD with numbers separated by commas (default: auto)')
    .option('--subset <file>', 'take the training images that this file of `aludel prune` keeps', nonEmptyPath)
    .addOption(cacheOption())
}

export const cacheOption = (): Option =>
  new Option('--cache <dir>', 'keep decoded images and whitenings there, by content').argParser(nonEmptyPath)

/** One specification of all that was given. Throws `invalid_option` for an option that stands both in --data and beside it. */
export function specificationOf(data: string, { size, fit, onUnreadable, normalize, subset }: DataOptions): string {
  const { name, path, options } = parseSpecification(data)
  const beside: ReaderOptions = given({ size, fit, onUnreadable, normalize: normalize?.replaceAll(',', ':'), subset })
  const twice = Object.keys(beside).find((option) => option in options)
  if (twice !== undefined)
    throw new AludelError(
      'invalid_option',
      `--${twice === 'onUnreadable' ? 'on-unreadable' : twice}: is in --data too; leave one of them out`,
    )
  return formatSpecification({ name, path, options: { ...options, ...beside } })
}

/** The specification with its paths made absolute: a run is continued and measured from other folders too. */
export function inPlace(data: string): string {
  const { name, path, options } = parseSpecification(data)
  const subset = options.subset === undefined ? {} : { subset: resolve(options.subset) }
  return formatSpecification({ name, path: path === undefined ? undefined : resolve(path), options: { ...options, ...subset } })
}

/** `data` with the options of the run's specification that it does not give itself, when both are data sets of one kind. */
export function completedBy(data: string, ofRun: string | undefined): string {
  if (ofRun === undefined) return data
  const [{ name, path, options }, run] = [parseSpecification(data), parseSpecification(ofRun)]
  return name === run.name ? formatSpecification({ name, path, options: { ...run.options, ...options } }) : data
}

export const openOptions = ({ cache }: DataOptions): OpenOptions => given({ cache })
