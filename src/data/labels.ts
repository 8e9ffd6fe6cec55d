/** @file Labels that may not be there: data without them has no classes, and whatever reads labels refuses it. */
import { AludelError } from '../errors.js'

interface Labelled {
  /** Empty where there are no labels. */
  readonly classes: readonly string[]
  /** One class index per image; empty where there are none. */
  readonly labels: Int32Array
}

/** Whether images have labels: without them there are no classes. */
export const isLabelled = ({ classes }: Pick<Labelled, 'classes'>): boolean => classes.length > 0

/** Throws `invalid_data` for data without labels; `what` is what reads them. */
export function checkLabelled(what: string, data: Pick<Labelled, 'classes'> & { readonly name?: string }): void {
  if (!isLabelled(data)) throw noLabels(data.name, what)
}

export function noLabels(name: string | undefined, what: string): AludelError {
  const todo = 'give labels, or take what needs none: pretrain, assess, distill --method krr-st (distillRepresentations)'
  return new AludelError(
    'invalid_data',
    `data set${name === undefined ? '' : ` '${name}'`}: has no labels, but ${what} needs them; ${todo}`,
  )
}

const none = new Int32Array(0)

/** The labels, none of data without them: a data set's own throw then. */
export const knownLabels = (data: Labelled): Int32Array => (isLabelled(data) ? data.labels : none)

/** Labels of the given rows; none where there are none. */
export const labelsAt = (labels: Int32Array, rows: ArrayLike<number>): Int32Array =>
  labels.length === 0 ? labels : Int32Array.from(rows, (row) => labels[row])
