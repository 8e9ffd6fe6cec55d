/** @file What every labelled image set must hold, real or synthetic: types first, so that a check of values never meets a wrong one. */
import { isRecord } from '../arguments.js'
import { type DType, dtypeOf, isDetached, type TypedArray } from '../engine/tensor/dtype.js'
import { AludelError, expected } from '../errors.js'

/** Fields as they came; nothing about them is known. */
export type Unchecked<T> = { readonly [K in keyof T]?: unknown }

export interface ImageFields {
  readonly classes: readonly string[]
  /** [N, H, W, C] */
  readonly shape: readonly [number, number, number, number]
  readonly labels: Int32Array
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly flip: boolean
}

const isNumber = (value: unknown): value is number => typeof value === 'number' && Number.isFinite(value)
const isText = (value: unknown): value is string => typeof value === 'string' && value !== ''

/** Throws `invalid_data` naming `what` and the field, or `detached`. */
export class FieldCheck {
  readonly #what: string

  /** Throws when `fields` are no object at all. */
  constructor(what: string, fields: unknown, todo?: string) {
    this.#what = what
    const hint = fields instanceof Promise ? 'await it first' : todo
    if (!isRecord(fields) || ArrayBuffer.isView(fields) || fields instanceof Promise) {
      throw expected('invalid_data', what, 'an object with its fields', fields, hint)
    }
  }

  bad(field: string, wanted: string, received: unknown): AludelError {
    return expected('invalid_data', `${this.#what}: ${field}`, wanted, received)
  }

  text(field: string, value: unknown): void {
    if (!isText(value)) throw this.bad(field, 'a text', value)
  }

  /** An attached typed array of `dtype` with `count` elements; `unit` is what they are called. */
  array(field: string, [dtype, name]: readonly [DType, string], value: unknown, count: number, unit: string): void {
    if (dtypeOf(value) !== dtype) throw this.bad(field, `an array of type ${name}`, value)
    const { buffer, length } = value as TypedArray
    if (isDetached(buffer)) throw new AludelError('detached', `${this.#what}: ${field}: the array's buffer was transferred away`)
    if (length !== count) throw this.bad(field, `${count} ${unit}`, length)
  }

  shape(value: unknown): asserts value is ImageFields['shape'] {
    const dimensions: readonly number[] = Array.isArray(value) ? [...value] : []
    if (dimensions.length !== 4 || dimensions.some((d) => !Number.isSafeInteger(d) || d < 1)) {
      throw this.bad('shape', 'four whole numbers >= 1 [N, H, W, C]', value)
    }
  }

  /** Names tell classes apart: in reports, in folders, between a set and its test images. */
  classes(value: unknown): asserts value is readonly string[] {
    if (!Array.isArray(value) || value.length < 1) throw this.bad('classes', 'a list of at least one class name', value)
    const names = [...value]
    const unnamed = names.findIndex((name) => !isText(name))
    if (unnamed >= 0) throw this.bad(`name of class ${unnamed}`, 'a text', names[unnamed])
    const twice = names.findIndex((name, c) => names.indexOf(name) !== c)
    if (twice >= 0) throw this.bad(`name of class ${twice}`, 'one that no class before it has', names[twice])
  }

  labels(labels: ArrayLike<unknown>, classes: number): void {
    for (let i = 0; i < labels.length; i++) {
      const label = labels[i] as number
      if (!Number.isInteger(label) || label < 0 || label >= classes)
        throw this.bad(`label of image ${i}`, `a class in [0, ${classes})`, label)
    }
  }

  statistics({ mean, std }: Unchecked<Pick<ImageFields, 'mean' | 'std'>>, channels: number): void {
    if (!this.#numbers(mean, channels))
      throw this.bad('mean', `${channels} finite numbers in a list, one for each of ${channels} channels`, mean)
    if (!this.#numbers(std, channels) || !std.every((s) => s > 0)) {
      throw this.bad('std', `${channels} positive numbers in a list, one for each of ${channels} channels`, std)
    }
  }

  flag(field: string, value: unknown): void {
    if (typeof value !== 'boolean') throw this.bad(field, 'true or false', value)
  }

  #numbers(value: unknown, count: number): value is number[] {
    return Array.isArray(value) && value.length === count && [...value].every(isNumber)
  }
}
