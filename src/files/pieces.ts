/** @file Long bytes in pieces: hashed and handed on without holding the event loop, whatever their size. */
import { createHash } from 'node:crypto'
import { Turn } from '../event-loop.js'

/** Hashing one piece takes about a millisecond. */
const pieceBytes = 1 << 20

/** Views of at most 1 MiB of all parts, in order. */
export async function* piecesOf(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  for (const part of parts) for (let at = 0; at < part.length; at += pieceBytes) yield part.subarray(at, at + pieceBytes)
}

/** SHA-256 (hex) of `about`, as UTF-8, followed by all parts. */
export async function hashOfParts(about: string, parts: readonly Uint8Array[]): Promise<string> {
  const hash = createHash('sha256').update(about)
  const turn = new Turn()
  for await (const piece of piecesOf(parts)) {
    hash.update(piece)
    await turn.breathe()
  }
  return hash.digest('hex')
}

/** The bytes of an array, shared with it. */
export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength)
