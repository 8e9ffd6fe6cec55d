/** @file Small data files for the reader tests, written into a fresh directory each. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { afterAll, expect } from 'vitest'
import { createDataset, type Dataset } from '../../../src/data/dataset.js'
import type { IdxArray } from '../../../src/data/idx.js'
import { AludelError } from '../../../src/errors.js'

const made: string[] = []
afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true })
})

/** A directory that is there until the tests of the file are done. */
export function freshDir(): string {
  const dir = mkdtempSync(join(tmpdir(), 'aludel-test-'))
  made.push(dir)
  return dir
}

/** Bytes i * 7 mod 256. */
export const ramp = (length: number): Uint8Array => Uint8Array.from({ length }, (_, i) => (i * 7) & 255)

export const bytes = (...parts: (Uint8Array | readonly number[])[]): Uint8Array => Uint8Array.from(parts.flatMap((part) => [...part]))

export const write = (dir: string, name: string, content: Uint8Array | string): string => {
  const path = join(dir, name)
  writeFileSync(path, content)
  return path
}

/** The bytes of an IDX file of unsigned bytes. */
export function encodeIdx({ shape, data }: IdxArray): Uint8Array {
  const file = new Uint8Array(4 + 4 * shape.length + data.length)
  const view = new DataView(file.buffer)
  view.setUint32(0, 0x0800 | shape.length)
  shape.forEach((d, i) => {
    view.setUint32(4 + 4 * i, d)
  })
  file.set(data, 4 + 4 * shape.length)
  return file
}

export const gzip = (content: Uint8Array): Uint8Array => new Uint8Array(gzipSync(content))

/** A directory with the four MNIST files, `rows` images of 4x3 pixels, labels 0, 1, 2, … mod 10; test files gzipped. */
export function mnistDir(rows = 20): string {
  const dir = freshDir()
  const images = encodeIdx({ shape: [rows, 4, 3], data: ramp(rows * 12) })
  const labels = encodeIdx({ shape: [rows], data: Uint8Array.from({ length: rows }, (_, i) => i % 10) })
  write(dir, 'train-images-idx3-ubyte', images)
  write(dir, 'train-labels-idx1-ubyte', labels)
  write(dir, 't10k-images-idx3-ubyte.gz', gzip(images))
  write(dir, 't10k-labels-idx1-ubyte.gz', gzip(labels))
  return dir
}

/** `counts[c]` images of class c, 2x2 gray, pixels = row number; classes interleaved as far as counts allow. */
export function tinyDataset(counts: readonly number[]): Dataset {
  const labels = Array.from({ length: Math.max(...counts) }, (_, i) => counts.flatMap((count, c) => (i < count ? [c] : []))).flat()
  return createDataset({
    name: 'tiny',
    split: 'train',
    classes: counts.map((_, c) => `class ${c}`),
    images: Uint8Array.from({ length: labels.length * 4 }, (_, i) => Math.floor(i / 4) & 255),
    shape: [labels.length, 2, 2, 1],
    labels: Int32Array.from(labels),
    mean: [0.5],
    std: [0.25],
    flip: true,
  })
}

/** Expects a rejection or a throw with this code and text. */
export async function expectError(action: () => unknown, code: string, text: string | RegExp): Promise<void> {
  const error = await Promise.resolve()
    .then(action)
    .then(
      () => undefined,
      (reason) => reason,
    )
  expect(error).toBeInstanceOf(AludelError)
  expect(error.code).toBe(code)
  expect(error.message).toMatch(text)
}
