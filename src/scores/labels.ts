/** @file Labels that come with scores, looked at before rows are grouped by them. */
import { expected } from '../errors.js'
import { inPieces, Turn } from '../event-loop.js'

/** Throws `invalid_data` unless there are `rows` labels, `invalid_index` naming the first that is no class in [0, classes). */
export async function checkLabels(what: string, labels: ArrayLike<number>, rows: number, classes: number): Promise<void> {
  if (labels?.length !== rows) throw expected('invalid_data', `${what}: labels`, `${rows}, one for each sample`, labels?.length)
  await inPieces(rows, new Turn(), (from, to) => {
    for (let row = from; row < to; row++) {
      const label = labels[row]
      if (!Number.isInteger(label) || label < 0 || label >= classes)
        throw expected('invalid_index', `${what}: label of sample ${row}`, `a class in [0, ${classes})`, label)
    }
  })
}

/** As `groupByClass` of the data, in pieces: the rows of each class, ascending. Labels must be classes. */
export async function rowsByClass(labels: ArrayLike<number>, classes: number, turn: Turn): Promise<Int32Array[]> {
  const counts = new Int32Array(classes)
  await inPieces(labels.length, turn, (from, to) => {
    for (let row = from; row < to; row++) counts[labels[row]]++
  })
  const groups = Array.from(counts, (count) => new Int32Array(count))
  counts.fill(0)
  await inPieces(labels.length, turn, (from, to) => {
    for (let row = from; row < to; row++) groups[labels[row]][counts[labels[row]]++] = row
  })
  return groups
}
