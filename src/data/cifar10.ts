/** @file CIFAR-10, binary version: 32x32 RGB in ten classes. */
import { join } from 'node:path'
import { checkPath } from '../arguments.js'
import { recipeStatistics } from './channel-statistics.js'
import { type CifarLayout, cifarRoot, readClassNames, readRecords } from './cifar-binary.js'
import { adoptDataset, checkSplit, type Dataset, type Split } from './dataset.js'
import type { ChannelStatistics } from './normalize.js'

const classNames = ['airplane', 'automobile', 'bird', 'cat', 'deer', 'dog', 'frog', 'horse', 'ship', 'truck']

const layout: CifarLayout = {
  nested: 'cifar-10-batches-bin',
  pickled: 'cifar-10-batches-py',
  labelBytes: 1,
  labelAt: 0,
  hint: 'the binary version is needed (cifar-10-binary.tar.gz, files data_batch_1.bin to data_batch_5.bin and test_batch.bin)',
}

/**
 * Reads CIFAR-10 from the directory of the binary version (or its parent). Images [N, 32, 32, 3] uint8.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when one is truncated, corrupt, or a Python pickle, `io` when the
 * system refuses to read one.
 */
export async function cifar10(dir: string, split: Split = 'train'): Promise<Dataset> {
  checkPath('cifar10: directory', dir)
  checkSplit('cifar10', split)
  const root = await cifarRoot(dir, layout)
  const names = split === 'train' ? [1, 2, 3, 4, 5].map((i) => `data_batch_${i}`) : ['test_batch']
  const classes = await readClassNames(join(root, 'batches.meta.txt'), classNames)
  const records = await readRecords(root, names, classes.length, layout)
  const { mean, std } = recipeStatistics('cifar10') as ChannelStatistics
  return adoptDataset({ name: 'cifar10', split, classes, ...records, mean, std, flip: true })
}
