/** @file No memory: refusals that name the bytes, and a device that goes on. The address space of this process is limited meanwhile. */
import { spawnSync } from 'node:child_process'
import { readFileSync, truncateSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest'
import { cifar10, mnist } from '../../src/data/index.js'
import { distill } from '../../src/distill/index.js'
import { compile } from '../../src/engine/compile/pipeline.js'
import { add, broadcast, reverse, spec, square, sum, trace } from '../../src/engine/index.js'
import { Device } from '../../src/engine/runtime/device.js'
import { AludelError } from '../../src/errors.js'
import { evaluate, randomRealSet } from '../../src/evaluate/index.js'
import { stripes } from '../method/contract.js'
import { freshDir } from '../unit/data/fixtures.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 1 })
})
afterAll(() => device.close())

/** Needs a buffer of rows x rows floats between two kernels. */
function program(rows: number) {
  const traced = trace((x) => sum(reverse(square(add(broadcast(x, [rows, rows]), 1)), [0])), [spec([rows])])
  return compile(traced, { isa: device.isa, slicing: 'off' })
}

async function expectStillWorks(): Promise<void> {
  const executable = device.load(program(3))
  const arrays = [device.array('f32', [3], Float32Array.of(0, 1, 2)), device.array('f32', [])]
  await executable.run(arrays)
  expect([...(await arrays[1].read())]).toEqual([42])
  for (const resource of [executable, ...arrays]) resource.dispose()
}

it('refuses a plan that no address space holds', async () => {
  const absurd = program(2 ** 24)
  expect(absurd.plan.arenaBytes).toBeGreaterThanOrEqual(2 ** 50)
  const needed = expect.stringContaining(`needs ${absurd.plan.arenaBytes} bytes`)
  expect(() => device.load(absurd)).toThrow(expect.objectContaining({ code: 'out_of_memory', message: needed }))
  await expectStillWorks()
})

it('refuses a run that needs more than is free before it starts', async () => {
  const held = device.memory().arrayBytes
  const free = vi.spyOn(process as never as { availableMemory(): number }, 'availableMemory').mockReturnValue(10_000)
  try {
    const run = distill(stripes([4, 4]), { method: 'dm', ipc: 1, iterations: 1, realBatch: 2, device })
    await expect(run.result).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(/^distill: needs \d+ bytes but 10000 are free; lower ipc or realBatch; planRun/),
    })
  } finally {
    free.mockRestore()
  }
  expect(device.memory().arrayBytes).toBe(held)
  await expectStillWorks()
})

describe('every allocation of a call may fail', () => {
  const dataset = stripes([4, 4])
  const options = { method: 'dm', ipc: 1, iterations: 1, realBatch: 5, augment: 'dsa' }

  /** Refuses the n-th array or program from now, once. */
  function refuse(n: number): void {
    const [array, load] = [device.array.bind(device), device.load.bind(device)]
    const count = () => {
      if (n-- === 0) throw new AludelError('out_of_memory', 'refused by the test')
    }
    vi.spyOn(device, 'array').mockImplementation((...args) => {
      count()
      return array(...args)
    })
    vi.spyOn(device, 'load').mockImplementation((...args) => {
      count()
      return load(...args) as never
    })
  }

  it.each([
    ['distill', 14, () => distill(dataset, { ...options, device }).result],
    ['evaluate', 30, () => evaluate(randomRealSet(dataset, 1, 0), { networks: ['convnet'], repeats: 1, epochs: 1, test: dataset, device })],
  ] as const)('%s frees what it had made and rejects', async (_, least, action) => {
    let failures = 0
    for (let done = false; !done; ) {
      refuse(failures)
      const code = await action().then(
        () => 'done',
        (error) => error.code,
      )
      vi.restoreAllMocks()
      expect(device.memory()).toMatchObject({ arrayBytes: 0, constantBytes: 0, workspaceBytes: 0 })
      done = code === 'done'
      if (!done) {
        expect(code).toBe('out_of_memory')
        failures++
      }
    }
    expect(failures).toBeGreaterThanOrEqual(least)
  })
})

const virtualBytes = (): number => 1024 * Number(/VmSize:\s+(\d+)/.exec(readFileSync('/proc/self/status', 'utf8'))?.[1])
const setLimit = (soft: number | string) => spawnSync('prlimit', ['--pid', `${process.pid}`, `--as=${soft}:`]).status === 0
const canLimit = process.platform === 'linux' && setLimit('unlimited')

describe.skipIf(!canLimit)('in a limited address space', () => {
  const mebibyte = 2 ** 20

  async function limited(action: () => unknown): Promise<unknown> {
    setLimit(virtualBytes() + 400 * mebibyte)
    try {
      return await action()
    } finally {
      setLimit('unlimited')
    }
  }

  it('refuses a plan with its bytes, and keeps the device and its arrays', async () => {
    const array = device.array('f32', [2], Float32Array.of(5, 6))
    const large = program(2 ** 14) // 1 GiB
    const refused = limited(() => device.load(large))
    await expect(refused).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(/working memory needs [12]\d{9} bytes/),
    })
    expect([...(await array.read())]).toEqual([5, 6])
    await expectStillWorks()
  })

  it('refuses an array, and a write that finds no room for its copy', async () => {
    await expect(limited(() => device.array('f32', [256 * mebibyte]))).rejects.toMatchObject({
      code: 'out_of_memory',
      message: expect.stringMatching(/needs 1073741824 bytes/),
    })
    const array = device.array('u8', [512 * mebibyte])
    const data = new Uint8Array(512 * mebibyte)
    // an array that something submitted uses is not written at once, so the data must be kept
    const before = array.writeAt(0, data.subarray(0, 8))
    await expect(limited(() => array.write(data))).rejects.toMatchObject({ code: 'out_of_memory' })
    await before
    await expect(limited(() => device.array('u8', [512 * mebibyte], data))).rejects.toMatchObject({ code: 'out_of_memory' })
    array.dispose()
    await expectStillWorks()
  })

  it('refuses data that does not fit, and says how much it is', async () => {
    const [digits, pictures] = [freshDir(), freshDir()]
    const idx = join(digits, 'train-images-idx3-ubyte')
    writeFileSync(idx, Uint8Array.of(0, 0, 8, 3, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 4, 0))
    writeFileSync(join(digits, 'train-labels-idx1-ubyte'), '')
    truncateSync(idx, 16 + 2 ** 30) // holes: the file takes no room
    await expect(limited(() => mnist(digits))).rejects.toMatchObject({
      code: 'out_of_memory',
      message: `${idx}: its 1073741840 bytes do not fit into memory`,
    })
    for (let i = 1; i <= 5; i++) {
      writeFileSync(join(pictures, `data_batch_${i}.bin`), '')
      truncateSync(join(pictures, `data_batch_${i}.bin`), 3073 * 70_000)
    }
    await expect(limited(() => cifar10(pictures))).rejects.toMatchObject({
      code: 'out_of_memory',
      message: `${pictures}: its 1075200000 bytes do not fit into memory`,
    })
    await expectStillWorks()
  })

  it('loads the same plan once there is room', async () => {
    const executable = device.load(program(2 ** 12))
    expect(executable.memory.arenaBytes).toBeGreaterThanOrEqual(2 ** 26)
    executable.dispose()
  })
})
