/** @file What a run on the GPU promises: rings of slots, refused steps that change nothing, arrays that alternate, cancelled runs. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { bindProgram } from '../../src/engine/bound-program.js'
import { add, cast, gather, mul, reshape, sum, type Value } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ device: 'cuda', precision: 'f32' })
})
afterAll(() => device.close())

const ring = 5

/** state += table[index of the step]; the row's sum goes to the ring. */
function pickingProgram() {
  return bindProgram(device, {
    inputs: {
      state: { shape: [3] },
      table: { shape: [4, 3] },
      index: { shape: [1], dtype: 'i32', slots: { count: ring } },
    },
    outputs: { state: { donate: 'state' }, total: { slots: { count: ring } } },
    build(v) {
      const row = reshape(gather(v.table, v.index), [3])
      return { state: add(v.state, row), total: sum(row) }
    },
  })
}

const arraysFor = (index: readonly number[]) => ({
  state: device.array('f32', [3]),
  table: device.array(
    'f32',
    [4, 3],
    Float32Array.from({ length: 12 }, (_, i) => 1 + i),
  ),
  index: device.array('i32', [ring, 1], Int32Array.from(index)),
  total: device.array('f32', [ring]),
})

it('addresses the ring by the step, in the first run and in captured ones', async () => {
  const program = pickingProgram()
  const arrays = arraysFor([0, 3, 1, 2, 0])
  await program.run(arrays, { n: 4, startStep: 2 })
  expect([...(await arrays.total.read())]).toEqual([6, 0, 15, 24, 6])
  expect([...(await arrays.state.read())]).toEqual([4 + 7 + 1 + 1, 5 + 8 + 2 + 2, 6 + 9 + 3 + 3])
  await program.run(arrays, { n: 1, startStep: 6 })
  expect((await arrays.total.read())[1]).toBe(33)
  program.dispose()
})

it('refuses a step with a wrong index before it changes anything, and keeps the steps before it', async () => {
  const program = pickingProgram()
  const arrays = arraysFor([0, 1, 4, 1, 1])
  await expect(program.run(arrays, { n: 5 })).rejects.toMatchObject({
    code: 'invalid_index',
    message: expect.stringContaining('index 4 at position 0 is outside 0..3'),
  })
  expect([...(await arrays.state.read())]).toEqual([5, 7, 9])
  expect([...(await arrays.total.read())]).toEqual([6, 15, 0, 0, 0])
  await arrays.index.write(Int32Array.from([0, 1, 2, 1, 1]))
  await program.run(arrays, { n: 1, startStep: 2 })
  expect([...(await arrays.state.read())]).toEqual([12, 15, 18])
  program.dispose()
})

it('alternates between more sets of arrays than it keeps graphs of', async () => {
  const program = pickingProgram()
  const sets = Array.from({ length: 7 }, (_, i) => arraysFor([i % 4, 0, 0, 0, 0]))
  for (let round = 0; round < 3; round++) for (const arrays of sets) await program.run(arrays, { n: 1 })
  for (const [i, arrays] of sets.entries()) expect((await arrays.state.read())[0]).toBe(3 * (1 + 3 * (i % 4)))
  program.dispose()
})

it('runs programs of different size in turns, whose working memory is one', async () => {
  const of = (n: number) =>
    bindProgram(device, {
      inputs: { x: { shape: [n] } },
      outputs: { y: {} },
      build: (v): Record<string, Value> => ({ y: sum(mul(v.x, v.x)) }),
    })
  const [small, large] = [of(10), of(100_000)]
  const x = {
    small: device.array('f32', [10], new Float32Array(10).fill(1)),
    large: device.array('f32', [100_000], new Float32Array(100_000).fill(1)),
  }
  const y = device.array('f32', [])
  for (let i = 0; i < 3; i++) {
    await small.run({ x: x.small, y })
    expect((await y.read())[0]).toBe(10)
    await large.run({ x: x.large, y })
    expect((await y.read())[0]).toBe(100_000)
  }
  large.dispose()
  await small.run({ x: x.small, y })
  expect((await y.read())[0]).toBe(10)
  small.dispose()
})

it('ends a cancelled run between two steps', async () => {
  const program = pickingProgram()
  const arrays = arraysFor([0, 0, 0, 0, 0])
  const controller = new AbortController()
  const run = program.run(arrays, { n: 1_000_000, signal: controller.signal })
  setTimeout(() => controller.abort(), 50)
  await expect(run).rejects.toMatchObject({ name: 'AbortError' })
  const [a, b] = [...(await arrays.state.read())].map(Number)
  expect(a).toBeLessThan(1_000_000)
  expect(b).toBe(2 * a)
  program.dispose()
})

it('reads zeros from arrays nobody wrote, whatever lay there before', async () => {
  for (let i = 0; i < 3; i++) {
    const array = device.array('f32', [1000])
    expect((await array.read()).every((v) => v === 0)).toBe(true)
    await array.write(new Float32Array(1000).fill(7))
    array.dispose()
  }
  const partly = device.array('i32', [1000])
  const program = bindProgram(device, {
    inputs: { x: { shape: [1000], dtype: 'i32' } },
    outputs: { y: {} },
    build: (v) => ({ y: sum(cast(v.x, 'f32')) }),
  })
  const y = device.array('f32', [])
  await program.run({ x: partly, y })
  expect((await y.read())[0]).toBe(0)
  program.dispose()
})
