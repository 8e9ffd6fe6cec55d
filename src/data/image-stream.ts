/**
 * @file Labelled images in order, some at a time: memory does not grow with their number. Files are read, hashed and decoded a few batches
 * ahead of who takes them; a data set in memory gives its rows through the same interface.
 */
import { AbortError } from '../errors.js'
import { recipeStatistics } from './channel-statistics.js'
import type { Dataset, Split, UnreadableFile } from './dataset.js'
import { checkSameSize, type DecodedFile, type DecodeOptions, decodeOrSkip, inFlight } from './decode-images.js'
import type { LabelledFolder } from './labelled-files.js'
import { checkLabelled } from './labels.js'
import type { ChannelStatistics } from './normalize.js'

/** Some places that follow one another. */
export interface Block {
  readonly first: number
  readonly rows: number
}

export interface ImageBlock extends Block {
  /** [rows, H, W, C] bytes; zeros where a file could not be read. Owned by who takes it, unless the stream is of a data set in memory. */
  readonly images: Uint8Array
  /** SHA-256 (hex) of the bytes of each file; undefined for one that could not be read. Absent where there are no files. */
  readonly hashes?: readonly (string | undefined)[]
  /** Files of this block that could not be decoded; `row` is the place among all. */
  readonly unreadable: readonly UnreadableFile[]
}

export interface ReadBlocksOptions {
  /** In the order in which they are given. */
  readonly blocks: Iterable<Block>
  readonly signal?: AbortSignal
}

/** Images by place: rows of a data set, or files of a folder before it is known whether all can be read. */
export interface ImageStream {
  readonly name: string
  readonly split: Split
  readonly classes: readonly string[]
  /** Class of each place. */
  readonly labels: Int32Array
  /** [H, W, C] */
  readonly image: readonly [number, number, number]
  readonly mean: readonly number[]
  readonly std: readonly number[]
  readonly flip: boolean
  /** Content hash of a data set in memory; a stream of files is known by the files. */
  readonly sha256?: string
  /** Of a data set in memory that was read from files. */
  readonly filesSha256?: string
  /** Paths below the folder of the class, by place; only of files that are read as they are asked for. */
  readonly names?: readonly string[]
  /**
   * The images of each block. Throws what `decodeImages` throws for a file, when its block is asked for and not before.
   * Rejects with AbortError on `signal`.
   */
  read(options: ReadBlocksOptions): AsyncGenerator<ImageBlock>
}

/** Blocks that are decoded while one is in use. */
const blocksAhead = 3

/** The rows of a data set in memory, or in a pack. */
export function datasetStream(dataset: Dataset): ImageStream {
  checkLabelled('a stream of labelled images', dataset)
  const { name, split, classes, labels, mean, std, flip, sha256, filesSha256 } = dataset
  const [, height, width, channels] = dataset.shape
  const bytes = height * width * channels
  const about = { name, split, classes, labels, mean, std, flip, sha256, ...(filesSha256 !== undefined && { filesSha256 }) }
  return {
    ...about,
    image: [height, width, channels],
    async *read({ blocks, signal }) {
      for (const { first, rows } of blocks) {
        if (signal?.aborted) throw new AbortError(signal.reason)
        const images = dataset.pixels
          ? await dataset.pixels.read(Int32Array.from({ length: rows }, (_, i) => first + i))
          : dataset.images.subarray(first * bytes, (first + rows) * bytes)
        yield { first, rows, images, unreadable: [] }
      }
    },
  }
}

/** The files of a split as a stream. Without a size the first image that can be read sets that of all. */
export async function fileStream(folder: LabelledFolder, options: Omit<DecodeOptions, 'signal'>): Promise<ImageStream> {
  checkLabelled('a stream of labelled images', folder)
  const { name, kind, split, classes, labels, names, paths } = folder
  const { mean, std } = recipeStatistics(kind) as ChannelStatistics
  const first = options.size === undefined ? await firstReadable(paths, options) : undefined
  const { width, height } = first ?? { width: options.size as number, height: options.size as number }
  const decode = async (row: number): Promise<DecodedFile | UnreadableFile> => {
    const file = await decodeOrSkip(paths[row], row, options)
    if (first && 'data' in file) checkSameSize(paths[row], file, first)
    return file
  }
  const about = { name, split, classes, labels, mean, std, flip: true, names }
  return { ...about, image: [height, width, 3], read: (asked) => readFiles(decode, height * width * 3, asked) }
}

async function firstReadable(paths: readonly string[], options: DecodeOptions) {
  for (const [row, path] of paths.entries()) {
    const file = await decodeOrSkip(path, row, options)
    if ('data' in file) return { path, width: file.width, height: file.height }
    if (row === paths.length - 1) break
  }
  // all of them fail, and so does the first
  const { width, height } = (await decodeOrSkip(paths[0], 0, { ...options, onUnreadable: 'fail' })) as DecodedFile
  return { path: paths[0], width, height }
}

type Decode = (row: number) => Promise<DecodedFile | UnreadableFile>

async function* readFiles(decode: Decode, bytes: number, { blocks, signal }: ReadBlocksOptions): AsyncGenerator<ImageBlock> {
  const lanes = new Lanes(inFlight)
  const pending: Promise<ImageBlock>[] = []
  const rest = blocks[Symbol.iterator]()
  const start = () => {
    const { value, done } = rest.next()
    if (done) return
    const block = readBlock(value, decode, bytes, lanes)
    // whoever awaits it hears of it; one that nobody awaits any more may fail in silence
    block.catch(() => undefined)
    pending.push(block)
  }
  try {
    while (pending.length < blocksAhead) {
      const before = pending.length
      start()
      if (pending.length === before) break
    }
    for (let next = pending.shift(); next; next = pending.shift()) {
      const block = await next
      if (signal?.aborted) throw new AbortError(signal.reason)
      start()
      yield block
    }
  } finally {
    lanes.close()
  }
}

async function readBlock({ first, rows }: Block, decode: Decode, bytes: number, lanes: Lanes): Promise<ImageBlock> {
  const images = new Uint8Array(rows * bytes)
  const hashes = new Array<string | undefined>(rows).fill(undefined)
  const unreadable: UnreadableFile[] = []
  const one = async (i: number): Promise<void> => {
    const file = await decode(first + i)
    if ('reason' in file) {
      unreadable.push(file)
      return
    }
    images.set(file.data, i * bytes)
    hashes[i] = file.sha256
  }
  const done = await Promise.allSettled(Array.from({ length: rows }, (_, i) => lanes.run(() => one(i))))
  // of several failures that of the lowest place, whatever came first
  const failed = done.find(({ status }) => status === 'rejected')
  if (failed) throw (failed as PromiseRejectedResult).reason
  unreadable.sort((a, b) => a.row - b.row)
  return { first, rows, images, hashes, unreadable }
}

/** Runs tasks in the order in which they come, so many at a time. */
class Lanes {
  #free: number
  #closed = false
  readonly #waiting: (() => void)[] = []

  constructor(count: number) {
    this.#free = count
  }

  async run(task: () => Promise<void>): Promise<void> {
    if (this.#free > 0) this.#free--
    else await new Promise<void>((resolve) => this.#waiting.push(resolve))
    try {
      if (!this.#closed) await task()
    } finally {
      const next = this.#waiting.shift()
      if (next) next()
      else this.#free++
    }
  }

  /** Tasks that have not begun end at once, without having run. */
  close(): void {
    this.#closed = true
  }
}
