/** @file Masks of the matching loss: cuts by depth in the flat order, and the smallest differences as a stable sort would drop them. */
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { FlatOrder } from '../../../src/distill/trajectory/flat-order.js'
import { depthMask, droppedCount, lossMask, parseMask } from '../../../src/distill/trajectory/mask.js'
import { flatToEngine } from '../../../src/nn/flat-parameters.js'
import { parameterCount } from '../../../src/nn/module.js'
import { convNet } from '../../../src/nn/networks/conv-net.js'

const network = convNet({ input: [8, 8, 3], classes: 4, depth: 2, width: 8 })
const order = new FlatOrder(network)

describe('parseMask', () => {
  it.each([
    ['none', { kind: 'none' }],
    ['depth:0.25', { kind: 'depth', share: 0.25 }],
    ['loss:.5', { kind: 'loss', share: 0.5 }],
    ['depth:0', { kind: 'depth', share: 0 }],
  ])('%s', (text, rule) => expect(parseMask(text)).toEqual(rule))
  it.each(['depth:1', 'depth:-0.1', 'depth', 'loss:', 'loss:a', 'shallow:0.5', '', 0.5, null])('refuses %s', (text) =>
    expect(parseMask(text)).toBeUndefined(),
  )
})

describe('droppedCount', () => {
  it.each([
    [320010, 0.25, 80002],
    [504420, 0.75, 378315],
    [857160, 0.5, 428580],
    [972, 0, 0],
  ])('of %i at %d', (parameters, share, dropped) => expect(droppedCount(parameters, share)).toBe(dropped))
})

/** The mask in the flat order. */
function flatMask(kept: Readonly<Record<string, 'all' | 'none' | Float32Array>>): number[] {
  const flat = new Array<number>(order.size)
  for (const [name, places] of Object.entries(order.places)) {
    const mask = kept[name]
    for (const [j, place] of places.entries()) flat[place] = typeof mask === 'string' ? Number(mask === 'all') : mask[j]
  }
  return flat
}

describe('depthMask', () => {
  it('keeps exactly what stands behind the cut, whole tensors by name', () =>
    fc.assert(
      fc.property(fc.integer({ min: 0, max: order.size - 1 }), (dropped) => {
        const kept = depthMask(network, dropped)
        expect(flatMask(kept)).toEqual(Array.from({ length: order.size }, (_, i) => Number(i >= dropped)))
        expect(Object.values(kept).filter((mask) => typeof mask !== 'string').length).toBeLessThan(2)
      }),
    ))
})

describe('lossMask', () => {
  const few = fc.constantFrom(0, -0, 1e-30, 0.5, -0.5, 1, Number.NaN)
  const value = fc.oneof(few, fc.float({ min: -2, max: 2, noNaN: true }))
  const flat = fc.array(value, { minLength: order.size, maxLength: order.size })

  it('drops what a stable ascending sort of the squared differences puts first', () =>
    fc.assert(
      fc.asyncProperty(flat, flat, fc.integer({ min: 0, max: order.size - 1 }), async (a, b, dropped) => {
        const [end, target] = [a, b].map((values) => flatToEngine(network, Float32Array.from(values)))
        const squares = a.map((x, i) => (Math.fround(x) - Math.fround(b[i])) ** 2)
        const key = (i: number) => (Number.isNaN(squares[i]) ? Number.POSITIVE_INFINITY : squares[i])
        const sorted = squares.map((_, i) => i).sort((i, j) => key(i) - key(j) || i - j)
        const wanted = squares.map(() => 1)
        for (const i of sorted.slice(0, dropped)) wanted[i] = 0
        expect(flatMask(await lossMask(order, end, target, dropped))).toEqual(wanted)
      }),
      { numRuns: 30 },
    ))
})

it('takes a flat vector apart as flatToEngine does', async () => {
  const flat = Float32Array.from({ length: parameterCount(network) }, (_, i) => Math.sin(i))
  expect(await order.toEngine(flat)).toEqual(flatToEngine(network, flat))
})
