/** @file What every network must do, on the float64 interpreter: shapes, groups, rows, gradients, draws. Give it a tiny instance. */
import { describe, expect, it } from 'vitest'
import { fold, grad, interpret, keyOf, mul, type RefTensor, sizeOf, spec, sum, trace, uniform, type Value } from '../../src/engine/index.js'
import { type Applied, type ApplyOptions, initialize, type Network, parameterCount } from '../../src/nn/module.js'

const rows = 3
const groups = 2

/** Numbers in [-1, 1) that depend on the title alone. */
function random(title: string, shape: readonly number[], around = 0): RefTensor {
  return { shape, data: uniform(fold(keyOf(11), title), 0, 1, sizeOf(shape)).map((u) => around + 2 * u - 1) }
}

type Tensors = Readonly<Record<string, RefTensor>>
type Values = Readonly<Record<string, Value>>

function run(build: (v: Values) => Readonly<Record<string, Value>>, inputs: Tensors): Record<string, RefTensor> {
  const names = Object.keys(inputs)
  let outputs: string[] = []
  const traced = trace(
    (...values: Value[]) => {
      const results = build(Object.fromEntries(values.map((v, i) => [names[i], v])))
      outputs = Object.keys(results)
      return Object.values(results)
    },
    names.map((name) => spec(inputs[name].shape)),
  )
  const results = interpret(traced, Object.values(inputs))
  return Object.fromEntries(results.map((r, i) => [outputs[i], r]))
}

const named = (results: Applied) => ({
  logits: results.logits,
  embedding: results.embedding,
  ...results.state,
  ...Object.fromEntries(results.taps.map((map, i) => [`tap${i}`, map])),
})

