/** @file Data sets by the text used on the command line: 'cifar10:DIR', 'folder:DIR,size=64', or 'fashion-mnist' (bundled). */
import { AludelError } from '../errors.js'
import { chooseStatistics, measureStatistics } from './channel-statistics.js'
import { cifar10 } from './cifar10.js'
import { type Cifar100Options, cifar100 } from './cifar100.js'
import { type Dataset, restated, type Split } from './dataset.js'
import { fashionMnist } from './fashion-mnist.js'
import { type ImageFolderOptions, imageFolder, listImageFolder } from './image-folder.js'
import { datasetStream, fileStream, type ImageStream } from './image-stream.js'
import type { LabelledFolder } from './labelled-files.js'
import { mnist } from './mnist.js'
import { idx } from './mnist-family.js'
import { type NpzOptions, npz } from './npz-dataset.js'
import { openPacked } from './packed/open-packed.js'
import { parseSpecification, type ReaderOption, type ReaderOptions } from './specification.js'
import { listTinyImagenet, tinyImagenet } from './tiny-imagenet.js'

export interface OpenOptions {
  /** Directory that decoded images are kept in, named by content; only folders of images are decoded. */
  readonly cache?: string
  readonly signal?: AbortSignal
}

type Read = (path: string, split: Split, options: ReaderOptions & OpenOptions) => Promise<Dataset>

interface Source {
  readonly read: Read
  /** The image files that `read` decodes; absent where there are none. */
  readonly list?: (path: string, split: Split, options: ReaderOptions) => Promise<LabelledFolder>
  /** What it takes beside `normalize` and `flip`. */
  readonly options: readonly ReaderOption[]
  /** What its path names. */
  readonly path: 'directory of its files' | 'file'
  /** Whether it is there without a path. */
  readonly bundled?: boolean
}

const directory = 'directory of its files'
const images: readonly ReaderOption[] = ['size', 'fit', 'onUnreadable']
const arrays: readonly ReaderOption[] = ['holdout', 'splitSeed', 'labels']
const listing: readonly ReaderOption[] = [...arrays, 'classes']

const sources: Readonly<Record<string, Source>> = {
  cifar10: { read: cifar10, options: [], path: directory },
  cifar100: {
    read: (dir, part, given) => cifar100(dir, part, only(given, ['labels']) as Cifar100Options),
    options: ['labels'],
    path: directory,
  },
  mnist: { read: mnist, options: [], path: directory },
  'fashion-mnist': { read: fashionMnist, options: [], path: directory, bundled: true },
  idx: { read: (dir, part) => idx(dir, part), options: [], path: directory },
  'tiny-imagenet': {
    read: (dir, part, given) => tinyImagenet(dir, part, only(given, [...images, 'cache', 'signal'])),
    list: listTinyImagenet,
    options: images,
    path: directory,
  },
  folder: {
    read: (dir, part, given) => imageFolder(dir, part, only(given, [...images, ...listing, 'cache', 'signal']) as ImageFolderOptions),
    list: (dir, part, given) => listImageFolder(dir, part, only(given, listing) as ImageFolderOptions),
    options: [...images, ...listing],
    path: directory,
  },
  npz: { read: (file, part, given) => npz(file, part, only(given, arrays) as NpzOptions), options: arrays, path: 'file' },
  packed: {
    // what is measured is needed whole: `resident=no` is about the images that are trained on
    read: (dir, part, given) =>
      openPacked(dir, part, only(given, part === 'train' || given.resident ? ['resident', 'signal'] : ['signal'])),
    options: ['resident'],
    path: directory,
  },
}

/** The given ones of `names`. */
const only = <T extends object, K extends keyof T>(options: T, names: readonly K[]): Pick<T, K> =>
  Object.fromEntries(names.flatMap((name) => (options[name] === undefined ? [] : [[name, options[name]]]))) as Pick<T, K>

export const datasetNames: readonly string[] = Object.keys(sources)

/** Letters and digits only, lower case: what a mistyped name is compared by. */
const canonical = (name: string): string => name.toLowerCase().replace(/[^a-z0-9]/g, '')

