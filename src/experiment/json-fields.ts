/** @file Checks of JSON files that this package wrote and someone may have changed: each field is what the code that uses it relies on. */
import { isRecord, shownJson } from '../arguments.js'
import { AludelError } from '../errors.js'

export const isText = (value: unknown): value is string => typeof value === 'string'
export const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
export const isTexts = (value: unknown): value is string[] => Array.isArray(value) && value.every(isText)
export const isNumbers = (value: unknown): value is number[] => Array.isArray(value) && value.every(isNumber)
export const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && (value as number) >= 0
const isScalar = (value: unknown): boolean => value === null || typeof value === 'boolean' || isText(value) || isNumber(value)

/** Resolved settings: scalars and flat lists by name. */
export const isConfig = (value: unknown): boolean =>
  isRecord(value) && Object.values(value).every((setting) => isScalar(setting) || isTexts(setting) || isNumbers(setting))

/** Scalars by name. */
export const isScalars = (value: unknown): boolean => isRecord(value) && Object.values(value).every(isScalar)

/** What each field must be, in the order in which they are looked at. */
export type FieldRules<T> = readonly (readonly [field: keyof T & string, wanted: string, holds: (value: unknown) => boolean])[]

/** Throws `invalid_data` naming the file and the first field that is not what it must be. */
export function checkFields<T>(path: string, value: Readonly<Record<string, unknown>>, rules: FieldRules<T>): void {
  for (const [field, wanted, holds] of rules) {
    if (holds(value[field])) continue
    throw new AludelError('invalid_data', `${path}: field '${field}': expected ${wanted} but received ${shownJson(value[field])}`)
  }
}
