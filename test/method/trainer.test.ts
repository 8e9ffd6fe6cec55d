/** @file What a network draws depends on its number, not on the networks trained beside it. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { normalizeImages } from '../../src/data/normalize.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import { protocolOf } from '../../src/evaluate/protocol.js'
import { epochOrder, networksTogether } from '../../src/evaluate/schedule.js'
import { Trainer, type TrainingSet } from '../../src/evaluate/trainer.js'
import { Turn } from '../../src/event-loop.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { vit } from '../../src/nn/networks/vit.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const network = convNet({ input: [8, 8, 2], classes: 3, width: 8, depth: 1 })
const set = {
  images: new Float32Array(6 * 128),
  shape: [6, 8, 8, 2] as const,
  labels: Int32Array.of(0, 0, 1, 1, 2, 2),
  mean: [0, 0],
  std: [1, 1],
}

async function parametersOf(firstNetwork: number, groups: number): Promise<number[][]> {
  const trainer = new Trainer(device, { network, sets: [set], groups, augment: { operations: [] }, key: keyOf(5), firstNetwork })
  await trainer.initialize(device)
  const all = await Promise.all(network.parameters.map(({ name }) => trainer.networks.parameters[name].read()))
  trainer.dispose()
  return Array.from({ length: groups }, (_, g) =>
    all.flatMap((values) => Array.from(values.subarray((g * values.length) / groups, ((g + 1) * values.length) / groups))),
  )
}

it('draws the same parameters in any grouping', async () => {
  const together = await parametersOf(0, 5)
  expect(new Set(together.map(String)).size).toBe(5)
  expect([...(await parametersOf(0, 2)), ...(await parametersOf(2, 2)), ...(await parametersOf(4, 1))]).toEqual(together)
  expect([...(await parametersOf(0, 3)), ...(await parametersOf(3, 2))]).toEqual(together)
})

it('trains each network on its own images, of bytes or floats', async () => {
  const rows = [4, 9].map((seed) => Uint8Array.from(uniform(keyOf(seed), 0, 1, 6 * 128), (u) => Math.floor(256 * u)))
  const statistics = { mean: [0.4, 0.5], std: [0.2, 0.3] }
  const [a, b] = rows.map((images) => ({ ...set, ...statistics, images }))
  const lossesOf = async (sets: readonly TrainingSet[], firstNetwork: number, groups: number) => {
    const trainer = new Trainer(device, { network, sets, groups, augment: { operations: [] }, key: keyOf(5), firstNetwork })
    await trainer.initialize(device)
    const losses = await trainer.train(0, 8)
    trainer.dispose()
    return losses
  }
  const [first, second] = await lossesOf([a, b], 0, 2)
  expect(first).toBeCloseTo((await lossesOf([a], 0, 1))[0], 5)
  expect(second).toBeCloseTo((await lossesOf([b], 1, 1))[0], 5)
  expect(Math.abs(second - (await lossesOf([a], 0, 2))[1])).toBeGreaterThan(1e-3)
  const floats = [a, b].map((own) => ({ ...own, images: normalizeImages(own.images, statistics) }))
  expect((await lossesOf(floats, 0, 2))[1]).toBeCloseTo(second, 5)
})

it('drops the activations of each network by its number and step, whatever networks stand beside', async () => {
  const small = { input: [8, 8, 2], classes: 3, patch: 4, width: 8, depth: 1, heads: 2, hidden: 8 } as const
  const images = Float32Array.from(uniform(keyOf(6), 0, 1, 6 * 128), (u) => 2 * u - 1)
  const lossesOf = async (dropout: number, firstNetwork: number, groups: number, at = device) => {
    const options = { network: vit({ ...small, dropout }), sets: [{ ...set, images }], augment: { operations: [] }, key: keyOf(5) }
    const trainer = new Trainer(at, { ...options, groups, firstNetwork })
    await trainer.initialize(at)
    const losses = await trainer.train(0, 12)
    trainer.dispose()
    return Array.from(losses)
  }
  const together = await lossesOf(0.3, 0, 2)
  expect(together[0]).toBeCloseTo((await lossesOf(0.3, 0, 1))[0], 4)
  expect(together[1]).toBeCloseTo((await lossesOf(0.3, 1, 1))[0], 4)
  expect(Math.abs(together[0] - (await lossesOf(0, 0, 1))[0])).toBeGreaterThan(1e-3)
  const other = await Device.open({ threads: 3 })
  expect(await lossesOf(0.3, 0, 2, other)).toEqual(together)
  await other.close()
})

it("tests the moving average of the weights under 'glad', taken after every epoch", async () => {
  const images = Float32Array.from(uniform(keyOf(6), 0, 1, 6 * 128), (u) => 2 * u - 1)
  const protocol = protocolOf('glad')
  // A learning rate that moves the weights, and two steps an epoch.
  const options = {
    ...{ network, sets: [{ ...set, images }], groups: 2, augment: { operations: [] }, key: keyOf(5), firstNetwork: 0 },
    schedule: { protocol: { ...protocol, batch: 4, lr: () => 0.1 }, epochs: 6 },
  }
  const { name } = network.parameters[0]
  const averages = async (epochsAtOnce: number) => {
    const trainer = new Trainer(device, options)
    await trainer.initialize(device)
    let wanted = new Float64Array(0)
    for (let epoch = 0; epoch < 6; epoch += epochsAtOnce) {
      await trainer.train(epoch, epochsAtOnce)
      const now = (await trainer.networks.parameters[name].read()) as Float32Array
      const decay = protocol.decay?.(epoch) as number
      wanted = Float64Array.from(now, (v, i) => decay * (wanted[i] ?? 0) + (1 - decay) * v)
    }
    const measured = (await trainer.measured.parameters[name].read()) as Float32Array
    const last = (await trainer.networks.parameters[name].read()) as Float32Array
    trainer.dispose()
    return { measured, last, wanted }
  }
  const { measured, last, wanted } = await averages(1)
  for (const [i, v] of measured.entries()) expect(v).toBeCloseTo(wanted[i], 6)
  expect(Math.max(...measured.map((v, i) => Math.abs(v - last[i])))).toBeGreaterThan(1e-3)
  // The same bits when all epochs go in one crossing.
  expect((await averages(6)).measured).toEqual(measured)
})

it('orders every epoch of every network anew, without loss', async () => {
  const drawn = [0, 1].flatMap((net) => [0, 1].map((epoch) => epochOrder(keyOf(1), net, epoch, 50, new Turn())))
  const orders = (await Promise.all(drawn)).map((order) => Array.from(order))
  for (const order of orders) expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: 50 }, (_, i) => i))
  expect(new Set(orders.map(String)).size).toBe(4)
})

it('trains small batches together and large ones one after the other', () => {
  expect([networksTogether(5, 10), networksTogether(5, 100), networksTogether(2, 10), networksTogether(20, 10)]).toEqual([5, 1, 2, 12])
})
