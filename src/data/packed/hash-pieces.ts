/** @file One pass over a pixel file: the hash of each piece, and with it any other hash of the same bytes. */
import { createHash } from 'node:crypto'
import { AbortError, onFile } from '../../errors.js'
import { Turn } from '../../event-loop.js'
import { invalidFile, openForReading } from '../file-bytes.js'

export interface PassOptions {
  readonly signal?: AbortSignal
  readonly onProgress?: (bytes: number) => void
}

/** A hash, or what else is fed bytes in order. */
interface Sink {
  update(bytes: Uint8Array): unknown
}

const readBytes = 1 << 20

/**
 * SHA-256 (hex) of each `pieceBytes` of the first `bytes` of a file; `whole` is fed the same bytes. Throws `invalid_data` when the file ends
 * before, `io`. Rejects with AbortError.
 */
export function hashPieces(
  path: string,
  { bytes, pieceBytes, whole }: { readonly bytes: number; readonly pieceBytes: number; readonly whole?: Sink },
  { signal, onProgress }: PassOptions = {},
): Promise<string[]> {
  return onFile(path, async () => {
    const handle = await openForReading(path)
    try {
      const buffer = new Uint8Array(readBytes)
      const turn = new Turn()
      const pieces: string[] = []
      for (let from = 0; from < bytes; from += pieceBytes) {
        const end = Math.min(bytes, from + pieceBytes)
        const piece = createHash('sha256')
        for (let at = from; at < end; ) {
          if (signal?.aborted) throw new AbortError(signal.reason)
          const { bytesRead } = await handle.read(buffer, 0, Math.min(readBytes, end - at), at)
          if (bytesRead === 0) throw invalidFile(path, `expected ${bytes} bytes but the file ends after ${at}`)
          piece.update(buffer.subarray(0, bytesRead))
          whole?.update(buffer.subarray(0, bytesRead))
          at += bytesRead
          await turn.breathe()
        }
        pieces.push(piece.digest('hex'))
        onProgress?.(end)
      }
      return pieces
    } finally {
      await handle.close()
    }
  })
}
