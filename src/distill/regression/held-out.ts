/** @file Real images that a run is validated on: as many of each class, drawn once by the seed, which its start and its steps never see. */
import type { Dataset } from '../../data/dataset.js'
import { createSampler } from '../../data/sampler.js'
import { purpose } from '../../engine/tensor/key.js'
import { expected } from '../../errors.js'
import type { InitKind, PresetContext } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import type { ValidationSettings } from './label-settings.js'

type Rows = Pick<Dataset, 'classes' | 'classIndices' | 'shape'>

export interface HeldOut {
  /** Class-major. */
  readonly rows: Int32Array
  /** By row of the data set: 1 where it is held out. */
  readonly mask: Uint8Array
}

export function holdOut(dataset: Rows, perClass: number, seed: number): HeldOut {
  const rows = createSampler({ dataset, perClass, seed, purpose: purpose.validation }).draw(0)
  const mask = new Uint8Array(dataset.shape[0])
  for (const row of rows) mask[row] = 1
  return { rows, mask }
}

/** What the start and balanced batches are drawn from. */
export const rowsBeside = ({ classes, classIndices, shape }: Rows, { rows, mask }: HeldOut): Rows => ({
  classes,
  classIndices: (c) => classIndices(c).filter((row) => mask[row] === 0),
  shape: [shape[0] - rows.length, shape[1], shape[2], shape[3]],
})

/** The rows that the images of a run may start from: all but those that it is validated on. */
export function startRows(dataset: Rows, { method, methodOptions, seed }: ResolvedSettings): Rows {
  const validation = 'regression' in method ? method.regression(methodOptions).validation : undefined
  return validation ? rowsBeside(dataset, holdOut(dataset, validation.perClass, seed)) : dataset
}

/** Images of a class that RFAD's code validates on: 500 of ten classes, else 100; of small data sets no more than a tenth (ours). */
export const validationImages = ({ classes = 10, smallest = Number.POSITIVE_INFINITY }: PresetContext): number =>
  Math.max(1, Math.min(classes === 10 ? 500 : 100, Math.floor(smallest / 10)))

/** Throws `invalid_option` where too few images are left to start from and to learn from, and for a patience that ends a run unheard. */
export function checkValidation(
  { classes, classIndices }: Rows,
  { every, perClass, patience }: ValidationSettings,
  { ipc, init }: { readonly ipc: number; readonly init: InitKind },
): void {
  if (patience > 0 && patience < every) {
    const todo = 'validate more often, or wait longer'
    throw expected('invalid_option', 'patience', `0, or at least validateEvery (${every}) steps`, patience, todo)
  }
  const left = init === 'noise' ? 1 : ipc
  const smallest = Math.min(...classes.map((_, c) => classIndices(c).length))
  if (perClass + left <= smallest) return
  const wanted = `at most ${Math.max(0, smallest - left)} images of a class, of which the smallest has ${smallest} and the run needs ${left}`
  throw expected('invalid_option', 'validateImages', wanted, perClass, 'hold out fewer, or validate on none (validateEvery=0)')
}
