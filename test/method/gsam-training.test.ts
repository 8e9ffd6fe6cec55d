/** @file Training by GSAM: without a radius it is gradient descent to the bit, with one it is not; and epochs over some of the rows. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseAugment } from '../../src/augment/dsa.js'
import { Device } from '../../src/engine/runtime/device.js'
import { keyOf } from '../../src/engine/tensor/key.js'
import { uniform } from '../../src/engine/tensor/philox.js'
import { Trainer, type TrainerOptions } from '../../src/evaluate/trainer.js'
import { convNet } from '../../src/nn/networks/conv-net.js'
import { checkGsam } from '../../src/optim/gsam.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const rows = 22
const set = {
  images: Float32Array.from(uniform(keyOf(3), 0, 1, rows * 128), (u) => 4 * u - 2),
  shape: [rows, 8, 8, 2] as const,
  labels: Int32Array.from({ length: rows }, (_, i) => i % 3),
  mean: [0, 0],
  std: [1, 1],
}
const options: Omit<TrainerOptions, 'groups'> = {
  network: convNet({ input: [8, 8, 2], classes: 3, width: 8, depth: 1 }),
  sets: [set],
  augment: parseAugment('dsa', true),
  key: keyOf(5),
  firstNetwork: 0,
  rule: { batch: 8, momentum: 0, weightDecay: 0, lr: () => 0.05 },
}

async function trained(given: Partial<TrainerOptions>, epochs = 2) {
  const trainer = new Trainer(device, { ...options, groups: 1, ...given })
  await trainer.initialize(device)
  const results = []
  for (let epoch = 0; epoch < epochs; epoch++) results.push(await trainer.trainEpoch(epoch))
  const parameters = await Promise.all(Object.values(trainer.networks.parameters).map(async (array) => [...(await array.read())]))
  const { plan } = trainer
  trainer.dispose()
  return { parameters, results, plan }
}

describe('GSAM', () => {
  it('without a radius is gradient descent: one program, the same bits', async () => {
    const plain = await trained({})
    for (const alpha of [0, 0.3]) {
      const gsam = await trained({ gsam: { rho: 0, alpha, adaptive: true } })
      expect(gsam.plan).toEqual(plain.plan)
      expect(gsam.parameters).toEqual(plain.parameters)
    }
  })

  it('with a radius takes other steps, by alpha and by the form', async () => {
    const forms = [
      undefined,
      { rho: 0.05, alpha: 0, adaptive: false },
      { rho: 0.05, alpha: 0.3, adaptive: false },
      { rho: 0.05, alpha: 0.3, adaptive: true },
    ]
    const reached = []
    for (const gsam of forms) reached.push(String((await trained(gsam ? { gsam } : {})).parameters))
    expect(new Set(reached).size).toBe(forms.length)
  })

  it('takes norms over each network of the group axis alone', async () => {
    const gsam = { rho: 0.05, alpha: 0.3, adaptive: true }
    const together = await trained({ gsam, groups: 2 })
    for (const g of [0, 1]) {
      const alone = await trained({ gsam, firstNetwork: g })
      for (const [i, values] of alone.parameters.entries())
        for (const [j, value] of values.entries()) expect(together.parameters[i][g * values.length + j]).toBeCloseTo(value, 4)
    }
  })

  it('refuses settings that are none', () => {
    for (const wrong of [
      { rho: -1, alpha: 0, adaptive: true },
      { rho: 0.1, alpha: Number.NaN, adaptive: true },
      { rho: 0.1, alpha: 0, adaptive: 1 as never },
    ])
      expect(() => checkGsam('experts', wrong)).toThrow(/experts: (rho|alpha|adaptive)/)
  })
})

describe('epochs over some of the rows', () => {
  it('that are all rows are those without a choice, to the bit', async () => {
    const all = Int32Array.from({ length: rows }, (_, i) => i)
    expect((await trained({ rowsOf: () => all })).parameters).toEqual((await trained({})).parameters)
  })

  it('see those rows only, in as many steps as they need', async () => {
    // of one class the network learns to answer that class
    const first = Int32Array.from(set.labels.keys()).filter((row) => set.labels[row] === 1)
    const trainer = new Trainer(device, {
      ...options,
      groups: 1,
      countHits: true,
      rowsOf: (epoch) => (epoch === 0 ? first.slice(0, 3) : first),
    })
    await trainer.initialize(device)
    expect([await trainer.stepsIn(0), await trainer.stepsIn(1), trainer.stepsPerEpoch]).toEqual([1, 1, 3])
    const results = []
    for (let epoch = 0; epoch < 40; epoch++) {
      trainer.goTo(epoch)
      results.push(await trainer.trainEpoch(epoch))
    }
    trainer.dispose()
    expect(results[39].losses[0]).toBeLessThan(0.5 * results[0].losses[0])
    expect(results[39].accuracies[0]).toBe(100)
  })
})
