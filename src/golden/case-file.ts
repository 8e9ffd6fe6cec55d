/**
 * @file Finds golden cases in a folder. A case is one .json file, one .npz file, or both with the same stem: then the arrays of the two
 * must be equal and the case counts once.
 */
import { readdirSync, readFileSync, statSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { asBytes } from '../data/file-bytes.js'
import { type NpzArchive, openNpz } from '../data/npz.js'
import { AludelError } from '../errors.js'
import { type GoldenTensor, sameTensor, tensorFromJson } from './tensor.js'

export interface GoldenCase {
  /** Path under the folder without ending, forward slashes: 'matching/dm'. */
  readonly name: string
  readonly jsonPath?: string
  readonly npzPath?: string
  /** Parsed .json ({} when the case is an .npz alone). */
  readonly json: Readonly<Record<string, unknown>>
  readonly arrayNames: readonly string[]
}

const endings = /\.(json|npz)$/

/** Regular files only: reading a pipe would wait for its writer. */
function filesIn(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? filesIn(join(folder, entry.name)) : [join(folder, entry.name)]))
    .filter((path) => endings.test(path) && statSync(path, { throwIfNoEntry: false })?.isFile())
    .sort()
}

function parseJson(path: string): Record<string, unknown> {
  let value: unknown
  try {
    value = JSON.parse(readFileSync(path, 'utf8'))
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: expected JSON: ${(cause as Error).message}`, { cause })
  }
  if (typeof value !== 'object' || value === null || Array.isArray(value))
    throw new AludelError('invalid_data', `${path}: expected a JSON object`)
  return value as Record<string, unknown>
}

/** A manifest lists files and is not a case. */
const isManifest = (json: Record<string, unknown>): boolean => 'files' in json && !('arrays' in json)

const record = (value: unknown): Record<string, unknown> =>
  typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}

export interface UnreadableCase {
  readonly name: string
  readonly error: Error
}

const archiveAt = (path: string): NpzArchive => openNpz(path, asBytes(readFileSync(path)))

/** The case of another name in the folder of this one. Throws `not_found` when there is none, `invalid_data` when it cannot be read. */
export function caseBeside({ name, jsonPath, npzPath }: GoldenCase, other: string): GoldenCase {
  const found = findCases(dirname((jsonPath ?? npzPath) as string)).find((golden) => golden.name === other)
  if (!found) throw new AludelError('not_found', `${name}: expected the case '${other}' beside it`)
  if ('error' in found) throw found.error
  return found
}

/** All cases under `folder` in order of name; a file that cannot be read is reported in its place, not thrown. */
export function findCases(folder: string): (GoldenCase | UnreadableCase)[] {
  if (!statSync(folder, { throwIfNoEntry: false })?.isDirectory()) {
    throw new AludelError('not_found', `golden: expected a folder of .json and .npz cases but received '${folder}'`)
  }
  const stems = new Map<string, { json?: string; npz?: string }>()
  for (const path of filesIn(folder)) {
    const stem = relative(folder, path).replaceAll('\\', '/').replace(endings, '')
    stems.set(stem, { ...stems.get(stem), [path.endsWith('.json') ? 'json' : 'npz']: path })
  }
  return [...stems].flatMap(([name, paths]): (GoldenCase | UnreadableCase)[] => {
    try {
      const json = paths.json ? parseJson(paths.json) : {}
      if (isManifest(json)) return []
      const arrayNames = paths.npz ? archiveAt(paths.npz).names : Object.keys(record(json.arrays))
      return [{ name, json, arrayNames, ...(paths.json && { jsonPath: paths.json }), ...(paths.npz && { npzPath: paths.npz }) }]
    } catch (error) {
      return [{ name, error: error as Error }]
    }
  })
}

/** An array of a case that stores its tensors by name; equal in both files when there are two. */
export function readArray(golden: GoldenCase, name: string): GoldenTensor {
  const inJson = golden.jsonPath ? record(golden.json.arrays)[name] : undefined
  if (!golden.npzPath) return tensorFromJson(`${golden.jsonPath}: ${name}`, inJson)
  const { shape, data } = archiveAt(golden.npzPath).readSync(name)
  const tensor: GoldenTensor = { shape, data: Float64Array.from(data) }
  if (golden.jsonPath && !sameTensor(tensor, tensorFromJson(`${golden.jsonPath}: ${name}`, inJson))) {
    throw new AludelError('invalid_data', `${golden.name}: array '${name}' differs between the .json and the .npz file`)
  }
  return tensor
}
