/** @file A data set in one .npz file, under any of the array names that are in use. */
import { basename } from 'node:path'
import { checkPath } from '../arguments.js'
import { AludelError, expected } from '../errors.js'
import { nchwToNhwc } from '../nn/layout.js'
import { type ArrayOptions, type ArraySplits, arrayDataset, type ImageArrays } from './array-dataset.js'
import { checkSplit, type Dataset, type Split } from './dataset.js'
import { invalidFile, isPickle, maxFileBytes, readWhole } from './file-bytes.js'
import { type NpzArchive, openNpz } from './npz.js'

type Names = readonly [images: string, labels: string]

const names: Readonly<Record<Split, readonly Names[]>> = {
  train: [
    ['x_train', 'y_train'],
    ['train_images', 'train_labels'],
    ['images', 'labels'],
    ['x', 'y'],
  ],
  test: [
    ['x_test', 'y_test'],
    ['test_images', 'test_labels'],
  ],
}

export interface NpzOptions extends ArrayOptions {
  /** 'none' reads images alone, whatever arrays stand beside them; default: labels where they have one of the names. */
  readonly labels?: 'none'
}

/**
 * Reads a file with images as unsigned bytes, [N, H, W], [N, H, W, C] or [N, C, H, W] (channels are the last of these dimensions, else the
 * second, that is at most 4), and whole-number labels [N] or [N, 1], under the names `x_train y_train x_test y_test`,
 * `train_images train_labels test_images test_labels`, `images labels` or `x y`. Without test arrays a part of each class is held out.
 * A file of such images and nothing else is a data set without labels, of which `holdout` alone holds a part out.
 * @throws AludelError `not_found`, `invalid_data` naming the array (pickled objects, other types, sizes that do not fit, one that is neither images nor
 * labels beside images without labels), `io`.
 */
export async function npz(path: string, split: Split = 'train', options: NpzOptions = {}): Promise<Dataset> {
  checkPath('npz: file', path)
  checkSplit('npz', split)
  const bytes = await readWhole(path, maxFileBytes, 'give the .npz file itself')
  if (isPickle(bytes)) throw pickled(path)
  const archive = openNpz(path, bytes)
  if (archive.names.some((name) => name.endsWith('.pkl'))) throw pickled(path)
  const { labels, ...rest } = options
  if (labels !== undefined && labels !== 'none') throw expected('invalid_option', 'npz: labels', "'none', or no such option", labels)
  const train = labels === 'none' ? undefined : await readPair(path, archive, 'train')
  const splits = train ? { train, test: await readPair(path, archive, 'test') } : await readUnlabelled(path, archive, labels === 'none')
  return arrayDataset(basename(path).replace(/\.npz$/, ''), splits, split, rest)
}

/** Images alone. What else the file holds may be labels under another name: throws `invalid_data` unless it is to be `ignored`. */
async function readUnlabelled(path: string, archive: NpzArchive, ignored: boolean): Promise<ArraySplits> {
  const [train, test] = (['train', 'test'] as const).map((split) => names[split].find(([images]) => archive.names.includes(images)))
  const held = archive.names.join(', ') || 'none'
  if (!train) {
    const wanted = names.train.map((pair) => pair.join(' and ')).join(', or ')
    throw new AludelError('invalid_data', `${path}: expected arrays ${wanted}, or images without labels, but it holds ${held}`)
  }
  const others = archive.names.filter((name) => name !== train[0] && name !== test?.[0])
  if (others.length > 0 && !ignored) {
    const todo = 'rename the labels, or say that there are none: labels=none'
    throw new AludelError('invalid_data', `${path}: expected labels '${train[1]}' beside '${train[0]}' but it holds ${held}; ${todo}`)
  }
  const read = async ([images]: Names): Promise<ImageArrays> => ({
    ...(await readImages(path, archive, images)),
    labels: new Int32Array(0),
  })
  return { train: await read(train), test: test && (await read(test)) }
}

async function readPair(path: string, archive: NpzArchive, split: Split): Promise<ImageArrays | undefined> {
  const pair = names[split].find((candidates) => candidates.every((name) => archive.names.includes(name)))
  if (!pair) return undefined
  const images = await readImages(path, archive, pair[0])
  return { ...images, labels: await readLabels(path, archive, pair[1], images.shape[0]) }
}

/** The files of torch.save are zip archives too, of a pickle and what it speaks of. */
const pickled = (path: string): AludelError =>
  invalidFile(path, 'holds a Python pickle, which is never read, as it can run code; save its arrays with numpy.savez')

const bad = (path: string, name: string, what: string): AludelError => new AludelError('invalid_data', `${path}: ${name}: ${what}`)

const mostChannels = 4

async function readImages(path: string, archive: NpzArchive, name: string): Promise<Pick<ImageArrays, 'images' | 'shape'>> {
  const { shape, descr, data } = await archive.read(name)
  if (!(data instanceof Uint8Array) || descr !== '|u1')
    throw bad(path, name, `expected unsigned bytes ('|u1') but received '${descr}'; scale to 0..255 and convert to uint8`)
  if (shape.some((d) => d < 1)) throw bad(path, name, `expected at least one image but received shape [${shape}]`)
  if (shape.length === 3) return { images: data, shape: [shape[0], shape[1], shape[2], 1] }
  if (shape.length === 4 && shape[3] <= mostChannels) return { images: data, shape: [shape[0], shape[1], shape[2], shape[3]] }
  if (shape.length === 4 && shape[1] <= mostChannels) {
    const [n, c, h, w] = shape
    return { images: nchwToNhwc(data, [n, c, h, w]), shape: [n, h, w, c] }
  }
  throw bad(path, name, `expected [N, H, W], [N, H, W, C] or [N, C, H, W] with at most ${mostChannels} channels but received [${shape}]`)
}

async function readLabels(path: string, archive: NpzArchive, name: string, count: number): Promise<Int32Array> {
  const { shape, data } = await archive.read(name)
  if (!(shape.length === 1 || (shape.length === 2 && shape[1] === 1)) || shape[0] !== count)
    throw bad(path, name, `expected ${count} labels, one per image, but received shape [${shape}]`)
  const wrong = data.findIndex((label) => !Number.isInteger(label) || label < 0 || label >= 2 ** 31)
  if (wrong >= 0) throw bad(path, name, `label ${wrong}: expected a whole number >= 0 but received ${data[wrong]}`)
  return Int32Array.from(data)
}
