/** @file Decoded images on disk, named by what they were decoded from: file contents, resize rule and decoder. Written whole or not at all. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { isRecord } from '../arguments.js'
import { AludelError, onFile } from '../errors.js'
import { writeShared } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { hashOfParts, piecesOf } from '../files/pieces.js'
import { decodeSafetensors, encodeHeader, type SafeTensor } from '../files/safetensors.js'
import type { UnreadableFile } from './dataset.js'
import { type DecodedImages, type DecodeOptions, decodeImages, decoderVersion, eachInOrder, readImageFile } from './decode-images.js'
import { exists, maxFileBytes, readWhole } from './file-bytes.js'

const format = 'aludel-decoded-images'
const version = '2'

/**
 * As `decodeImages`, by way of the files in `dir` (created if absent). A cached file that is damaged is made again. The name of an entry
 * is a hash over the bytes of all image files in order, so every file is read, which costs a fraction of decoding it.
 */
export async function decodeCached(dir: string, paths: readonly string[], options: DecodeOptions): Promise<DecodedImages> {
  const seen = await hashesOf(paths, options)
  const cached = await load(await entryOf(dir, seen, options), paths, seen, options)
  if (cached !== undefined) return cached
  const decoded = await decodeImages(paths, options)
  await onFile(dir, () => makeDirectory(dir))
  // Named by the bytes that were decoded: a file may have changed since it was looked at.
  const hashes = decoded.hashes.map((hash, row) => hash ?? seen[row])
  await save(await entryOf(dir, hashes, options), decoded)
  return decoded
}

/** SHA-256 of each file; '' of one that is no image and may be skipped. */
async function hashesOf(paths: readonly string[], { signal, onUnreadable }: DecodeOptions): Promise<string[]> {
  const hashes = new Array<string>(paths.length).fill('')
  await eachInOrder(paths.length, async (i) => {
    signal?.throwIfAborted()
    try {
      hashes[i] = await hashOfParts('', [await readImageFile(paths[i])])
    } catch (error) {
      if (onUnreadable !== 'skip' || !(error instanceof AludelError) || error.code !== 'invalid_data') throw error
    }
  })
  return hashes
}

async function entryOf(dir: string, hashes: readonly string[], { size, fit }: DecodeOptions): Promise<string> {
  const rule = { format, version, decoder: await decoderVersion(), size: size ?? null, fit: size === undefined ? null : (fit ?? 'squash') }
  const key = createHash('sha256').update(JSON.stringify(rule)).update(hashes.join('\n')).digest('hex')
  return join(dir, `images-${key}.safetensors`)
}

async function load(
  path: string,
  paths: readonly string[],
  seen: readonly string[],
  { onUnreadable }: DecodeOptions,
): Promise<DecodedImages | undefined> {
  if (!(await exists(path))) return undefined
  try {
    const { tensors, metadata } = decodeSafetensors(path, await readWhole(path, maxFileBytes))
    const tensor = tensors.get('images')
    const unreadable = unreadableIn(metadata.unreadable, paths)
    if (unreadable === undefined || (unreadable.length > 0 && onUnreadable !== 'skip')) return undefined
    const count = paths.length - unreadable.length
    if (tensor?.dtype !== 'U8' || tensor.shape.length !== 4 || tensor.shape[0] !== count || tensor.shape[3] !== 3) return undefined
    if ((await hashOfParts('', [tensor.data])) !== metadata.sha256) return undefined
    const hashes: (string | undefined)[] = [...seen]
    for (const { row } of unreadable) hashes[row] = undefined
    return { images: tensor.data, shape: tensor.shape as unknown as DecodedImages['shape'], hashes, unreadable }
  } catch (error) {
    if (error instanceof AludelError && error.code === 'invalid_data') return undefined
    throw error
  }
}

const isCount = (value: unknown): value is number => Number.isSafeInteger(value) && Number(value) >= 0

/** Rows ascending with their reasons; paths are those of today, as equal contents may lie elsewhere. */
function unreadableIn(text: string | undefined, paths: readonly string[]): UnreadableFile[] | undefined {
  let list: unknown
  try {
    list = JSON.parse(text ?? '')
  } catch {
    return undefined
  }
  if (!Array.isArray(list)) return undefined
  const fits = (entry: unknown, i: number): boolean =>
    isRecord(entry) && isCount(entry.row) && typeof entry.reason === 'string' && (i === 0 || entry.row > list[i - 1].row)
  if (!list.every(fits) || list.some(({ row }) => row >= paths.length)) return undefined
  return list.map(({ row, reason }) => ({ row, path: paths[row], reason }))
}

async function save(path: string, { images, shape, unreadable }: DecodedImages): Promise<void> {
  const tensors = new Map<string, SafeTensor>([['images', { dtype: 'U8', shape, data: images }]])
  const left = JSON.stringify(unreadable.map(({ row, reason }) => ({ row, reason })))
  const header = encodeHeader(tensors, { format, version, sha256: await hashOfParts('', [images]), unreadable: left })
  await writeShared(path, piecesOf([header, images]), header.length + images.length)
}
