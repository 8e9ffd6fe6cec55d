/** @file BiLP's score files, `{Dataset}_{Indicator}.json`: one JSON array of N floats in the training set's order, nothing else. */
import { basename, join } from 'node:path'
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { AludelError, expected } from '../errors.js'
import { writeAtomic } from '../files/atomic-file.js'
import { checkFiniteScores } from '../scores/score.js'

const namePattern = /^(.+)_([^_]+)\.json$/
const partPattern = /^[\w.-]+$/

export interface BilpScores {
  /** As in the file's name: 'CIFAR10'. */
  readonly dataset: string
  /** As in the file's name: 'LossConverge' and 'LossInit' are losses; 'MonteCarlo' is an accuracy, comparable within a class only. */
  readonly indicator: string
  readonly values: Float64Array
}

/**
 * Reads a score file of BiLP; numbers keep their bits. The file does not say which data it belongs to: compare the count with the data set.
 * Throws `invalid_option` for a name of another form, `not_found`, `invalid_data`, `not_finite` (Python writes NaN and Infinity), `io`.
 */
export async function importBilpScores(path: string): Promise<BilpScores> {
  const [, dataset, indicator] = namePattern.exec(basename(path)) ?? []
  if (dataset === undefined) throw expected('invalid_option', 'importBilpScores', 'a file {Dataset}_{Indicator}.json', path)
  const text = new TextDecoder().decode(await readWhole(path, maxFileBytes))
  const numbers = parseNumbers(path, text)
  checkFiniteScores(path, numbers)
  return { dataset, indicator, values: Float64Array.from(numbers) }
}

function parseNumbers(path: string, text: string): number[] {
  let value: unknown
  try {
    // names that Python's json writes and JSON does not know; a file of numbers has no texts in which they could stand
    value = JSON.parse(text.replace(/\b(?:NaN|Infinity)\b/g, '1e999'))
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: not JSON (${(cause as Error).message})`, { cause })
  }
  if (!Array.isArray(value) || value.length === 0) throw expected('invalid_data', path, 'a JSON array of numbers', value)
  const wrong = value.findIndex((entry) => typeof entry !== 'number')
  if (wrong >= 0) throw expected('invalid_data', `${path}: entry ${wrong}`, 'a number', value[wrong])
  return value
}

/**
 * Writes scores as BiLP reads them, into `dir`; returns the path. The shortest digits that give the same double again.
 * Throws `invalid_option` for names that make no file name, `not_finite`, `io`.
 */
export async function exportBilpScores(dir: string, { dataset, indicator, values }: BilpScores): Promise<string> {
  for (const [name, part] of Object.entries({ dataset, indicator })) {
    if (typeof part !== 'string' || !partPattern.test(part) || (name === 'indicator' && part.includes('_')))
      throw expected('invalid_option', `exportBilpScores: ${name}`, 'letters, digits, dots and dashes', part)
  }
  if (!(values instanceof Float64Array) || values.length === 0)
    throw expected('invalid_option', 'exportBilpScores: values', 'a Float64Array of at least one score', values)
  checkFiniteScores('exportBilpScores', values)
  const path = join(dir, `${dataset}_${indicator}.json`)
  await writeAtomic(path, `[${Array.from(values, pythonFloat).join(', ')}]`)
  return path
}

/** Python takes numbers without a point for whole ones, of which it makes other arrays; -0 would lose its sign. */
function pythonFloat(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}
