/** @file Fashion-MNIST, 28x28 gray; a subset of it ships with the package. */
import { join } from 'node:path'
import { packageRoot } from '../package-root.js'
import type { Dataset, Split } from './dataset.js'
import { readMnistLike } from './mnist-family.js'

const classes = ['T-shirt/top', 'Trouser', 'Pullover', 'Dress', 'Coat', 'Sandal', 'Shirt', 'Sneaker', 'Bag', 'Ankle boot']

/** Where the bundled subset lies: 500 train and 100 test images per class, in their original order. */
export const bundledFashionMnist: string = join(packageRoot, 'data', 'fashion-mnist-subset')

/**
 * Reads Fashion-MNIST from a directory with the four IDX files (plain or .gz); without a directory, the bundled subset.
 * Images [N, 28, 28, 1] uint8.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when one is truncated, corrupt or inconsistent.
 */
export function fashionMnist(dir: string = bundledFashionMnist, split: Split = 'train'): Promise<Dataset> {
  return readMnistLike(dir, split, { name: 'fashion-mnist', classes, flip: true })
}
