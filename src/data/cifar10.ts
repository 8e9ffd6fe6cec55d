/** @file CIFAR-10, binary version: records of one label byte and 3072 pixel bytes in CHW order. The Python version is refused unread. */
import { join } from 'node:path'
import { checkPath } from '../arguments.js'
import { AludelError } from '../errors.js'
import { adoptDataset, checkSplit, type Dataset, type Split } from './dataset.js'
import { exists, fileSize, invalidFile, maxFileBytes, readWhole } from './file-bytes.js'

const classNames = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']
const side = 32
const channels = 3
const pixels = side * side
const recordBytes = 1 + channels * pixels

const binaryHint = 'the binary version is needed (cifar-10-binary.tar.gz, files data_batch_1.bin to data_batch_5.bin and test_batch.bin)'

/**
 * Reads CIFAR-10 from the directory of the binary version (or its parent). Images [N, 32, 32, 3] uint8.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when one is truncated, corrupt, or a Python pickle, `io` when the
 * system refuses to read one.
 */
export async function cifar10(dir: string, split: Split = 'train'): Promise<Dataset> {
  checkPath('cifar10: directory', dir)
  checkSplit('cifar10', split)
  const nested = join(dir, 'cifar-10-batches-bin')
  const root = (await exists(nested)) ? nested : dir
  const names = split === 'train' ? [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`) : ['test_batch']
  const classes = await readClassNames(join(root, 'batches.meta.txt'))
  // in order, so that of several bad files it is always the first that is named
  const batches: Awaited<ReturnType<typeof locateBatch>>[] = []
  for (const name of names) batches.push(await locateBatch(root, name))
  const n = batches.reduce((count, { records }) => count + records, 0)
  const images = new Uint8Array(n * pixels * channels)
  const labels = new Int32Array(n)
  let row = 0
  // one file at a time: the raw bytes of all batches are never in memory together
  for (const { path, records } of batches) {
    decodeBatch(path, await readBatch(path, records), classes.length, images, labels, row)
    row += records
  }
  return adoptDataset({
    name: 'cifar10',
    split,
    classes,
    images,
    shape: [n, side, side, channels],
    labels,
    mean: [0.4914, 0.4822, 0.4465],
    std: [0.2023, 0.1994, 0.201],
    flip: true,
  })
}

interface Batch {
  readonly path: string
  /** Whole records by the file's size; what the file really holds is checked when it is read. */
  readonly records: number
}

async function locateBatch(dir: string, name: string): Promise<Batch> {
  const path = join(dir, `${name}.bin`)
  if (await exists(path)) return { path, records: Math.floor((await fileSize(path)) / recordBytes) }
  const pickled = (await exists(join(dir, name))) || (await exists(join(dir, 'cifar-10-batches-py')))
  if (pickled) throw invalidFile(join(dir, name), `Python pickles are never read, they can run code; ${binaryHint}`)
  throw new AludelError('not_found', `${path}: no such file; ${binaryHint}`)
}

async function readBatch(path: string, records: number): Promise<Uint8Array> {
  const bytes = await readWhole(path, maxFileBytes)
  // protocol marker of a pickle: PROTO opcode 0x80 and version 2..5; as a record it would be class 128
  if (bytes.length > 2 && bytes[0] === 0x80 && bytes[1] >= 2 && bytes[1] <= 5) {
    throw invalidFile(path, `this is a Python pickle, which is never read, as it can run code; ${binaryHint}`)
  }
  if (records < 1 || bytes.length !== records * recordBytes) {
    throw invalidFile(
      path,
      `expected a multiple of ${recordBytes} bytes (whole records; 30730000 in the original) but received ${bytes.length}`,
    )
  }
  return bytes
}

function decodeBatch(path: string, batch: Uint8Array, classes: number, images: Uint8Array, labels: Int32Array, firstRow: number): void {
  for (let r = 0; r * recordBytes < batch.length; r++) {
    const record = r * recordBytes
    const label = batch[record]
    if (label >= classes) throw invalidFile(path, `record ${r}: expected a class in [0, ${classes}) but received ${label}`)
    labels[firstRow + r] = label
    const base = (firstRow + r) * pixels * channels
    for (let c = 0; c < channels; c++) {
      const plane = record + 1 + c * pixels
      for (let p = 0; p < pixels; p++) images[base + p * channels + c] = batch[plane + p]
    }
  }
}

/** Names from batches.meta.txt, one a line; the file is optional. */
async function readClassNames(path: string): Promise<readonly string[]> {
  if (!(await exists(path))) return classNames
  const text = new TextDecoder().decode(await readWhole(path, 4096))
  const names = text
    .split(/\r?\n/)
    .map((line) => line.trim())
    .filter((line) => line !== '')
  if (names.length !== classNames.length) throw invalidFile(path, `expected ${classNames.length} class names but received ${names.length}`)
  return names
}
