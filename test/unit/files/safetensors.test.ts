/** @file safetensors: round trips, the layout other readers expect, and headers that lie. */
import fc from 'fast-check'
import { describe, expect, it, test } from 'vitest'
import { decodeSafetensors, encodeSafetensors, type SafeTensor } from '../../../src/files/safetensors.js'
import { expectError } from '../data/fixtures.js'

const f32 = (values: number[], shape: number[]): SafeTensor => ({
  dtype: 'F32',
  shape,
  data: new Uint8Array(Float32Array.from(values).buffer),
})

/** A file with this header text and data, however wrong. */
function file(header: unknown, data = new Uint8Array(0), announced?: bigint): Uint8Array {
  const json = new TextEncoder().encode(typeof header === 'string' ? header : JSON.stringify(header))
  const bytes = new Uint8Array(8 + json.length + data.length)
  new DataView(bytes.buffer).setBigUint64(0, announced ?? BigInt(json.length), true)
  bytes.set(json, 8)
  bytes.set(data, 8 + json.length)
  return bytes
}

describe('encodeSafetensors', () => {
  it('lays out what the format says', () => {
    const bytes = encodeSafetensors(
      new Map([
        ['a', f32([1, 2], [2])],
        ['b', f32([3], [])],
      ]),
      { format: 'x' },
    )
    const headerBytes = Number(new DataView(bytes.buffer).getBigUint64(0, true))
    expect(headerBytes % 8).toBe(0)
    expect(JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + headerBytes)))).toEqual({
      __metadata__: { format: 'x' },
      a: { dtype: 'F32', shape: [2], data_offsets: [0, 8] },
      b: { dtype: 'F32', shape: [], data_offsets: [8, 12] },
    })
    expect([...new Float32Array(bytes.slice(8 + headerBytes).buffer)]).toEqual([1, 2, 3])
  })

  it('refuses data of the wrong size', () =>
    expectError(() => encodeSafetensors(new Map([['a', f32([1], [2])]])), 'invalid_data', /expected 8 bytes/))

  it.each<[string, unknown, RegExp]>([
    ['no tensors', undefined, /expected a Map of tensors by name but received undefined/],
    ['an object', { a: f32([1], [1]) }, /expected a Map/],
    ['an entry of nothing', new Map([['a', null]]), /tensor 'a': expected dtype/],
    ['an unknown dtype', new Map([['a', { ...f32([1], [1]), dtype: 'F8' }]]), /tensor 'a': expected dtype \(one of F64/],
    ['a shape that is none', new Map([['a', { ...f32([1], [1]), shape: 1 }]]), /tensor 'a'/],
    ['floats instead of bytes', new Map([['a', { ...f32([1], [1]), data: new Float32Array(1) }]]), /data as Uint8Array/],
    ['a name that is no text', new Map([[3, f32([1], [1])]]), /tensor '3'/],
  ])('refuses %s', (_, tensors, message) => expectError(() => encodeSafetensors(tensors as never), 'invalid_option', message))
})

test('what is written is read back', () => {
  const tensor = fc
    .array(fc.integer({ min: 0, max: 4 }), { maxLength: 3 })
    .map((shape) => f32(new Array(shape.reduce((n, d) => n * d, 1)).fill(7), shape))
  const names = fc.string({ maxLength: 8 }).filter((name) => name !== '__metadata__' && name !== '__proto__' && !/^\d+$/.test(name))
  fc.assert(
    fc.property(fc.uniqueArray(fc.tuple(names, tensor), { selector: ([name]) => name, maxLength: 5 }), (entries) => {
      const { tensors } = decodeSafetensors('x', encodeSafetensors(new Map(entries)))
      expect([...tensors.keys()].sort()).toEqual(entries.map(([name]) => name).sort())
      for (const [name, { shape, data }] of entries) expect(tensors.get(name)).toEqual({ dtype: 'F32', shape, data })
    }),
    { numRuns: 50 },
  )
})

const a = (shape: unknown, offsets: unknown, dtype: unknown = 'F32') => ({ dtype, shape, data_offsets: offsets })
const four = new Uint8Array(4)
const deep = '['.repeat(100_000) + ']'.repeat(100_000)

describe('decodeSafetensors refuses', () => {
  it.each<[string, Uint8Array, RegExp]>([
    ['an empty file', new Uint8Array(3), /at least 8 bytes but the file has 3/],
    ['a header longer than the file', file({}, four, 999n), /announces 999 bytes but the file has 14/],
    ['a header over the cap', file({}, four, 2n ** 63n), /more than the limit/],
    ['a header that is no JSON', file('{"a":'), /not JSON/],
    ['a header that is no UTF-8', file('x').fill(0xff, 8), /not JSON/],
    ['a list as header', file('[]'), /not an object/],
    ['metadata that is no text', file({ __metadata__: { a: 1 } }), /map of text/],
    ['an unknown dtype', file({ a: a([1], [0, 4], 'F31') }, four), /unknown dtype "F31"/],
    ['a dtype of the prototype', file({ a: a([1], [0, 4], 'constructor') }, four), /unknown dtype/],
    ['a dtype that nests without end', file(`{"a":{"dtype":${deep}}}`), /unknown dtype a value that nests too deeply/],
    ['a shape that nests without end', file(`{"a":{"dtype":"F32","shape":${deep}}}`), /shape a value that nests too deeply/],
    ['offsets that nest without end', file(`{"a":{"dtype":"F32","shape":[],"data_offsets":${deep}}}`), /data_offsets a value that nests/],
    ['a name of a megabyte', file({ ['a'.repeat(1e6)]: null }), /tensor 'a{80}…' has unknown dtype/],
    ['an entry that is null', file({ a: null }, four), /unknown dtype/],
    ['a negative dimension', file({ a: a([-1], [0, 4]) }, four), /shape \[-1\]/],
    ['a fraction', file({ a: a([1.5], [0, 6]) }, four), /shape/],
    ['reversed offsets', file({ a: a([1], [4, 0]) }, four), /claims bytes 4 to 0 of 4/],
    ['offsets behind the end', file({ a: a([2], [0, 8]) }, four), /claims bytes 0 to 8 of 4/],
    ['three offsets', file({ a: a([1], [0, 2, 4]) }, four), /data_offsets/],
    ['a shape that does not fill its bytes', file({ a: a([1], [0, 3]) }, four), /needs 4 bytes .* claims 3/],
    ['a shape whose product overflows', file({ a: a([2 ** 40, 2 ** 40], [0, 4]) }, four), /needs .* claims 4/],
    ['a gap', file({ a: a([1], [4, 8]) }, new Uint8Array(8)), /starts at byte 4 but the one before it ends at 0/],
    ['an overlap', file({ a: a([1], [0, 4]), b: a([1], [0, 4]) }, four), /'b' starts at byte 0/],
    ['bytes no tensor claims', file({ a: a([1], [0, 4]) }, new Uint8Array(6)), /end at byte 4 but the data has 6/],
  ])('%s', (_, bytes, text) => expectError(() => decodeSafetensors('set.safetensors', bytes), 'invalid_data', text))
})