export function testNetwork(title: string, network: Network): void {
  const { parameters, state, input, classes } = network

  /** Parameters, state and images of `g` groups; group i holds the same numbers whatever `g` is. */
  function inputs(g: number, first = 0): Tensors {
    const each = (name: string, shape: readonly number[], around: number, scale: number): RefTensor => ({
      shape: [g, ...shape],
      data: Float64Array.from(
        Array.from({ length: g }, (_, i) => [...random(`${name} ${first + i}`, shape).data].map((v) => around + scale * v)).flat(),
      ),
    })
    return {
      ...Object.fromEntries(
        parameters.map(({ name, shape, init }) =>
          init.kind === 'constant'
            ? [name, each(name, shape, init.value, 0.4)]
            : [name, each(name, shape, 0, 1.7 * ('std' in init ? init.std : init.bound))],
        ),
      ),
      ...Object.fromEntries(state.map(({ name, shape, initial }) => [name, each(name, shape, initial, 0.4)])),
      x: each('x', [rows, ...input], 0, 1.5),
    }
  }
  const pick = (specs: readonly { readonly name: string }[], v: Values) => Object.fromEntries(specs.map(({ name }) => [name, v[name]]))
  const apply = (v: Values, options: ApplyOptions) => network.apply(pick(parameters, v), v.x, { state: pick(state, v), ...options })

  describe(`${title}: the network contract`, () => {
    it('gives logits, embedding, ReLU maps and state in their shapes', () => {
      const results = run((v) => named(apply(v, { taps: true })), inputs(groups))
      expect(results.logits.shape).toEqual([groups, rows, classes])
      expect(results.embedding.shape).toEqual([groups, rows, parameters.findLast(({ layout }) => layout === 'linear')?.shape[0]])
      for (const { name, shape } of state) expect(results[name].shape, name).toEqual([groups, ...shape])
      const taps = Object.entries(results).filter(([name]) => name.startsWith('tap'))
      for (const [name, tap] of taps) expect([tap.shape.length, ...tap.shape.slice(0, 2)], name).toEqual([5, groups, rows])
      expect(Object.keys(run((v) => named(apply(v, {})), inputs(1)))).not.toContain('tap0')
      expect(parameterCount(network)).toBe(parameters.reduce((n, p) => n + sizeOf(p.shape), 0))
    })

    it.each(['train', 'eval'] as const)('computes a group as it would alone (%s)', (mode) => {
      const both = run((v) => named(apply(v, { mode, taps: true })), inputs(groups))
      for (let g = 0; g < groups; g++) {
        const alone = run((v) => named(apply(v, { mode, taps: true })), inputs(1, g))
        for (const [name, { data }] of Object.entries(alone)) {
          expect([...both[name].data.slice(g * data.length, (g + 1) * data.length)], name).toEqual([...data])
        }
      }
    })

    it('keeps the rows of eval mode apart', () => {
      const given = inputs(1)
      const image = sizeOf(input)
      const changed = { ...given, x: { shape: given.x.shape, data: given.x.data.map((v, i) => (i < image ? v : -2 * v)) } }
      const [a, b] = [given, changed].map((t) => run((v) => named(apply(v, { mode: 'eval' })), t).logits.data)
      expect([...a.slice(0, classes)]).toEqual([...b.slice(0, classes)])
      expect([...a.slice(classes)]).not.toEqual([...b.slice(classes)])
    })

    it.each(['train', 'eval'] as const)('has the gradients of central differences (%s)', (mode) => {
      const given = inputs(1)
      const wrt = ['x', ...parameters.map(({ name }) => name)]
      const weight = random('weight', [1, rows, classes])
      const loss = (v: Values) => sum(mul(apply(v, { mode }).logits, v.weight))
      const gradients = run(
        (v) =>
          Object.fromEntries(
            grad(
              loss(v),
              wrt.map((name) => v[name]),
            ).map((g, i) => [wrt[i], g]),
          ),
        { ...given, weight },
      )
      // One direction through all tensors at once; a step this small crosses a kink of ReLU or max-pool hardly ever.
      const step = 1e-6
      const direction = Object.fromEntries(wrt.map((name) => [name, random(`direction ${name}`, given[name].shape).data]))
      const at = (s: number) => {
        const moved = wrt.map((name) => [
          name,
          { shape: given[name].shape, data: given[name].data.map((v, i) => v + s * direction[name][i]) },
        ])
        return run((v) => ({ loss: loss(v) }), { ...given, ...Object.fromEntries(moved), weight }).loss.data[0]
      }
      const slope = wrt.reduce((total, name) => gradients[name].data.reduce((t, g, i) => t + g * direction[name][i], total), 0)
      expect(Math.abs((at(step) - at(-step)) / (2 * step) - slope)).toBeLessThan(1e-6 * (1 + Math.abs(slope)))
    })

    it('draws the same parameters from one key, within the bounds, and others from another', () => {
      const draw = (seed: number) => {
        const specs = [spec([2], 'u32'), spec([1], 'u32')]
        const traced = trace((key, counter) => Object.values(initialize(network, { key, counter, groups })), specs)
        const key = { shape: [2], data: Float64Array.from(keyOf(seed)) }
        return interpret(traced, [key, { shape: [1], data: Float64Array.of(0) }])
      }
      const [first, again, other] = [draw(1), draw(1), draw(2)]
      expect(again).toEqual(first)
      for (const [i, { name, init }] of parameters.entries()) {
        // What one normal draw in 10^9 exceeds, and where a truncated one ends.
        const deviations = { normal: 6, 'truncated-normal': 2.2738, uniform: 0, constant: 0 }[init.kind]
        const bound = init.kind === 'uniform' ? init.bound : 'std' in init ? deviations * init.std : 0
        const center = init.kind === 'constant' ? init.value : 0
        expect(
          first[i].data.every((v) => Math.abs(v - center) <= bound),
          name,
        ).toBe(true)
        if (first[i].data.length >= 100 && init.kind === 'uniform') expect(Math.max(...first[i].data), name).toBeGreaterThan(0.9 * bound)
        if (bound > 0) expect(first[i].data, name).not.toEqual(other[i].data)
      }
    })
  })
}
