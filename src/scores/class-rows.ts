/** @file The rows of every class, ascending, from labels that are looked at first. */
import { expected } from '../errors.js'

/** Throws `invalid_data` unless there are `rows` labels, `invalid_index` naming the first that is no class in [0, classes). */
export function checkLabels(what: string, labels: ArrayLike<number>, rows: number, classes: number): void {
  if (labels?.length !== rows) throw expected('invalid_data', `${what}: labels`, `${rows}, one for each sample`, labels?.length)
  for (let row = 0; row < rows; row++) {
    const label = labels[row]
    if (!Number.isInteger(label) || label < 0 || label >= classes)
      throw expected('invalid_index', `${what}: label of sample ${row}`, `a class in [0, ${classes})`, label)
  }
}

/** Rows of each class, ascending. Labels must have been checked. */
export function rowsByClass(labels: ArrayLike<number>, classes: number): Int32Array[] {
  const counts = new Int32Array(classes)
  for (let row = 0; row < labels.length; row++) counts[labels[row]]++
  const groups = Array.from(counts, (count) => new Int32Array(count))
  counts.fill(0)
  for (let row = 0; row < labels.length; row++) groups[labels[row]][counts[labels[row]]++] = row
  return groups
}
