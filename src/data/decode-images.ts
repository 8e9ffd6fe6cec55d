/**
 * @file Image files to pixels: JPEG, PNG and WebP through libvips (sharp, loaded when it is first needed). Every file counts as hostile:
 * type by content, size and pixels limited, any warning of the decoder refuses the file.
 */
import type { Sharp } from 'sharp'
import { AbortError, AludelError } from '../errors.js'
import { Turn } from '../event-loop.js'
import { hashOfParts } from '../files/pieces.js'
import type { UnreadableFile } from './dataset.js'
import { invalidFile, readWhole } from './file-bytes.js'

export type ResizeFit = 'squash' | 'crop'
export type UnreadablePolicy = 'fail' | 'skip'

export interface ResizeOptions {
  /** Side in pixels of the square that every image is resized to; without it all images must have the same size. */
  readonly size?: number
  /** 'squash' (default): both sides to `size`. 'crop': the shorter side to `size`, then the middle square. */
  readonly fit?: ResizeFit
}

export interface DecodeOptions extends ResizeOptions {
  /** A file that is no whole image: 'fail' (default) is an error, 'skip' leaves it out and says so. What the system refuses to read always fails. */
  readonly onUnreadable?: UnreadablePolicy
  readonly signal?: AbortSignal
}

export interface DecodedImages {
  /** [N, H, W, 3] bytes, sRGB, of the files that could be decoded. */
  readonly images: Uint8Array
  readonly shape: readonly [number, number, number, number]
  /** SHA-256 (hex) of the bytes that were decoded, for every path; undefined for one that was left out. */
  readonly hashes: readonly (string | undefined)[]
  readonly unreadable: readonly UnreadableFile[]
}

/** Largest image file, and most pixels of one: a small file may announce a picture that fills the memory. */
const maxImageBytes = 128 << 20
const maxImagePixels = 100_000_000

/** Files read and decoded at a time: as many as Node's pool has threads. */
export const inFlight = Math.max(1, Number(process.env.UV_THREADPOOL_SIZE) || 4)

type MakeSharp = typeof import('sharp', { with: { 'resolution-mode': 'import' }})['default']

let loading: Promise<MakeSharp> | undefined

/** Throws `unavailable` when the package is not there or does not load. */
function loadSharp(): Promise<MakeSharp> {
  loading ??= import('sharp').then(
    ({ default: sharp }) => sharp,
    (cause) => {
      loading = undefined
      throw new AludelError('unavailable', `image files need the package 'sharp', which does not load here: ${cause.message}`, { cause })
    },
  )
  return loading
}

/** Version of the decoder: pixels may differ between versions. */
export async function decoderVersion(): Promise<string> {
  const { versions } = await loadSharp()
  return `sharp ${versions.sharp}, libvips ${versions.vips}`
}

/**
 * Decodes `paths` in order. Gray becomes RGB, alpha is dropped, CMYK and 16 bits become 8-bit sRGB, embedded profiles and EXIF rotation
 * are ignored, of an animation the first frame is taken. Resizing filters with a triangle as wide as the reduction (antialiased bilinear).
 * @throws AludelError `invalid_data` naming the first file that is no JPEG, PNG or WebP, is cut short or damaged, has too many pixels or
 * another size than the first; `not_found`, `io`, `out_of_memory`, `unavailable` without sharp. Rejects with AbortError on `signal`.
 */
export async function decodeImages(paths: readonly string[], options: DecodeOptions = {}): Promise<DecodedImages> {
  const { signal } = options
  const hashes = new Array<string | undefined>(paths.length).fill(undefined)
  const unreadable: UnreadableFile[] = []
  const decode = async (row: number): Promise<DecodedFile | undefined> => {
    const file = await decodeOrSkip(paths[row], row, options)
    if ('reason' in file) unreadable.push(file)
    else hashes[row] = file.sha256
    return 'reason' in file ? undefined : file
  }
  let start = 0
  let first: DecodedFile | undefined
  while (first === undefined) {
    if (start === paths.length) throw noneReadable(paths, unreadable[0])
    first = await decode(start++)
  }
  const { width, height } = first
  const bytes = width * height * 3
  const images = allocate(paths.length, bytes)
  images.set(first.data, (start - 1) * bytes)
  await eachInOrder(paths.length - start, async (i) => {
    if (signal?.aborted) throw new AbortError(signal.reason)
    const image = await decode(start + i)
    if (image === undefined) return
    checkSameSize(paths[start + i], image, { path: paths[start - 1], width, height })
    images.set(image.data, (start + i) * bytes)
  })
  unreadable.sort((a, b) => a.row - b.row)
  const left = await closeGaps(images, bytes, unreadable)
  return { images: left, shape: [paths.length - unreadable.length, height, width, 3], hashes, unreadable }
}

const noneReadable = (paths: readonly string[], first: UnreadableFile | undefined): AludelError =>
  new AludelError('invalid_data', `expected image files but not one of ${paths.length} could be decoded${first ? `; ${first.reason}` : ''}`)

