/** @file The images of a set as PNG files by class: what a folder and a parquet file of them hold. */
import { encodePng } from '../data/png.js'
import { expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { displayPixels } from '../experiment/synthetic-set.js'
import type { SyntheticSetFields } from '../experiment/types.js'
import type { LabelledImageFile } from './parquet.js'
import type { NewFile } from './write-new.js'

/** Letters that file systems and shells leave alone. */
const unsafe = /[^A-Za-z0-9._ -]+/g
const longestName = 80

/**
 * A folder name for each class. Readers number classes by the order of their folders, so names that would not sort in label order, or that
 * are no good folder names, are numbered.
 */
export function classFolders(classes: readonly string[]): string[] {
  const safe = classes.map((name) =>
    name
      .replace(unsafe, '-')
      .replace(/^[.\s-]+|[.\s-]+$/g, '')
      .slice(0, longestName),
  )
  const inOrder = safe.every((name, i) => name !== '' && (i === 0 || safe[i - 1] < name))
  const differ = new Set(safe.map((name) => name.toLowerCase())).size === safe.length
  if (inOrder && differ) return safe
  const digits = String(classes.length - 1).length
  return safe.map((name, c) => `${String(c).padStart(digits, '0')}${name === '' ? '' : `_${name}`}`)
}

const imageName = (folder: string, i: number, count: number): string => `${folder}/${String(i).padStart(String(count - 1).length, '0')}.png`

/** The paths that `imageFiles` gives, without encoding anything. */
export function imagePaths({ labels, classes }: SyntheticSetFields): string[] {
  const folders = classFolders(classes)
  return Array.from(labels, (label, i) => imageName(folders[label], i, labels.length))
}

/**
 * labels.json of a set with learned labels or rate: `classes`, `lr`, and `label_logits` or `targets`, a list of one number a class by the path of
 * each image; no file for a set without.
 */
export function labelsFile(set: SyntheticSetFields): NewFile[] {
  const { labelLogits, targets, learningRate, classes } = set
  if (!labelLogits && !targets && learningRate === undefined) return []
  const width = classes.length
  const byPath = (rows: Float32Array) =>
    Object.fromEntries(imagePaths(set).map((path, i) => [path, Array.from(rows.subarray(i * width, (i + 1) * width))]))
  const content = {
    classes,
    ...(learningRate !== undefined && { lr: Math.fround(learningRate) }),
    ...(labelLogits && { label_logits: byPath(labelLogits) }),
    ...(targets && { targets: byPath(targets) }),
  }
  return [{ path: 'labels.json', bytes: new TextEncoder().encode(`${JSON.stringify(content)}\n`) }]
}

/** Throws `invalid_option` for images that PNG cannot hold without loss. */
export function checkChannels({ shape }: SyntheticSetFields): 1 | 3 {
  const channels = shape[3]
  if (channels === 1 || channels === 3) return channels
  throw expected('invalid_option', 'export as PNG', 'images of 1 or 3 channels', channels, 'use npz')
}

/** Every image as `CLASS/NUMBER.png`, in order; pixels as the eye sees them, rounded and clipped to bytes. */
export async function* imageFiles(set: SyntheticSetFields): AsyncGenerator<LabelledImageFile> {
  const channels = checkChannels(set)
  const [count, height, width] = set.shape
  const pixels = height * width * channels
  const folders = classFolders(set.classes)
  const turn = new Turn()
  for (let i = 0; i < count; i++) {
    await turn.breathe()
    const label = set.labels[i]
    const shown = await displayPixels({ ...set, images: set.images.subarray(i * pixels, (i + 1) * pixels) })
    const bytes = encodePng({ width, height, channels, pixels: shown })
    const row = (of?: Float32Array) => of?.subarray(i * set.classes.length, (i + 1) * set.classes.length)
    const [labelLogits, targets] = [row(set.labelLogits), row(set.targets)]
    yield { path: imageName(folders[label], i, count), bytes, label, ...(labelLogits && { labelLogits }), ...(targets && { targets }) }
  }
}
