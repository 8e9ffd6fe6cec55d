/** @file What a pretraining says of itself from its first step on: pretraining.json, which carries its own hash. */
import { join } from 'node:path'
import { exists, readText } from '../data/file-bytes.js'
import { AludelError, expected } from '../errors.js'
import { checkSeal, encodeSealed, parseRecord } from '../experiment/sealed-json.js'
import { writeAtomic } from '../files/atomic-file.js'
import type { PretrainRecord } from './settings.js'

const recordPath = (dir: string): string => join(dir, 'pretraining.json')
const maxRecordBytes = 2 ** 24

/** The record of a training that was begun in `dir`. Throws `not_found`, `invalid_data`, `io`. */
export async function readPretrainRecord(dir: string): Promise<PretrainRecord> {
  const path = recordPath(dir)
  const text = await readText(path, maxRecordBytes, 'give a directory that aludel pretrain was begun in')
  const value = parseRecord(path, text)
  checkSeal(path, text)
  return value as unknown as PretrainRecord
}

/** Whether a training was begun in `dir`. Throws `io`. */
export const holdsPretraining = (dir: string): Promise<boolean> => exists(recordPath(dir))

/** The record in `dir`, which is there afterwards. Throws `invalid_option`, or `incompatible` for what the user does not choose, naming the first setting that differs. */
export async function beginRecord(dir: string, planned: PretrainRecord): Promise<PretrainRecord> {
  if (!(await holdsPretraining(dir))) {
    await writeAtomic(recordPath(dir), encodeSealed(planned))
    return planned
  }
  const there = await readPretrainRecord(dir)
  const flat = ({ config, arithmetic, data, specification: _, ...rest }: PretrainRecord): Record<string, unknown> => ({
    ...rest,
    ...config,
    data: data.sha256,
    arithmetic,
  })
  const [old, wanted] = [flat(there), flat(planned)]
  for (const name of new Set([...Object.keys(old), ...Object.keys(wanted)])) {
    if (JSON.stringify(old[name]) === JSON.stringify(wanted[name])) continue
    if (name === 'arithmetic')
      throw expected(
        'incompatible',
        `${dir}: arithmetic`,
        JSON.stringify(old[name]),
        JSON.stringify(wanted[name]),
        'continue it on its device',
      )
    const both = `is ${JSON.stringify(old[name])} there but ${JSON.stringify(wanted[name])} here`
    throw new AludelError(
      'invalid_option',
      `${dir}: ${name} ${both}; a training is continued with its own settings, give another directory`,
    )
  }
  return there
}
