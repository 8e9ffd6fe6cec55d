/** @file Which real images a soft-labelled set starts from, and what its labels start at: what the experts say of them (DATM 2310.05773, PAD 2408.03360). */

/** The class of the largest of a row of logits, the first of equals. */
export function predictedClass(logits: ArrayLike<number>, row: number, classes: number): number {
  let best = 0
  for (let k = 1; k < classes; k++) if (logits[row * classes + k] > logits[row * classes + best]) best = k
  return best
}

/** Which of some rows an expert classifies right. */
export type RightRows = (expert: number, rows: Int32Array) => Promise<ArrayLike<boolean>>

export interface ChosenRows {
  /** Of each class, in the order in which they were chosen: at most `ipc`, fewer where all experts together classify fewer right. */
  readonly rows: readonly number[][]
  /** Place in `experts` of the last expert that each class was scanned with. */
  readonly lastExperts: readonly number[]
}

/**
 * Goes through the images of each class in the given order and keeps the first `ipc` that the first expert classifies right; a class that is
 * exhausted before is gone through again with the next expert, and so on. Rows are asked for `together` at a time, of all classes that still
 * want some, so that few more are looked at than are needed; the choice does not depend on it.
 */
export async function chooseRight(
  orders: readonly Int32Array[],
  { ipc, experts, together, right }: { ipc: number; experts: readonly number[]; together: number; right: RightRows },
): Promise<ChosenRows> {
  const rows: number[][] = orders.map(() => [])
  const lastExperts = orders.map(() => 0)
  for (const [place, expert] of experts.entries()) {
    let open = orders.map((order, c) => ({ c, order, next: 0, taken: new Set(rows[c]) })).filter(({ c }) => rows[c].length < ipc)
    for (const { c } of open) lastExperts[c] = place
    while (open.length > 0) {
      const share = Math.max(1, Math.floor(together / open.length))
      const asked = open.slice(0, together).map((scan) => {
        const own: number[] = []
        for (; scan.next < scan.order.length && own.length < share; scan.next++)
          if (!scan.taken.has(scan.order[scan.next])) own.push(scan.order[scan.next])
        return { c: scan.c, own }
      })
      const found = await right(expert, Int32Array.from(asked.flatMap(({ own }) => own)))
      let at = 0
      for (const { c, own } of asked) {
        for (const row of own) if (found[at++] && rows[c].length < ipc) rows[c].push(row)
      }
      open = open.filter(({ c, next, order }) => rows[c].length < ipc && next < order.length)
    }
  }
  return { rows, lastExperts }
}

/** Means of the logits of the experts that classify an image right, in float64; of all experts where none does (our choice, the source divides by 0). */
export class RightLogits {
  readonly #labels: ArrayLike<number>
  readonly #classes: number
  readonly #right: Float64Array
  readonly #all: Float64Array
  readonly #counts: Int32Array
  #experts = 0

  constructor(labels: ArrayLike<number>, classes: number) {
    this.#labels = labels
    this.#classes = classes
    this.#right = new Float64Array(labels.length * classes)
    this.#all = new Float64Array(labels.length * classes)
    this.#counts = new Int32Array(labels.length)
  }

  /** Adds what one expert says: logits of all images, [labels, classes]. */
  add(logits: ArrayLike<number>): void {
    const classes = this.#classes
    this.#experts++
    for (let row = 0; row < this.#counts.length; row++) {
      const isRight = predictedClass(logits, row, classes) === this.#labels[row]
      this.#counts[row] += Number(isRight)
      for (let at = row * classes; at < (row + 1) * classes; at++) {
        this.#all[at] += logits[at]
        if (isRight) this.#right[at] += logits[at]
      }
    }
  }

  /** [labels, classes] */
  mean(): Float64Array {
    return this.#right.map((sum, at) => {
      const count = this.#counts[Math.floor(at / this.#classes)]
      return count > 0 ? sum / count : this.#all[at] / this.#experts
    })
  }
}
