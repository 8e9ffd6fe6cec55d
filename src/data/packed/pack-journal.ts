/**
 * @file How far packing a split has come: one line a batch, written when the batch's pixels are on the disk. A line that a crash cut short is
 * no line, and pixels beyond the last line are decoded again.
 */
import { type FileHandle, open, rm, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { isRecord } from '../../arguments.js'
import { AludelError, onFile } from '../../errors.js'
import { syncDirectory } from '../../files/atomic-file.js'
import type { Split, UnreadableFile } from '../dataset.js'
import { exists, readText } from '../file-bytes.js'
import { pixelPath } from './pack-record.js'

/** One batch of files. */
export interface BatchLine {
  /** Files looked at so far, this batch's included. */
  readonly files: number
  /** Height and width of all images. */
  readonly image: readonly [number, number]
  /** SHA-256 of each file of the batch; null for one that was left out. */
  readonly hashes: readonly (string | null)[]
  readonly unreadable: readonly UnreadableFile[]
}

const journalPath = (dir: string, split: Split): string => join(dir, `${split}.journal`)

const maxJournalBytes = 1 << 30

export class PackJournal {
  /** What was done by this process and those before. */
  readonly lines: BatchLine[]
  readonly #dir: string
  readonly #split: Split
  readonly #pixels: FileHandle
  readonly #journal: FileHandle
  #rows: number

  private constructor(dir: string, split: Split, files: { pixels: FileHandle; journal: FileHandle }, lines: BatchLine[]) {
    this.#dir = dir
    this.#split = split
    this.#pixels = files.pixels
    this.#journal = files.journal
    this.lines = lines
    this.#rows = lines.reduce((sum, { hashes }) => sum + kept(hashes), 0)
  }

  /** Goes on with what is there, or begins. `job` is the text that says what is packed: throws `incompatible` when another was begun here. */
  static open(dir: string, split: Split, job: string): Promise<PackJournal> {
    const path = journalPath(dir, split)
    return onFile(path, async () => {
      const [first, ...rest] = (await exists(path)) ? (await readText(path, maxJournalBytes)).split('\n') : ['']
      if (first !== '' && first !== job) {
        const todo = 'remove the directory, or give another --out'
        throw new AludelError('incompatible', `${path}: packing other files or in another way was begun here; ${todo}`)
      }
      const lines = first === '' ? [] : wholeLines(rest)
      const pixels = await open(pixelPath(dir, split), first === '' || lines.length === 0 ? 'w' : 'r+')
      const journal = await open(path, 'w')
      try {
        const whole = [job, ...lines.map((line) => JSON.stringify(line))]
        await journal.write(`${whole.join('\n')}\n`)
        await journal.sync()
        await syncDirectory(dir)
      } catch (error) {
        await pixels.close()
        await journal.close()
        throw error
      }
      return new PackJournal(dir, split, { pixels, journal }, lines)
    })
  }

  /** Images packed so far. */
  get rows(): number {
    return this.#rows
  }

  /** Adds the images of a batch behind those before, and then its line. */
  append(line: BatchLine, pixels: Uint8Array): Promise<void> {
    return onFile(pixelPath(this.#dir, this.#split), async () => {
      const [height, width] = line.image
      let at = this.#rows * height * width * 3
      for (let from = 0; from < pixels.length; ) {
        const { bytesWritten } = await this.#pixels.write(pixels, from, pixels.length - from, at)
        from += bytesWritten
        at += bytesWritten
      }
      await this.#pixels.datasync()
      await this.#journal.write(`${JSON.stringify(line)}\n`)
      await this.#journal.datasync()
      this.lines.push(line)
      this.#rows += kept(line.hashes)
    })
  }

  /** Cuts the pixel file to what the lines say, on the disk. */
  settle(bytes: number): Promise<void> {
    return onFile(pixelPath(this.#dir, this.#split), async () => {
      await this.#pixels.truncate(bytes)
      await this.#pixels.sync()
    })
  }

  async close(): Promise<void> {
    await this.#pixels.close()
    await this.#journal.close()
  }

  /** The record stands: nothing is left to go on with. */
  static remove(dir: string, split: Split): Promise<void> {
    return onFile(journalPath(dir, split), () => rm(journalPath(dir, split), { force: true }))
  }
}

const kept = (hashes: BatchLine['hashes']): number => hashes.filter((hash) => hash !== null).length

/** The lines before the first that is not whole; each must follow on the one before. */
function wholeLines(texts: readonly string[]): BatchLine[] {
  const lines: BatchLine[] = []
  let files = 0
  // what stands behind the last line feed is no whole line
  for (const text of texts.slice(0, -1)) {
    const line = parseLine(text)
    if (line === undefined || line.files !== files + line.hashes.length) break
    files = line.files
    lines.push(line)
  }
  return lines
}

function parseLine(text: string): BatchLine | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isRecord(value) && Array.isArray(value.hashes) && Array.isArray(value.image) ? (value as unknown as BatchLine) : undefined
  } catch {
    return undefined
  }
}

/** Bytes that a pixel file has; 0 where there is none. */
export const packedBytes = (dir: string, split: Split): Promise<number> =>
  stat(pixelPath(dir, split)).then(
    ({ size }) => size,
    () => 0,
  )
