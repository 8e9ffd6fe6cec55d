/** @file Image arrays with number labels or none, as IDX and .npz files hold them: classes counted, statistics measured, a split made where there is none. */
import { AludelError } from '../errors.js'
import { measureStatistics } from './channel-statistics.js'
import { adoptDataset, type Dataset, type Split } from './dataset.js'
import { type HoldOut, holdOutRows, holdOutUnlabelled } from './hold-out.js'
import { labelsAt } from './labels.js'

export interface ImageArrays {
  /** [N, H, W, C] bytes. */
  readonly images: Uint8Array
  readonly shape: readonly [number, number, number, number]
  /** One number per image; empty where there are none. */
  readonly labels: Int32Array
}

export interface ArraySplits {
  readonly train: ImageArrays
  /** Absent where the source has none. */
  readonly test: ImageArrays | undefined
}

export interface ArrayOptions extends HoldOut {
  /** Whether a mirrored image keeps its class; default false, as digits do not. */
  readonly flip?: boolean
}

/** Most classes that a label may tell apart: a larger one is a mistake. */
const mostClasses = 100_000

/**
 * The split of a source. Classes are named by their numbers, '0' to the largest label of the training images; mean and standard deviation
 * are those of the training images. Arrays without labels have no classes. Throws `invalid_data` for labels that do not fit, `not_found` for the
 * test images of arrays without labels that have none.
 */
export async function arrayDataset(
  name: string,
  splits: ArraySplits,
  split: Split,
  { flip = false, ...rule }: ArrayOptions,
): Promise<Dataset> {
  const { train: given, test } = splits
  const count = given.labels.length === 0 ? 0 : given.labels.reduce((most, label) => Math.max(most, label), 0) + 1
  const broken = [given, ...(test ? [test] : [])].flatMap(({ labels }) => labels.find((label) => label < 0 || label >= count) ?? [])
  if (broken.length > 0 || count > mostClasses) {
    const wanted = `labels from 0 to the largest of the training images, at most ${mostClasses}`
    throw new AludelError('invalid_data', `${name}: expected ${wanted}, but received ${broken[0] ?? count - 1}`)
  }
  const classes = Array.from({ length: count }, (_, c) => String(c))
  const held = (part: Split) =>
    count === 0 ? holdOutUnlabelled(name, given.shape[0], part, rule) : holdOutRows(given.labels, count, part, rule)
  const train = test ? given : rowsOf(given, held('train'))
  const chosen = split === 'train' ? train : (test ?? rowsOf(given, held('test')))
  if (chosen.shape.slice(1).join() !== train.shape.slice(1).join()) {
    const sizes = `[${train.shape.slice(1).join(', ')}] but received [${chosen.shape.slice(1).join(', ')}]`
    throw new AludelError('invalid_data', `${name}: expected test images of the training images' size ${sizes}`)
  }
  const { mean, std } = await measureStatistics(name, train.images, train.shape[3])
  return adoptDataset({ name, split, classes, ...chosen, mean, std, flip })
}

function rowsOf({ images, shape: [, h, w, c], labels }: ImageArrays, rows: Int32Array): ImageArrays {
  const bytes = h * w * c
  const chosen = new Uint8Array(rows.length * bytes)
  for (const [i, row] of rows.entries()) chosen.set(images.subarray(row * bytes, (row + 1) * bytes), i * bytes)
  return { images: chosen, shape: [rows.length, h, w, c], labels: labelsAt(labels, rows) }
}
