/** @file The .npz reader: layouts NumPy writes, and bytes it must refuse without crashing. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import { afterAll, describe, expect, it } from 'vitest'
import { crc32 } from '../../src/crc32.js'
import { openNpz } from '../../src/golden/npz.js'

const scratch = mkdtempSync(join(tmpdir(), 'npz-'))
afterAll(() => rmSync(scratch, { recursive: true }))
let files = 0

const latin1 = (text: string) => Uint8Array.from(text, (c) => c.charCodeAt(0))
const concatenate = (parts: readonly Uint8Array[]) => Uint8Array.from(parts.flatMap((part) => [...part]))

/** A record of little-endian fields: [offset, bytes, value]. */
function fields(length: number, ...entries: [offset: number, bytes: 2 | 4, value: number][]): Uint8Array {
  const view = new DataView(new ArrayBuffer(length))
  for (const [offset, bytes, value] of entries) bytes === 2 ? view.setUint16(offset, value, true) : view.setUint32(offset, value, true)
  return new Uint8Array(view.buffer)
}

function npy(header: string, data: Uint8Array): Uint8Array {
  const padded = `${header.padEnd(Math.ceil((header.length + 11) / 64) * 64 - 11)}\n`
  return concatenate([latin1('\x93NUMPY\x01\x00'), fields(2, [0, 2, padded.length]), latin1(padded), data])
}

const header = (descr: string, shape: string, fortran = 'False') =>
  `{'descr': '${descr}', 'fortran_order': ${fortran}, 'shape': ${shape}, }`
const float64 = (...values: number[]) => new Uint8Array(Float64Array.from(values).buffer)

/** A zip archive of one entry, with every field that the tests want to bend. */
function zip(
  name: string,
  content: Uint8Array,
  bend: { deflate?: boolean; crc?: number; bytes?: number; offset?: number; method?: number } = {},
): string {
  const deflated = bend.deflate ? deflateRawSync(content) : undefined
  const packed = deflated ? Uint8Array.from(deflated) : content
  const entry = latin1(name)
  const local = fields(30, [0, 4, 0x04034b50], [26, 2, entry.length])
  const central = fields(
    46,
    [0, 4, 0x02014b50],
    [10, 2, bend.method ?? (bend.deflate ? 8 : 0)],
    [16, 4, bend.crc ?? crc32(content)],
    [20, 4, packed.length],
    [24, 4, bend.bytes ?? content.length],
    [28, 2, entry.length],
    [42, 4, bend.offset ?? 0],
  )
  const start = local.length + entry.length + packed.length
  const end = fields(22, [0, 4, 0x06054b50], [10, 2, 1], [12, 4, central.length + entry.length], [16, 4, start])
  const path = join(scratch, `${files++}.npz`)
  writeFileSync(path, concatenate([local, entry, packed, central, entry, end]))
  return path
}

describe('reads', () => {
  it.each([
    ['stored float64', npy(header('<f8', '(2, 2)'), float64(1, 2, 3, 4)), {}, [2, 2], [1, 2, 3, 4]],
    ['deflated float64', npy(header('<f8', '(3,)'), float64(1, 2, 3)), { deflate: true }, [3], [1, 2, 3]],
    ['Fortran order', npy(header('<f8', '(2, 3)', 'True'), float64(1, 4, 2, 5, 3, 6)), {}, [2, 3], [1, 2, 3, 4, 5, 6]],
    ['a scalar', npy(header('<f8', '()'), float64(7)), {}, [], [7]],
    ['int64', npy(header('<i8', '(1,)'), new Uint8Array(BigInt64Array.of(-5n).buffer)), {}, [1], [-5]],
    ['uint8', npy(header('|u1', '(2,)'), Uint8Array.of(0, 255)), {}, [2], [0, 255]],
  ])('%s', (_, content, bend, shape, data) => {
    const archive = openNpz(zip('a.npy', content, bend))
    expect(archive.names).toEqual(['a'])
    expect(archive.read('a')).toEqual({ shape, data: Float64Array.from(data) })
  })
})

const good = npy(header('<f8', '(2,)'), float64(1, 2))

describe('refuses', () => {
  it.each([
    ['a wrong checksum', good, { crc: 1 }, /damaged/],
    ['a declared size that is too large', good, { bytes: good.length + 8 }, /expected \d+ bytes/],
    ['a declared size that is too small for the deflated data', good, { deflate: true, bytes: 10 }, /cannot decompress/],
    ['an absurd size', good, { bytes: 0xfffffff0 }, /at most/],
    ['an offset outside the file', good, { offset: 0x7fffffff }, /no local header/],
    ['an unknown compression', good, { method: 12 }, /method 12/],
    ['another magic', latin1('not an npy array at all'), {}, /magic/],
    ['an object array', npy(header('|O', '(1,)'), float64(0)), {}, /dtype/],
    ['a header with code in it', npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }", float64(0)), {}, /header/],
    ['a shape that does not fit the data', npy(header('<f8', '(3,)'), float64(1)), {}, /24 bytes/],
    ['a header longer than the array', latin1('\x93NUMPY\x01\x00\xff\xff{}'), {}, /runs past/],
  ])('%s', (_, content, bend, message) => {
    const read = () => openNpz(zip('a.npy', content, bend)).read('a')
    expect(read).toThrow(message)
    expect(read).toThrow(expect.objectContaining({ code: 'invalid_data' }))
  })

  it('a name that is not there', () => {
    expect(() => openNpz(zip('a.npy', good)).read('b')).toThrow(expect.objectContaining({ code: 'not_found' }))
  })

  it('every truncation of a real archive, with a typed error', () => {
    const whole = Uint8Array.from(readFileSync(fileURLToPath(new URL('data/trajectory/hvp.npz', import.meta.url))))
    const path = join(scratch, 'cut.npz')
    for (let bytes = 0; bytes < whole.length; bytes += 997) {
      writeFileSync(path, whole.subarray(0, bytes))
      expect(() => openNpz(path)).toThrow(expect.objectContaining({ code: 'invalid_data' }))
    }
  })

  it('flipped bytes in the directory, with a typed error or the right numbers', () => {
    const path = join(scratch, 'flipped.npz')
    const whole = Uint8Array.from(readFileSync(zip('a.npy', good)))
    for (let at = 0; at < whole.length; at++) {
      const damaged = whole.slice()
      damaged[at] ^= 0xff
      writeFileSync(path, damaged)
      try {
        const archive = openNpz(path)
        for (const name of archive.names) expect([...archive.read(name).data]).toEqual([1, 2])
      } catch (error) {
        expect(error).toHaveProperty('code', 'invalid_data')
      }
    }
  })
})
