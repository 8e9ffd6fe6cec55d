/** @file The training images of a run: its data set, and the part of it that the run itself has chosen. */
import { join, resolve } from 'node:path'
import { formatSpecification, parseSpecification } from '../data/specification.js'
import { expected } from '../errors.js'
import type { RunRecord } from './run-record.js'

/** The subset that a run has chosen, and the directory of the scores it was chosen by, in the run's directory. */
export const subsetFile = 'subset.json'
export const scoresDirectory = 'scores'

/** What every stage of the run opens: the data set as it was named, with the run's own subset where it has chosen one. */
export function runSpecification(dir: string, { data, prune }: Pick<RunRecord, 'data' | 'prune'>): string {
  if (!prune?.subsetSha256) return data.specification
  const { options, ...rest } = parseSpecification(data.specification)
  return formatSpecification({ ...rest, options: { ...options, subset: join(resolve(dir), subsetFile) } })
}

/** Throws `invalid_option` for a directory whose subset no specification could name. */
export function checkNameable(dir: string): void {
  if (resolve(dir).includes(','))
    throw expected('invalid_option', 'directory of a run that chooses its images', 'a path without commas', dir)
}
