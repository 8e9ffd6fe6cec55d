/** @file What a classifier's file says of itself before it is loaded: the images it takes, how many classes it tells apart, its outputs. */
import { expected } from '../errors.js'
import { metadataKeys } from '../export/onnx/export-network.js'
import { elementType } from '../export/onnx/schema.js'
import { readModel } from './read-model.js'

export interface ModelDescription {
  /** Height and width of its input where both are fixed. */
  readonly size?: readonly [number, number]
  /** Channels of its input where they are fixed. */
  readonly channels?: number
  /** Columns of its logits, where the file says how many. */
  readonly width?: number
  /** Names of float32 outputs. */
  readonly outputs: readonly string[]
  /** Names of its classes, where this package wrote it. */
  readonly classes?: readonly string[]
}

/**
 * Reads the description of a model of `path`. The logits are the output named `logits`, or the only float32 output of rows beside `features`.
 * Throws `invalid_data` for bytes that are no model.
 */
export function describeModel(path: string, bytes: Uint8Array, features?: string): ModelDescription {
  const { inputs, outputs, metadata } = readModel(path, bytes)
  const floats = outputs.filter((port) => port.elementType === elementType.float)
  const rows = floats.filter(({ name, dims }) => name !== features && (!dims || dims.slice(2).every((size) => size === 1)))
  const logits = rows.find(({ name }) => name === 'logits') ?? (rows.length === 1 ? rows[0] : undefined)
  const [, channels, height, width] = inputs[0]?.dims ?? []
  const count = logits?.dims?.[1]
  const classes = classesOf(path, metadata)
  return {
    ...(typeof height === 'number' && typeof width === 'number' && { size: [height, width] as const }),
    ...(typeof channels === 'number' && { channels }),
    ...(typeof count === 'number' && { width: count }),
    outputs: floats.map(({ name }) => name),
    ...(classes && { classes }),
  }
}

function classesOf(path: string, metadata: Readonly<Record<string, string>>): readonly string[] | undefined {
  if (!Object.hasOwn(metadata, metadataKeys.classes)) return undefined
  try {
    const list: unknown = JSON.parse(metadata[metadataKeys.classes])
    if (Array.isArray(list) && list.every((name) => typeof name === 'string')) return list
  } catch {
    // the same complaint
  }
  throw expected('invalid_data', `${path}: metadata '${metadataKeys.classes}'`, 'a JSON list of names', metadata[metadataKeys.classes])
}
