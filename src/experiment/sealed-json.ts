/** @file JSON files that carry the hash of their own text as last field, `sha256`: any changed byte is noticed. */
import { createHash } from 'node:crypto'
import { isRecord } from '../arguments.js'
import { AludelError } from '../errors.js'

const sealed = /^(.+),\n {2}"sha256": "([0-9a-f]{64})"\n\}\n$/s

const hashOf = (text: string): string => createHash('sha256').update(text).digest('hex')

/** The text of an object that has no field `sha256` of its own. */
export function encodeSealed(value: object): string {
  const body = JSON.stringify(value, null, 2).slice(0, -'\n}'.length)
  return `${body},\n  "sha256": "${hashOf(body)}"\n}\n`
}

/** The seal of an object's text: what `encodeSealed` writes as its last field. */
export const sealOf = (value: object): string => hashOf(JSON.stringify(value, null, 2).slice(0, -'\n}'.length))

export type JsonRecord = Record<string, unknown>

/** The object in `text`, without its seal. Throws `invalid_data` naming `path` when it is no JSON object. */
export function parseRecord(path: string, text: string): JsonRecord {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: not JSON (${(cause as Error).message})`, { cause })
  }
  if (!isRecord(value)) throw new AludelError('invalid_data', `${path}: expected a JSON object`)
  const { sha256: _, ...fields } = value
  return fields
}

/** Throws `invalid_data` unless the text is exactly what `encodeSealed` wrote. */
export function checkSeal(path: string, text: string): void {
  const [, body, sha256] = sealed.exec(text) ?? []
  if (body === undefined) {
    throw new AludelError(
      'invalid_data',
      `${path}: expected the file's own sha256 as last field; it was changed, damaged, or not written by aludel`,
    )
  }
  if (hashOf(body) !== sha256) {
    throw new AludelError('invalid_data', `${path}: expected sha256 ${sha256} but received '${hashOf(body)}'; it was changed or damaged`)
  }
}
