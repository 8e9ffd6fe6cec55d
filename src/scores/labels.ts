/** @file Labels that come with scores, looked at before rows are grouped by them. */
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