/** Spellings seen elsewhere, in canonical form. */
const aliases: Readonly<Record<string, string>> = {
  cifar: 'cifar10',
  cfiar10: 'cifar10',
  fmnist: 'fashion-mnist',
  fashion: 'fashion-mnist',
  digits: 'mnist',
  minst: 'mnist',
  imagefolder: 'folder',
  imagenet: 'folder',
  imagenette: 'folder',
  tiny: 'tiny-imagenet',
  tinyimagenet200: 'tiny-imagenet',
  pack: 'packed',
}

function suggestion(name: string): string {
  const form = canonical(name)
  const known =
    datasetNames.find((candidate) => canonical(candidate) === form) ?? (Object.hasOwn(aliases, form) ? aliases[form] : undefined)
  return known ? `did you mean '${known}'?` : `known names are ${datasetNames.join(', ')}`
}

/**
 * Opens a data set by specification; docs/data.md has what each name takes.
 * @throws AludelError `invalid_option` for an unknown name, a missing path or an option that the data set does not take, and what the
 * readers throw. Rejects with AbortError on `signal`.
 */
export async function openDataset(specification: string, split: Split = 'train', options: OpenOptions = {}): Promise<Dataset> {
  const { name, path, given, source } = resolveSource(specification)
  const read = (part: Split) => source.read(path, part, { ...given, ...options })
  return adapt(name, await read(split), given, () => read('train'))
}

/**
 * The images of a specification as a stream: folders of images are listed now, then read and decoded as they are asked for; everything else
 * is read into memory. `size` is that of files whose specification names none.
 * @throws AludelError what `openDataset` throws, for single files not before they are read.
 */
export async function openImageStream(
  specification: string,
  split: Split = 'train',
  { size, ...options }: OpenOptions & { readonly size?: number } = {},
): Promise<ImageStream> {
  const { path, given, source } = resolveSource(specification)
  if (!source.list) return datasetStream(await openDataset(specification, split, options))
  return fileStream(await source.list(path, split, given), { ...(size !== undefined && { size }), ...only(given, images) })
}

/** Whether the text names folders of images, which can be read at any size. Throws `invalid_option` for a name that is not known. */
export const isOfFiles = (specification: string): boolean => resolveSource(specification).source.list !== undefined

/** The image files of a specification, with how they are decoded; undefined for a data set that is made of something else. Throws as `openDataset`. */
export async function listFiles(
  specification: string,
  split: Split,
): Promise<{ readonly folder: LabelledFolder; readonly options: ReaderOptions } | undefined> {
  const { path, given, source } = resolveSource(specification)
  const folder = await source.list?.(path, split, given)
  return folder && { folder, options: given }
}

interface ResolvedSource {
  readonly name: string
  /** Empty where the data set is bundled. */
  readonly path: string
  readonly given: ReaderOptions
  readonly source: Source
}

function resolveSource(specification: string): ResolvedSource {
  const { name, path, options: given } = parseSpecification(specification)
  if (!Object.hasOwn(sources, name)) throw new AludelError('invalid_option', `unknown data set '${name}'; ${suggestion(name)}`)
  const source = sources[name]
  if (path === '' || (path === undefined && !source.bundled)) {
    throw new AludelError(
      'invalid_option',
      `data set '${name}' needs the ${source.path}: '${name}:${source.path === 'file' ? 'FILE' : 'DIR'}'`,
    )
  }
  const general: readonly string[] = ['normalize', 'flip']
  const refused = Object.keys(given).find((option) => !general.includes(option) && !source.options.includes(option as ReaderOption))
  if (refused !== undefined) {
    const takes = [...source.options, ...general].join(', ')
    throw new AludelError('invalid_option', `data set '${name}': has no option ${refused}; it takes ${takes}`)
  }
  return { name, path: path as string, given, source }
}

/** The data set with the normalisation and mirroring that were asked for. */
async function adapt(
  kind: string,
  dataset: Dataset,
  { normalize = 'auto', flip }: ReaderOptions,
  train: () => Promise<Dataset>,
): Promise<Dataset> {
  if (normalize === 'auto' && flip === undefined) return dataset
  const { name, split: part, shape } = dataset
  const measure = async () => {
    const measured = part === 'train' ? dataset : await train()
    return measureStatistics(name, measured.images, shape[3])
  }
  const choice = { choice: normalize, kind, channels: shape[3], measure }
  const { mean, std } = normalize === 'auto' ? dataset : await chooseStatistics(choice)
  return restated(dataset, { mean, std, flip: flip ?? dataset.flip })
}
