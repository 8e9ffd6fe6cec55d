/** @file The .npz reader: layouts NumPy writes, and bytes it must refuse without crashing. */
import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'
import { openNpz } from '../../../src/data/npz.js'
import { expectError } from './fixtures.js'
import { float64, header, latin1, npy, zipBytes } from './zip-archive.js'

describe('reads', () => {
  it.each([
    ['stored float64', npy(header('<f8', '(2, 2)'), float64(1, 2, 3, 4)), {}, [2, 2], [1, 2, 3, 4]],
    ['deflated float64', npy(header('<f8', '(3,)'), float64(1, 2, 3)), { deflate: true }, [3], [1, 2, 3]],
    ['Fortran order', npy(header('<f8', '(2, 3)', 'True'), float64(1, 4, 2, 5, 3, 6)), {}, [2, 3], [1, 2, 3, 4, 5, 6]],
    ['a scalar', npy(header('<f8', '()'), float64(7)), {}, [], [7]],
    ['int64', npy(header('<i8', '(1,)'), new Uint8Array(BigInt64Array.of(-5n).buffer)), {}, [1], [-5]],
    ['int16', npy(header('<i2', '(2,)'), new Uint8Array(Int16Array.of(-2, 300).buffer)), {}, [2], [-2, 300]],
    ['uint8', npy(header('|u1', '(2,)'), Uint8Array.of(0, 255)), {}, [2], [0, 255]],
  ])('%s', async (_, content, bend, shape, data) => {
    const archive = openNpz('a.npz', zipBytes(['a.npy', content, bend]))
    expect(archive.names).toEqual(['a'])
    for (const array of [archive.readSync('a'), await archive.read('a')]) {
      expect(array.shape).toEqual(shape)
      expect([...array.data]).toEqual(data)
    }
  })
})

const good = npy(header('<f8', '(2,)'), float64(1, 2))
const goingOn = npy(header('<f8', '(2,)'), new Uint8Array(1_000_016))

describe('refuses', () => {
  it.each([
    ['a wrong checksum', good, { crc: 1 }, /damaged/],
    ['a declared size that is too large', good, { bytes: good.length + 8 }, /expected \d+ bytes/],
    ['a declared size that is too small for the header', good, { deflate: true, bytes: 10 }, /header runs past the end/],
    ['deflated data that goes on behind the array', goingOn, { deflate: true, bytes: good.length }, /cannot decompress/],
    [
      'a header that says less than the archive declares',
      goingOn,
      { deflate: true },
      /expected 16 bytes for shape \[2\] but received 1000016/,
    ],
    ['an archive within the archive', zipBytes(['a.npy', good]), { deflate: true }, /magic/],
    [
      'a shape of words',
      npy(header('<f8', '(1 2, 3)'), float64(1)),
      {},
      /shape: expected dimensions of at most 9 digits but received '1 2'/,
    ],
    ['a shape of numbers without end', npy(header('<f8', `(${'1'.repeat(60)},)`), float64(1)), {}, /at most 9 digits/],
    ['a shape of ones and a letter', npy(header('<f8', `(${' 1 '.repeat(9000)}x)`), float64(1)), {}, /expected a header/],
    ['dimensions that overflow', npy(header('<f8', `(${'999999999,'.repeat(40)})`), float64(1)), {}, /expected Infinity bytes/],
    ['an absurd size', good, { bytes: 0xfffffff0 }, /at most/],
    ['an offset outside the file', good, { offset: 0x7fffffff }, /no local header/],
    ['an unknown compression', good, { method: 12 }, /method 12/],
    ['another magic', latin1('not an npy array at all'), {}, /magic/],
    ['an object array', npy(header('|O', '(1,)'), float64(0)), {}, /pickled Python objects/],
    ['big-endian numbers', npy(header('>f8', '(1,)'), float64(0)), {}, /dtype/],
    ['an encrypted entry', good, { flags: 1 }, /encrypted/],
    ['a zip64 entry', good, { bytes: 0xffffffff }, /zip64/],
    ['a header with code in it', npy("{'descr': __import__('os'), 'fortran_order': False, 'shape': (1,), }", float64(0)), {}, /header/],
    ['a shape that does not fit the data', npy(header('<f8', '(3,)'), float64(1)), {}, /24 bytes/],
    ['a header longer than the array', latin1('\x93NUMPY\x01\x00\xff\xff{}'), {}, /runs past/],
  ])('%s', async (_, content, bend, message) => {
    const archive = () => openNpz('a.npz', zipBytes(['a.npy', content, bend]))
    expect(() => archive().readSync('a')).toThrow(message)
    await expectError(() => archive().read('a'), 'invalid_data', message)
  })

  it('a name that is not there', () => expectError(() => openNpz('a.npz', zipBytes(['a.npy', good])).read('b'), 'not_found', /it holds a/))

  it('two entries of one name', () =>
    expectError(() => openNpz('a.npz', zipBytes(['a.npy', good], ['a.npy', good])), 'invalid_data', /two entries/))

  it('a bomb, before it is unpacked', async () => {
    // 256 MiB of zeros in 260 kB: as an array of objects, behind a header of two numbers, and as the array that it says it is
    const zeros = new Uint8Array(256 << 20)
    for (const [start, message] of [
      [npy(header('|O', '(2,)'), new Uint8Array()), /pickled Python objects/],
      [npy(header('|u1', '(2,)'), new Uint8Array()), /expected 2 bytes for shape \[2\] but received 268/],
      [
        npy(header('|u1', `(${zeros.length - 128},)`), new Uint8Array()),
        /expected at most 200 times its \d+ packed bytes but it declares 268435456/,
      ],
    ] as const) {
      zeros.set(start)
      expect(start).toHaveLength(128)
      const archive = openNpz('bomb.npz', zipBytes(['a.npy', zeros, { deflate: true, crc: 0 }]))
      const before = process.memoryUsage().arrayBuffers
      await expectError(() => archive.read('a'), 'invalid_data', message)
      expect(() => archive.readSync('a')).toThrow(message)
      expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(32 << 20)
    }
  })

  it('every truncation of a real archive, with a typed error', () => {
    const whole = Uint8Array.from(readFileSync(fileURLToPath(new URL('../../golden/data/trajectory/hvp.npz', import.meta.url))))
    for (let bytes = 0; bytes < whole.length; bytes += 997) {
      expect(() => openNpz('cut.npz', whole.subarray(0, bytes))).toThrow(expect.objectContaining({ code: 'invalid_data' }))
    }
  })

  it('flipped bytes in the directory, with a typed error or the right numbers', () => {
    const whole = zipBytes(['a.npy', good])
    for (let at = 0; at < whole.length; at++) {
      const damaged = whole.slice()
      damaged[at] ^= 0xff
      try {
        const archive = openNpz('flipped.npz', damaged)
        for (const name of archive.names) expect([...archive.readSync(name).data]).toEqual([1, 2])
      } catch (error) {
        expect(error).toHaveProperty('code', 'invalid_data')
      }
    }
  })
})
