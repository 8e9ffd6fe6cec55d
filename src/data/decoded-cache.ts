/** @file Decoded images on disk, named by what they were decoded from: file contents, resize rule and decoder. Written whole or not at all. */
import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { AludelError, onFile } from '../errors.js'
import { Turn } from '../event-loop.js'
import { writeShared } from '../files/atomic-file.js'
import { makeDirectory } from '../files/make-directory.js'
import { decodeSafetensors, encodeHeader, type SafeTensor } from '../files/safetensors.js'
import { type DecodedImages, type DecodeOptions, decodeImages, decoderVersion, eachInOrder, readImageFile } from './decode-images.js'
import { exists, maxFileBytes, readWhole } from './file-bytes.js'

const format = 'aludel-decoded-images'
const version = '1'
const pieceBytes = 1 << 20

/**
 * As `decodeImages`, by way of the files in `dir` (created if absent). A cached file that is damaged is made again. The name of an entry
 * is a hash over the bytes of all image files in order, so every file is read, which costs a fraction of decoding it.
 */
export async function decodeCached(dir: string, paths: readonly string[], options: DecodeOptions): Promise<DecodedImages> {
  const key = await keyOf(paths, options)
  const path = join(dir, `images-${key}.safetensors`)
  const cached = await load(path, paths.length)
  if (cached !== undefined) return cached
  const decoded = await decodeImages(paths, options)
  await onFile(dir, () => makeDirectory(dir))
  await save(path, decoded)
  return decoded
}

async function keyOf(paths: readonly string[], { size, fit, signal }: DecodeOptions): Promise<string> {
  const hashes = new Array<string>(paths.length)
  await eachInOrder(paths.length, async (i) => {
    signal?.throwIfAborted()
    hashes[i] = createHash('sha256')
      .update(await readImageFile(paths[i]))
      .digest('hex')
  })
  const rule = { format, version, decoder: await decoderVersion(), size: size ?? null, fit: size === undefined ? null : (fit ?? 'squash') }
  return createHash('sha256').update(JSON.stringify(rule)).update(hashes.join('\n')).digest('hex')
}

/** SHA-256 (hex), a piece at a time. */
async function hashOf(bytes: Uint8Array): Promise<string> {
  const hash = createHash('sha256')
  const turn = new Turn()
  for (let at = 0; at < bytes.length; at += pieceBytes) {
    hash.update(bytes.subarray(at, at + pieceBytes))
    await turn.breathe()
  }
  return hash.digest('hex')
}

async function load(path: string, count: number): Promise<DecodedImages | undefined> {
  if (!(await exists(path))) return undefined
  try {
    const { tensors, metadata } = decodeSafetensors(path, await readWhole(path, maxFileBytes))
    const tensor = tensors.get('images')
    if (tensor?.dtype !== 'U8' || tensor.shape.length !== 4 || tensor.shape[0] !== count || tensor.shape[3] !== 3) return undefined
    if ((await hashOf(tensor.data)) !== metadata.sha256) return undefined
    return { images: tensor.data, shape: tensor.shape as unknown as DecodedImages['shape'] }
  } catch (error) {
    if (error instanceof AludelError && error.code === 'invalid_data') return undefined
    throw error
  }
}

async function save(path: string, { images, shape }: DecodedImages): Promise<void> {
  const tensors = new Map<string, SafeTensor>([['images', { dtype: 'U8', shape, data: images }]])
  const header = encodeHeader(tensors, { format, version, sha256: await hashOf(images) })
  await writeShared(path, inPieces([header, images]), header.length + images.length)
}

async function* inPieces(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) for (let at = 0; at < part.length; at += pieceBytes) yield part.subarray(at, at + pieceBytes)
}
