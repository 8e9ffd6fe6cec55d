/** @file Reading ONNX files of strangers: what is found in sound ones, and that hostile ones are refused before anything runs them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { AludelError } from '../../../src/errors.js'
import { readModel } from '../../../src/onnx/read-model.js'
import { deepModel, encoded, externalTensor, loopModel, nestedExternalTensor, sizedTensor } from './models.js'

describe('a sound model', () => {
  it('says what it takes, gives and is made of', async () => {
    expect(readModel('m', await encoded({ metadata: { author: 'x' } }))).toMatchObject({
      irVersion: 8,
      opsets: { '': 17 },
      producer: 'test 1',
      metadata: { author: 'x' },
      inputs: [{ name: 'images', elementType: 1, dims: ['batch', 1, 2, 2] }],
      outputs: [{ name: 'logits', elementType: 1, dims: ['batch', 3] }],
      operators: ['Flatten', 'MatMul'],
    })
  })

  it('has its tensors as bytes', async () => {
    const weight = readModel('m', await encoded()).tensors.get('weight')
    expect(weight?.dims).toEqual([4, 3])
    expect(new Float32Array(weight?.data?.slice().buffer as ArrayBuffer)[3]).toBe(0.25)
  })
})

describe('a hostile model', () => {
  it.each<[string, () => Uint8Array, RegExp]>([
    ['external data by location', () => externalTensor('location'), /tensor 'weight' lies in another file/],
    ['external data by its entries', () => externalTensor('entries'), /tensor 'weight' lies in another file/],
    ['external data deep inside', nestedExternalTensor, /lies in another file/],
    ['four terabytes announced', () => sizedTensor([1 << 20, 1 << 20], 8), /more than the file can hold/],
    ['a negative dimension', () => sizedTensor([-4], 16), /more than the file can hold/],
    ['dimensions that overflow', () => sizedTensor([2 ** 40, 2 ** 40, 2 ** 40], 4), /more than the file can hold/],
    ['fewer bytes than announced', () => sizedTensor([4], 15), /announces 16 bytes for \[4\] but holds 15/],
    ['graphs without end', () => deepModel(100), /nest deeper than 32/],
    ['a loop', loopModel, /node 'forever' is a Loop, which may never end/],
    ['no graph', () => Uint8Array.of(8, 8), /holds no graph/],
    ['no bytes', () => new Uint8Array(0), /holds no graph/],
    ['other bytes', () => new TextEncoder().encode('PK\x03\x04 this is a zip archive, not a model'), /not an ONNX model/],
  ])('with %s is refused', (_, make, message) => {
    expect(() => readModel('m.onnx', make())).toThrow(
      expect.objectContaining({ code: 'invalid_data', message: expect.stringMatching(message) }),
    )
  })

  it('cut off anywhere is refused, or read as the shorter model that it is', async () => {
    const whole = await encoded()
    for (let length = 0; length < whole.length; length++) {
      try {
        const { inputs } = readModel('m', whole.subarray(0, length))
        expect(inputs).toHaveLength(1)
      } catch (error) {
        expect(error).toBeInstanceOf(AludelError)
      }
    }
  })

  it('with any bytes changed ends in a model or in invalid_data', async () => {
    const whole = await encoded()
    const change = fc.record({ at: fc.nat(whole.length - 1), to: fc.nat(255) })
    fc.assert(
      fc.property(fc.array(change, { minLength: 1, maxLength: 8 }), (changes) => {
        const bytes = whole.slice()
        for (const { at, to } of changes) bytes[at] = to
        try {
          readModel('m', bytes)
        } catch (error) {
          expect(error).toMatchObject({ code: 'invalid_data' })
        }
      }),
      { numRuns: 2000 },
    )
  })
})
