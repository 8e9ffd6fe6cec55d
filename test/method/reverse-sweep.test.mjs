/** @file The two-program sweep of trajectory matching against the whole unroll differentiated as one graph in float64. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { prepareSweep } from '../../bench/steps/mtt.mjs'
import { add, div, gather, grad, interpret, mean, mul, reshape, softmaxCe, spec, squaredNorm, sub, trace } from '../../dist/engine/index.js'
import { Device } from '../../dist/engine/runtime/device.js'
import { convNet } from '../../dist/nn/networks/conv-net.js'

const network = convNet({ input: [8, 8, 3], classes: 4, depth: 2, width: 8 })
const names = network.parameters.map(({ name }) => name)
const inner = 3
const batch = 5
const images = 8
const sum = (values) => values.reduce((a, b) => add(a, b))

let device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

/** loss, d loss / d syn, d loss / d lr of the unroll. */
function unroll({ syn, labels, lr, index, start, target }) {
  let theta = start
  for (let i = 0; i < inner; i++) {
    const parameters = Object.fromEntries(names.map((name, j) => [name, theta[j]]))
    const x = gather(syn, index[i])
    const { logits } = network.apply(parameters, reshape(x, [1, ...x.shape]))
    const ce = mean(softmaxCe(reshape(logits, [batch, network.classes]), gather(labels, index[i])).loss)
    const gradients = grad(ce, theta)
    theta = theta.map((value, j) => sub(value, mul(gradients[j], lr)))
  }
  const distance = (a) => sum(a.map((value, j) => squaredNorm(sub(value, target[j]))))
  const loss = div(distance(theta), distance(start))
  return [loss, ...grad(loss, [syn, lr])]
}

const scaledError = (actual, expected) => {
  const scale = Math.max(...expected.map(Math.abs))
  return Math.max(...expected.map((x, i) => Math.abs(x - actual[i]))) / scale
}

it('gives the loss and the exact gradients to pixels and learning rate', async () => {
  const { step, arrays } = prepareSweep(device, { network, inner, batch, images })
  const { syn, labels, lr, ring, target } = arrays
  const before = { syn: await syn.read(), labels: await labels.read(), lr: await lr.read() }
  const loss = await step()
  const slots = await Promise.all(names.map((name) => ring[name].read()))
  const targets = await Promise.all(names.map((name) => target[name].read()))
  const index = await arrays.index.read()
  const shapes = network.parameters.map(({ shape }) => [1, ...shape])

  const tree = {
    syn: spec(syn.shape),
    labels: spec(labels.shape, 'i32'),
    lr: spec([]),
    index: Array.from({ length: inner }, () => spec([batch], 'i32')),
    start: shapes.map((shape) => spec(shape)),
    target: shapes.map((shape) => spec(shape)),
  }
  const tensor = (shape, data) => ({ shape, data: Float64Array.from(data) })
  const [wantedLoss, wantedX, wantedLr] = interpret(trace(unroll, [tree]), [
    tensor(syn.shape, before.syn),
    tensor(labels.shape, before.labels),
    tensor([], before.lr),
    ...Array.from({ length: inner }, (_, i) => tensor([batch], index.subarray(i * batch, (i + 1) * batch))),
    ...shapes.map((shape, j) => tensor(shape, slots[j].subarray(0, targets[j].length))),
    ...shapes.map((shape, j) => tensor(shape, targets[j])),
  ])
  expect(scaledError([loss], [...wantedLoss.data])).toBeLessThan(1e-5)
  expect(scaledError(await arrays.gradX.read(), [...wantedX.data])).toBeLessThan(1e-4)
  expect(scaledError(await arrays.gradLr.read(), [...wantedLr.data])).toBeLessThan(1e-4)
})
