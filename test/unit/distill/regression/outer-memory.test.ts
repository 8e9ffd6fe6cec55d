/** @file What an outer step of KRR-ST keeps: of a real image its features, of a synthetic one the signs of its ReLUs too, a byte each. */
import { expect, it } from 'vitest'
import { outerGradients } from '../../../../src/distill/regression/outer-step.js'
import { compile } from '../../../../src/engine/compile/pipeline.js'
import { spec, trace } from '../../../../src/engine/trace/trace.js'
import { networkByName } from '../../../../src/nn/networks/registry.js'

const image = [32, 32, 3] as const
const k = 16
const network = networkByName('conv-bn', image, k)
/** Of one image: 32 x 32 x 128, 16 x 16 x 256 and 8 x 8 x 512 ReLUs, and 4 x 4 x 512 features. */
const [relus, features] = [229_376, 8192]
const layersOfWeights = 36 * 4 * (3 * 128 + 128 * 256 + 256 * 512)

function arenaOf(n: number, m: number): number {
  const traced = trace(
    (images, targets, real, realTargets, values) => {
      const named = (specs: readonly { readonly name: string }[], from: number) =>
        Object.fromEntries(specs.map(({ name }, i) => [name, values[from + i]]))
      const frozen = { network, parameters: named(network.parameters, 0), state: named(network.state, network.parameters.length) }
      const step = outerGradients(frozen, { images, targets, real, realTargets }, { c: 1e-6, scale: 'trace', detach: true })
      return [step.loss, step.images, step.targets]
    },
    [
      spec([n, ...image]),
      spec([n, k]),
      spec([m, ...image]),
      spec([m, k]),
      [...network.parameters, ...network.state].map(({ shape }) => spec([1, ...shape])),
    ],
  )
  return compile(traced, { isa: 'avx512' }).plan.arenaBytes
}

it('grows by the features of a real image and by no activation of it', () => {
  const [few, many] = [arenaOf(512, 256), arenaOf(512, 4096)]
  expect((many - few) / (4096 - 256)).toBeLessThan(1.1 * 4 * (features + k))
})

it('keeps a byte for each ReLU of a synthetic image, not its activations', () => {
  const [few, many] = [arenaOf(512, 64), arenaOf(1024, 64)]
  const each = (many - few) / 512
  expect(each).toBeGreaterThan(relus)
  // bytes, features in both precisions and their gradient, and the rows of the kernel
  expect(each).toBeLessThan(relus + 20 * features + 8 * 3 * 1024)
  expect(few).toBeLessThan(512 * (relus + 20 * features) + 3 * layersOfWeights)
})
