/** @file BiLP's score files, `{Dataset}_{Indicator}.json`: one JSON array of N floats in the training set's order, nothing else. */
import { basename, join } from 'node:path'
import { maxFileBytes, readWhole } from '../data/file-bytes.js'
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import { writeAtomic } from '../files/atomic-file.js'
import { checkFiniteInTurns } from '../scores/score.js'

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
  const values = await parseInPieces(path, await decodeInPieces(await readWhole(path, maxFileBytes)))
  await checkFiniteInTurns(path, values)
  return { dataset, indicator, values }
}

async function decodeInPieces(bytes: Uint8Array): Promise<string> {
  const decoder = new TextDecoder()
  const turn = new Turn()
  let text = ''
  for (let at = 0; at < bytes.length; at += pieceLength) {
    text += decoder.decode(bytes.subarray(at, at + pieceLength), { stream: true })
    await turn.breathe()
  }
  return text + decoder.decode()
}

/** Bytes decoded, and characters parsed, at once. */
const pieceLength = 1 << 16

/** One list of numbers, parsed some at a time; what is none is parsed as a whole, to say what is wrong with it. */
async function parseInPieces(path: string, text: string): Promise<Float64Array> {
  const begin = text.search(/\S/)
  const end = text.trimEnd().length - 1
  const pieces: number[][] = []
  let count = 0
  const turn = new Turn()
  for (let at = begin + 1; at < end; ) {
    const comma = text.indexOf(',', at + pieceLength)
    const stop = comma < 0 || comma > end ? end : comma
    const numbers = text[begin] === '[' && text[end] === ']' ? numbersIn(text.slice(at, stop)) : undefined
    if (numbers === undefined) return Float64Array.from(parseNumbers(path, text))
    pieces.push(numbers)
    count += numbers.length
    at = stop + 1
    await turn.breathe()
  }
  if (count === 0) return Float64Array.from(parseNumbers(path, text))
  const values = new Float64Array(count)
  let filled = 0
  for (const piece of pieces) {
    values.set(piece, filled)
    filled += piece.length
    await turn.breathe()
  }
  return values
}

/** Numbers with commas between them; undefined for anything else. */
function numbersIn(text: string): number[] | undefined {
  try {
    const list: unknown[] = JSON.parse(`[${text.replace(notJson, tooLarge)}]`)
    return list.length > 0 && list.every((entry) => typeof entry === 'number') ? (list as number[]) : undefined
  } catch {
    return undefined
  }
}

/** Names that Python's json writes and JSON does not know; a file of numbers has no texts in which they could stand. */
const notJson = /\b(?:NaN|Infinity)\b/g
const tooLarge = '1e999'

function parseNumbers(path: string, text: string): number[] {
  let value: unknown
  try {
    value = JSON.parse(text.replace(notJson, tooLarge))
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
  await checkFiniteInTurns('exportBilpScores', values)
  const path = join(dir, `${dataset}_${indicator}.json`)
  await writeAtomic(path, formatted(values))
  return path
}

/** Numbers formatted at once. */
const numbersAtOnce = 2048

async function* formatted(values: Float64Array): AsyncGenerator<Uint8Array> {
  const encoder = new TextEncoder()
  const turn = new Turn()
  for (let at = 0; at < values.length; at += numbersAtOnce) {
    const texts = Array.from(values.subarray(at, at + numbersAtOnce), pythonFloat).join(', ')
    yield encoder.encode(`${at === 0 ? '[' : ', '}${texts}`)
    await turn.breathe()
  }
  yield encoder.encode(']')
}

/** Python takes numbers without a point for whole ones, of which it makes other arrays; -0 would lose its sign. */
function pythonFloat(value: number): string {
  const text = Object.is(value, -0) ? '-0' : String(value)
  return /[.e]/.test(text) ? text : `${text}.0`
}
