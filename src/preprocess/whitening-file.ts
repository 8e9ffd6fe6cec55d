/** @file A whitening as safetensors: mean, transform and inverse in PyTorch's pixel order, everything else as text in the header. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { exists, maxFileBytes, readWhole } from '../data/file-bytes.js'
import { checkWhitening, type Whitening, whiteningHash } from '../data/whitening.js'
import { AludelError, expected, onFile } from '../errors.js'
import { writeShared } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { bytesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../files/safetensors.js'

export const whiteningFile = 'zca.safetensors'

const format = 'aludel-zca'
const version = '1'

/** The file's bytes. Equal whitenings, equal bytes. */
export function encodeWhitening({ mean, transform, inverse, sha256, ...about }: Whitening): Uint8Array {
  const d = mean.length
  const tensors = new Map<string, SafeTensor>([
    ['inverse', { dtype: 'F32', shape: [d, d], data: bytesOf(inverse) }],
    ['mean', { dtype: 'F32', shape: [d], data: bytesOf(mean) }],
    ['transform', { dtype: 'F32', shape: [d, d], data: bytesOf(transform) }],
  ])
  return encodeSafetensors(tensors, { format, version, about: JSON.stringify(about), sha256 })
}

/** Parses and checks what `encodeWhitening` wrote. Throws `invalid_data` naming `path` for anything else and for any damage. */
export async function decodeWhitening(path: string, bytes: Uint8Array): Promise<Whitening> {
  const { tensors, metadata } = decodeSafetensors(path, bytes)
  if (metadata.format !== format || metadata.version !== version) {
    throw expected('invalid_data', path, `a whitening (format '${format}', version ${version})`, metadata.format)
  }
  const about = parseAbout(path, metadata.about ?? '')
  const [h, w, c] = about.image
  const d = h * w * c
  const take = (name: string, shape: readonly number[]): Float32Array => {
    const tensor = tensors.get(name)
    if (tensor?.dtype !== 'F32' || tensor.shape.join() !== shape.join()) {
      throw expected('invalid_data', `${path}: tensor '${name}'`, `F32 [${shape.join(', ')}]`, `${tensor?.dtype} [${tensor?.shape}]`)
    }
    return new Float32Array(tensor.data.slice().buffer)
  }
  const fields = { ...about, mean: take('mean', [d]), transform: take('transform', [d, d]), inverse: take('inverse', [d, d]) }
  const sha256 = await whiteningHash(fields)
  if (sha256 !== metadata.sha256)
    throw expected('invalid_data', path, `a whitening of sha256 ${metadata.sha256}`, sha256, 'the file is damaged')
  const whitening = Object.freeze({ ...fields, sha256 })
  checkWhitening(path, whitening, about.image)
  return whitening
}

type About = Omit<Whitening, 'mean' | 'transform' | 'inverse' | 'sha256'>

function parseAbout(path: string, text: string): About {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new AludelError('invalid_data', `${path}: the header says nothing of the whitening that is JSON`, { cause })
  }
  const { order, eps, image, channels, source } = (isRecord(value) ? value : {}) as Partial<About>
  const numbers = (list: unknown) => Array.isArray(list) && list.every(Number.isFinite)
  const whole = Array.isArray(image) && image.length === 3 && image.every((side) => Number.isSafeInteger(side) && side >= 1)
  const known = (order === 'raw' || order === 'normalised') && typeof eps === 'number' && isRecord(source)
  if (!whole || !known || !isRecord(channels) || !numbers(channels.mean) || !numbers(channels.std)) {
    throw new AludelError('invalid_data', `${path}: expected order, eps, image, channels and source in the header`)
  }
  return value as About
}

/** Reads a whitening that stands in a file of its own. Throws `not_found`, `invalid_data`, `io`. */
export const readWhitening = async (path: string): Promise<Whitening> => decodeWhitening(path, await readWhole(path, maxFileBytes))

/** Bits depend on the instruction set: each has an entry of its own. */
function cachePath(dir: string, { order, eps, image, channels, source }: About, isa: string): string {
  const rule = JSON.stringify({ format, version, isa, order, eps, image, channels, data: source.sha256 })
  return join(dir, `zca-${createHash('sha256').update(rule).digest('hex')}.safetensors`)
}

/** The whitening kept in `dir` for these images and this rule; undefined when there is none that is whole. */
export async function loadCached(dir: string, about: About, isa: string): Promise<Whitening | undefined> {
  const path = cachePath(dir, about, isa)
  if (!(await exists(path))) return undefined
  try {
    const kept = await readWhitening(path)
    return kept.source.sha256 === about.source.sha256 && kept.source.name === about.source.name ? kept : undefined
  } catch (error) {
    if (error instanceof AludelError && error.code === 'invalid_data') return undefined
    throw error
  }
}

/** Keeps a whitening in `dir`, created if absent. Two processes may do so at once. */
export async function storeCached(dir: string, whitening: Whitening, isa: string): Promise<void> {
  await onFile(dir, () => makeDirectory(dir))
  const bytes = encodeWhitening(whitening)
  await writeShared(cachePath(dir, whitening, isa), bytes, bytes.length)
}
