/** @file What the directory of a teacher says of itself: teacher.json, sealed, which makes it a finished one; the weights beside it. */
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { exists, readText } from '../data/file-bytes.js'
import { expected } from '../errors.js'
import { checkFields, type FieldRules, isConfig, isCount, isNumbers, isText } from '../experiment/json-fields.js'
import { checkSeal, encodeSealed, parseRecord, sealOf } from '../experiment/sealed-json.js'
import type { RunConfig } from '../experiment/types.js'
import { writeAtomic } from '../files/atomic-file.js'

export const teacherFormat = 'aludel-teacher'
export const teacherVersion = 1
const maxRecordBytes = 2 ** 24

export interface TeacherRecord {
  readonly format: typeof teacherFormat
  readonly version: typeof teacherVersion
  readonly objective: string
  /** Registry name of the network, of which the last layer is left out. */
  readonly network: string
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  readonly dim: number
  /** Per channel, of pixels in [0, 1]: what images are normalised by. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** The images that it was trained on, by content; their labels took no part. */
  readonly data: { readonly name: string; readonly split: string; readonly sha256: string; readonly samples: number }
  /** Settings of the training, resolved. */
  readonly config: RunConfig
  /** What the bits depend on beside the settings. */
  readonly arithmetic: RunConfig
  /** Of each epoch: mean loss, and mean spread of the representations (0: all alike, 1 at most). */
  readonly losses: readonly number[]
  readonly spreads: readonly number[]
  /** SHA-256 of network.safetensors. */
  readonly weights: string
}

export const teacherPath = (dir: string): string => join(dir, 'teacher.json')
export const weightsPath = (dir: string): string => join(dir, 'network.safetensors')

const isSize = (value: unknown): boolean => isCount(value) && value > 0
const isHash = (value: unknown): boolean => isText(value) && /^[0-9a-f]{64}$/.test(value)
const rules: FieldRules<TeacherRecord> = [
  ['format', `'${teacherFormat}'`, (value) => value === teacherFormat],
  ['version', `${teacherVersion}`, (value) => value === teacherVersion],
  ['objective', 'a text', isText],
  ['network', 'the name of a network', isText],
  ['image', '[H, W, C]', (value) => Array.isArray(value) && value.length === 3 && value.every(isSize)],
  ['dim', 'a whole number > 0', isSize],
  ['mean', 'numbers', isNumbers],
  ['std', 'numbers > 0', (value) => isNumbers(value) && value.every((s) => s > 0)],
  ['data', 'name, split, sha256 and samples', (value) => isRecord(value) && isText(value.name) && isHash(value.sha256)],
  ['config', 'settings', isConfig],
  ['arithmetic', 'settings', isConfig],
  ['losses', 'numbers', isNumbers],
  ['spreads', 'numbers', isNumbers],
  ['weights', 'a SHA-256', isHash],
]

/** Whether a finished teacher stands in `dir`. Throws `io`. */
export const holdsTeacher = (dir: string): Promise<boolean> => exists(teacherPath(dir))

export const writeTeacherRecord = (dir: string, record: TeacherRecord): Promise<void> => writeAtomic(teacherPath(dir), encodeSealed(record))

/** Reads and verifies the record; `sha256` is its identity. Throws `not_found`, `invalid_data` naming the field or the hash, `io`. */
export async function readTeacherRecord(dir: string): Promise<{ readonly record: TeacherRecord; readonly sha256: string }> {
  const path = teacherPath(dir)
  const text = await readText(path, maxRecordBytes, 'give a directory of aludel pretrain that is finished, or an .onnx file')
  const value = parseRecord(path, text)
  checkFields(path, value, rules)
  checkSeal(path, text)
  const record = value as unknown as TeacherRecord
  if (record.mean.length !== record.image[2] || record.std.length !== record.image[2])
    throw expected('invalid_data', `${path}: fields 'mean' and 'std'`, `${record.image[2]} numbers each`, [
      record.mean.length,
      record.std.length,
    ])
  return { record, sha256: sealOf(value) }
}
