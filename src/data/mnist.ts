/** @file MNIST handwritten digits, 28x28 gray. */
import type { Dataset, Split } from './dataset.js'
import { readMnistLike } from './mnist-family.js'

/**
 * Reads MNIST from a directory with the four IDX files (plain or .gz). Images [N, 28, 28, 1] uint8; digits are never mirrored.
 * @throws AludelError `not_found` when a file is missing, `invalid_data` when one is truncated, corrupt or inconsistent.
 */
export function mnist(dir: string, split: Split = 'train'): Promise<Dataset> {
  return readMnistLike(dir, split, { name: 'mnist', classes: [...'0123456789'], flip: false })
}
