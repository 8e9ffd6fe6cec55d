/** @file CIFAR-100, binary version: 32x32 RGB in a hundred fine classes, which fall into twenty coarse ones. */
import { join } from 'node:path'
import { checkPath } from '../arguments.js'
import { expected } from '../errors.js'
import { recipeStatistics } from './channel-statistics.js'
import { type CifarLayout, cifarRoot, readClassNames, readRecords } from './cifar-binary.js'
import { adoptDataset, checkSplit, type Dataset, type Split } from './dataset.js'
import type { ChannelStatistics } from './normalize.js'

const fineNames = [
  ...['apple', 'aquarium_fish', 'baby', 'bear', 'beaver', 'bed', 'bee', 'beetle', 'bicycle', 'bottle'],
  ...['bowl', 'boy', 'bridge', 'bus', 'butterfly', 'camel', 'can', 'castle', 'caterpillar', 'cattle'],
  ...['chair', 'chimpanzee', 'clock', 'cloud', 'cockroach', 'couch', 'crab', 'crocodile', 'cup', 'dinosaur'],
  ...['dolphin', 'elephant', 'flatfish', 'forest', 'fox', 'girl', 'hamster', 'house', 'kangaroo', 'keyboard'],
  ...['lamp', 'lawn_mower', 'leopard', 'lion', 'lizard', 'lobster', 'man', 'maple_tree', 'motorcycle', 'mountain'],
  ...['mouse', 'mushroom', 'oak_tree', 'orange', 'orchid', 'otter', 'palm_tree', 'pear', 'pickup_truck', 'pine_tree'],
  ...['plain', 'plate', 'poppy', 'porcupine', 'possum', 'rabbit', 'raccoon', 'ray', 'road', 'rocket'],
  ...['rose', 'sea', 'seal', 'shark', 'shrew', 'skunk', 'skyscraper', 'snail', 'snake', 'spider'],
  ...['squirrel', 'streetcar', 'sunflower', 'sweet_pepper', 'table', 'tank', 'telephone', 'television', 'tiger', 'tractor'],
  ...['train', 'trout', 'tulip', 'turtle', 'wardrobe', 'whale', 'willow_tree', 'wolf', 'woman', 'worm'],
]

const coarseNames = [
  ...['aquatic_mammals', 'fish', 'flowers', 'food_containers', 'fruit_and_vegetables', 'household_electrical_devices'],
  ...['household_furniture', 'insects', 'large_carnivores', 'large_man-made_outdoor_things', 'large_natural_outdoor_scenes'],
  ...['large_omnivores_and_herbivores', 'medium_mammals', 'non-insect_invertebrates', 'people', 'reptiles', 'small_mammals'],
  ...['trees', 'vehicles_1', 'vehicles_2'],
]

const kinds = {
  fine: { labelAt: 1, names: fineNames, file: 'fine_label_names.txt' },
  coarse: { labelAt: 0, names: coarseNames, file: 'coarse_label_names.txt' },
} as const

export interface Cifar100Options {
  /** 100 fine classes (default) or 20 coarse ones. */
  readonly labels?: keyof typeof kinds
}

/**
 * Reads CIFAR-100 from the directory of the binary version (or its parent). Images [N, 32, 32, 3] uint8.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when one is truncated, corrupt, or a Python pickle, `io` when the
 * system refuses to read one.
 */
export async function cifar100(dir: string, split: Split = 'train', { labels = 'fine' }: Cifar100Options = {}): Promise<Dataset> {
  checkPath('cifar100: directory', dir)
  checkSplit('cifar100', split)
  if (!Object.hasOwn(kinds, labels)) throw expected('invalid_option', 'cifar100: labels', "'fine' or 'coarse'", labels)
  const { labelAt, names, file } = kinds[labels]
  const layout: CifarLayout = {
    nested: 'cifar-100-binary',
    pickled: 'cifar-100-python',
    labelBytes: 2,
    labelAt,
    hint: 'the binary version is needed (cifar-100-binary.tar.gz, files train.bin and test.bin)',
  }
  const root = await cifarRoot(dir, layout)
  const classes = await readClassNames(join(root, file), names)
  const records = await readRecords(root, [split], classes.length, layout)
  const { mean, std } = recipeStatistics('cifar100') as ChannelStatistics
  return adoptDataset({ name: 'cifar100', split, classes, ...records, mean, std, flip: true })
}