/** Throws `invalid_data` for an image of another size than the first. */
export function checkSameSize(
  path: string,
  { width, height }: Pick<DecodedFile, 'width' | 'height'>,
  first: { readonly path: string; readonly width: number; readonly height: number },
): void {
  if (width === first.width && height === first.height) return
  const sizes = `expected ${first.width}x${first.height} pixels as in ${first.path} but received ${width}x${height}`
  throw invalidFile(path, `${sizes}; give a size that all images are resized to`)
}

/** The images without the rows that were left out, in place. */
async function closeGaps(images: Uint8Array, bytes: number, gaps: readonly UnreadableFile[]): Promise<Uint8Array> {
  const turn = new Turn()
  for (const [before, { row }] of gaps.entries()) {
    const end = before + 1 < gaps.length ? gaps[before + 1].row : images.length / bytes
    for (let next = row + 1; next < end; next++) {
      images.copyWithin((next - before - 1) * bytes, next * bytes, (next + 1) * bytes)
      await turn.breathe()
    }
  }
  return images.subarray(0, images.length - gaps.length * bytes)
}

/** One file decoded, or, where the policy is to skip, why it could not be. */
export async function decodeOrSkip(path: string, row: number, options: DecodeOptions): Promise<DecodedFile | UnreadableFile> {
  try {
    return await decodeFile(path, options)
  } catch (error) {
    if (options.onUnreadable !== 'skip' || !(error instanceof AludelError) || error.code !== 'invalid_data') throw error
    return { row, path, reason: error.message }
  }
}

function allocate(count: number, bytes: number): Uint8Array {
  try {
    return new Uint8Array(count * bytes)
  } catch (cause) {
    throw new AludelError('out_of_memory', `${count} images need ${count * bytes} bytes; give a smaller size`, { cause })
  }
}

/** Runs `task` for 0..count-1, a few at a time. Of several failures that of the lowest number is thrown, whatever came first. */
export async function eachInOrder(count: number, task: (i: number) => Promise<void>): Promise<void> {
  let next = 0
  const failures: { readonly i: number; readonly error: unknown }[] = []
  const work = async () => {
    while (failures.length === 0 && next < count) {
      const i = next++
      await task(i).catch((error) => failures.push({ i, error }))
    }
  }
  await Promise.all(Array.from({ length: inFlight }, work))
  const [first] = failures.sort((a, b) => a.i - b.i)
  if (first) throw first.error
}

export interface DecodedFile {
  /** [H, W, 3] bytes, sRGB. */
  readonly data: Uint8Array
  readonly width: number
  readonly height: number
  /** SHA-256 (hex) of the very bytes that were decoded. */
  readonly sha256: string
}

/** Reads and decodes one file. Throws what `decodeImages` throws for it. */
export async function decodeFile(path: string, { size, fit = 'squash' }: ResizeOptions = {}): Promise<DecodedFile> {
  const sharp = await loadSharp()
  const bytes = await readImageFile(path)
  const sha256 = await hashOfParts('', [bytes])
  const input = sharp(bytes, { failOn: 'warning', limitInputPixels: maxImagePixels, ignoreIcc: true })
  const resized = size === undefined ? input : resize(input, size, fit)
  const { data, info } = await resized
    .toColourspace('srgb')
    .removeAlpha()
    .raw({ depth: 'uchar' })
    .toBuffer({ resolveWithObject: true })
    .catch((cause: Error) => {
      throw undecodable(path, cause)
    })
  if (info.channels !== 3) throw invalidFile(path, `expected an image of 3 channels after conversion but received ${info.channels}`)
  return { data, width: info.width, height: info.height, sha256 }
}

/** Shrinking while loading would pick a coarser filter for some sizes and not for others. */
const resize = (image: Sharp, size: number, fit: ResizeFit): Sharp =>
  image.resize(size, size, { fit: fit === 'crop' ? 'cover' : 'fill', position: 'centre', kernel: 'linear', fastShrinkOnLoad: false })

function undecodable(path: string, cause: Error): AludelError {
  if (/pixel limit/.test(cause.message))
    return invalidFile(path, `expected at most ${maxImagePixels} pixels but the image announces more`, { cause })
  const [reason] = cause.message.split('\n')
  return invalidFile(path, `the image cannot be decoded, it is cut short or damaged (${reason})`, { cause })
}

/** undefined is any byte. The decoder knows many more formats and finds them anywhere near the start: the first byte must be given. */
const signatures: readonly (readonly [name: string, bytes: readonly (number | undefined)[]])[] = [
  ['JPEG', [0xff, 0xd8, 0xff]],
  ['PNG', [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]],
  ['WebP', [0x52, 0x49, 0x46, 0x46, ...new Array<undefined>(4), 0x57, 0x45, 0x42, 0x50]],
]

const beginsWith = (bytes: Uint8Array, start: readonly (number | undefined)[]): boolean =>
  start.every((byte, i) => byte === undefined || bytes[i] === byte)

/** The bytes of a file whose content begins as that of an image does; its name says nothing. */
export async function readImageFile(path: string): Promise<Uint8Array> {
  const bytes = await readWhole(path, maxImageBytes)
  if (bytes.length === 0) throw invalidFile(path, 'expected an image but the file is empty')
  if (!signatures.some(([, start]) => beginsWith(bytes, start))) {
    throw invalidFile(path, `expected ${signatures.map(([name]) => name).join(', ')} by its first bytes but the file is something else`)
  }
  return bytes
}
