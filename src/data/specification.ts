/** @file Data sets as text: 'NAME', 'NAME:PATH' or 'NAME:PATH,key=value,…', one text that a run can be repeated from. */
import { AludelError, expected } from '../errors.js'
import type { ResizeFit, UnreadablePolicy } from './decode-images.js'
import type { HoldOut } from './hold-out.js'

/** What may stand behind the path; which of them a data set takes is its reader's to say. */
export interface ReaderOptions extends HoldOut {
  /** Side in pixels that images are resized to. */
  readonly size?: number
  readonly fit?: ResizeFit
  /** Folders that are the classes, in label order, or the name of one of ImageNet's 10-class subsets. */
  readonly classes?: string | readonly string[]
  /** What becomes of an image file that cannot be decoded. */
  readonly onUnreadable?: UnreadablePolicy
  /** Which labels of CIFAR-100; of `npz` and `folder` 'none' reads images alone. */
  readonly labels?: 'fine' | 'coarse' | 'none'
  /** How pixels are normalised; see `chooseStatistics`. */
  readonly normalize?: string
  /** Whether a mirrored image keeps its class. */
  readonly flip?: boolean
  /** Whether all pixels of a pack are read into memory. */
  readonly resident?: boolean
  /** File of the subset that the training images are, taken of what the other options read. */
  readonly subset?: string
}

export type ReaderOption = keyof ReaderOptions

export interface Specification {
  readonly name: string
  readonly path: string | undefined
  readonly options: ReaderOptions
}

type Parse = (text: string) => string | number | boolean | readonly string[] | undefined

const oneOf =
  (...names: string[]): Parse =>
  (text) =>
    names.find((name) => name === text)

const number =
  (holds: (value: number) => boolean): Parse =>
  (text) =>
    text.trim() !== '' && holds(Number(text)) ? Number(text) : undefined

/** 'imagenette', or two or more folders 'n01440764:n02102040'. */
function parseClasses(text: string): string | readonly string[] | undefined {
  if (!text.includes(':')) return text === '' ? undefined : text
  const names = text.split(':')
  return names.includes('') ? undefined : names
}

const yesOrNo: Parse = (text) => (text === 'yes' ? true : text === 'no' ? false : undefined)

/** By the name in the text: the option, what it must be, and its value, undefined for one that is wrong. */
const keys: Readonly<Record<string, { readonly option: ReaderOption; readonly wanted: string; readonly parse: Parse }>> = {
  size: {
    option: 'size',
    wanted: 'pixels, a whole number from 1 to 4096',
    parse: number((n) => Number.isInteger(n) && n >= 1 && n <= 4096),
  },
  fit: { option: 'fit', wanted: 'squash or crop', parse: oneOf('squash', 'crop') },
  'on-unreadable': { option: 'onUnreadable', wanted: 'fail or skip', parse: oneOf('fail', 'skip') },
  classes: { option: 'classes', wanted: 'the name of a subset of ImageNet, or folders separated by colons', parse: parseClasses },
  labels: { option: 'labels', wanted: 'fine or coarse (cifar100), or none (npz, folder)', parse: oneOf('fine', 'coarse', 'none') },
  normalize: { option: 'normalize', wanted: 'a text', parse: (text) => (text === '' ? undefined : text) },
  flip: { option: 'flip', wanted: 'yes or no', parse: yesOrNo },
  resident: { option: 'resident', wanted: 'yes or no', parse: yesOrNo },
  subset: { option: 'subset', wanted: 'a file', parse: (text) => (text === '' ? undefined : text) },
  holdout: { option: 'holdout', wanted: 'a number between 0 and 1', parse: number((n) => n > 0 && n < 1) },
  'split-seed': { option: 'splitSeed', wanted: 'a whole number >= 0', parse: number((n) => Number.isSafeInteger(n) && n >= 0) },
}

/**
 * Takes the text apart. Options are read from the end, so a path may hold commas. Throws `invalid_option` for a key that is not known or
 * stands twice, and for a value that is not what it must be.
 */
export function parseSpecification(text: string): Specification {
  if (typeof text !== 'string') throw expected('invalid_option', 'data set', "a text such as 'cifar10:DIR'", text)
  const options: Record<string, unknown> = {}
  let rest = text
  for (let match = trailing.exec(rest); match; match = trailing.exec(rest)) {
    const [whole, key, value] = match
    if (!Object.hasOwn(keys, key))
      throw expected('invalid_option', `data set '${text}'`, `options among ${Object.keys(keys).join(', ')}`, key)
    const { option, wanted, parse } = keys[key]
    if (Object.hasOwn(options, option)) throw new AludelError('invalid_option', `data set '${text}': ${key} is given twice`)
    options[option] = parse(value)
    if (options[option] === undefined) throw expected('invalid_option', `data set '${text}': ${key}`, wanted, value)
    rest = rest.slice(0, -whole.length)
  }
  const colon = rest.indexOf(':')
  return { name: colon < 0 ? rest : rest.slice(0, colon), path: colon < 0 ? undefined : rest.slice(colon + 1), options }
}

const trailing = /,([a-z-]+)=([^,]*)$/

/** The text of a specification: what `parseSpecification` reads back. */
export function formatSpecification({ name, path, options }: Specification): string {
  const written = Object.entries(keys).flatMap(([key, { option }]) => {
    const value = options[option]
    return value === undefined ? [] : [`,${key}=${textOf(value)}`]
  })
  return `${name}${path === undefined ? '' : `:${path}`}${written.join('')}`
}

const textOf = (value: NonNullable<ReaderOptions[ReaderOption]>): string =>
  typeof value === 'boolean' ? (value ? 'yes' : 'no') : typeof value === 'object' ? value.join(':') : `${value}`
