/** @file The error function in float64 against values to 16 digits. */
import { describe, expect, it } from 'vitest'
import { erf } from '../../../src/engine/ops/error-function.js'

describe('erf', () => {
  it.each([
    [0, 0],
    [1e-300, 1.1283791670955126e-300],
    [0.1, 0.1124629160182849],
    [0.5, 0.5204998778130465],
    [1, 0.8427007929497149],
    [2, 0.9953222650189527],
    [2.4, 0.999311486103355],
    [2.5, 0.999593047982555],
    [3, 0.9999779095030014],
    [4, 0.9999999845827421],
    [5.5, 0.9999999999999927],
    [7, 1],
    [Number.POSITIVE_INFINITY, 1],
  ])('of %f is %f, odd', (x, y) => {
    expect(Math.abs(erf(x) - y)).toBeLessThanOrEqual(4 * Number.EPSILON * y)
    expect(erf(-x)).toBe(-erf(x))
  })

  it('of no number is none', () => {
    expect(erf(Number.NaN)).toBeNaN()
  })
})
