/** @file What crosses between JavaScript and native code: data, bad input and abort. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { allocate, type DType, dtypes } from '../../src/engine/tensor/dtype.js'
import { slotProgram, squareProgram } from './program-bytes.js'

let device: Device
beforeAll(async () => {
  device = await Device.open({ threads: 2 })
})
afterAll(() => device.close())

const code = (code: string) => expect.objectContaining({ code })

describe('arrays', () => {
  it.each(dtypes)('%s survives the round trip', async (dtype: DType) => {
    const data = allocate(dtype, 6).map((_, i) => i * 3)
    const array = device.array(dtype, [2, 3], data)
    expect(await array.read()).toEqual(data)
    array.dispose()
  })

  it('starts as zeros, also when large', async () => {
    const array = device.array('u8', [6 << 20])
    expect((await array.read()).every((x) => x === 0)).toBe(true)
    array.dispose()
  })

  it('copies at the call: the caller may reuse or transfer its array', async () => {
    const array = device.array('f32', [3])
    const data = Float32Array.of(1, 2, 3)
    const written = array.write(data)
    data.fill(9)
    structuredClone(data.buffer, { transfer: [data.buffer] })
    await written
    expect(await array.read()).toEqual(Float32Array.of(1, 2, 3))
    await expect(array.write(data)).rejects.toEqual(code('detached'))
  })

  it('respects views into a larger buffer and copies between arrays', async () => {
    const array = device.array('i32', [2], Int32Array.of(1, 2, 3, 4).subarray(1, 3))
    const other = device.array('i32', [2])
    await other.copyFrom(array)
    expect(await other.read()).toEqual(Int32Array.of(2, 3))
    await expect(other.copyFrom(device.array('i32', [3]))).rejects.toEqual(code('invalid_shape'))
  })

  it('refuses wrong data', async () => {
    const array = device.array('f32', [3])
    await expect(array.write(new Float64Array(3))).rejects.toEqual(code('invalid_dtype'))
    await expect(array.write(new Float32Array(4))).rejects.toEqual(code('invalid_shape'))
    await expect(array.write([1, 2, 3] as never)).rejects.toEqual(code('invalid_dtype'))
    await expect(array.write(null as never)).rejects.toEqual(code('invalid_dtype'))
    expect(() => device.array('f16' as never, [1])).toThrow(code('invalid_dtype'))
    expect(() => device.array('f32', [0])).toThrow(code('invalid_shape'))
    expect(() => device.array('f32', [2 ** 44])).toThrow(code('out_of_memory'))
    expect(() => device.array('f32', [2 ** 31, 2 ** 31])).toThrow(code('out_of_memory'))
  })
})

describe('programs', () => {
  it('addresses slots by the step', async () => {
    const executable = device.load(slotProgram())
    const ring = device.array('f32', [3, 4])
    const x = device.array('f32', [4], Float32Array.of(1, 2, 3, 4))
    await executable.repeat(2, [x, ring], { startStep: 4 })
    expect(await ring.read()).toEqual(Float32Array.of(2, 4, 6, 8, 0, 0, 0, 0, 2, 4, 6, 8))
    await expect(executable.run([x, x])).rejects.toThrow(/argument 1 \(ring\): expected '?\[3, 4\]/)
    await expect(executable.run([x])).rejects.toEqual(code('invalid_option'))
    await expect(executable.run([x, {}] as never)).rejects.toEqual(code('invalid_option'))
    await expect(executable.repeat(-1, [x, ring])).rejects.toEqual(code('invalid_option'))
    await expect(executable.repeat(1, [x, ring], { startStep: 0.5 })).rejects.toEqual(code('invalid_option'))
    executable.dispose()
  })

  it('runs in the order of the calls', async () => {
    const executable = device.load(squareProgram(2))
    const [x, y] = [device.array('f32', [2, 2]), device.array('f32', [2, 2])]
    const reads: Promise<unknown>[] = []
    for (let i = 1; i <= 20; i++) {
      x.write(Float32Array.of(i, 0, 0, i))
      executable.run([x, y])
      reads.push(y.read())
    }
    const results = (await Promise.all(reads)) as Float32Array[]
    expect(results.map((r) => r[0])).toEqual(Array.from({ length: 20 }, (_, i) => (i + 1) ** 2))
  })

  it('gives the same bits at 1, 2 and 3 threads', async () => {
    const size = 130
    const data = Float32Array.from({ length: size * size }, (_, i) => Math.sin(i))
    const results: string[] = []
    for (const threads of [1, 2, 3]) {
      const other = await Device.open({ threads })
      const [x, y] = [other.array('f32', [size, size], data), other.array('f32', [size, size])]
      await other.load(squareProgram(size)).run([x, y])
      results.push(Array.from(await y.read(), (value) => value.toString()).join())
      await other.close()
    }
    expect(results).toEqual([results[0], results[0], results[0]])
  })

  it('refuses bytes that are no program, whatever they are', () => {
    const { bytes } = squareProgram(4)
    const load = (changed: Uint8Array) => device.load({ bytes: changed, arguments: [], plan: null })
    expect(() => load(new Uint8Array())).toThrow(code('invalid_program'))
    expect(() => load(bytes.subarray(0, bytes.length - 1))).toThrow(code('invalid_program'))
    expect(() => load('program' as never)).toThrow(code('invalid_program'))
    for (let i = 0; i < bytes.length; i++) {
      const changed = Uint8Array.from(bytes)
      changed[i] ^= 0xff
      try {
        load(changed).dispose()
      } catch (error) {
        expect(error).toEqual(expect.objectContaining({ code: expect.stringMatching(/^(invalid_program|out_of_memory)$/) }))
      }
    }
  })

  it('takes one array for input and output when the program goes through the arena', async () => {
    const executable = device.load(squareProgram(8))
    const x = device.array('f32', [8, 8])
    await executable.run([x, x])
    executable.dispose()
  })

  it('refuses an array of another device', async () => {
    const other = await Device.open({ threads: 1 })
    const executable = device.load(squareProgram(4))
    await expect(executable.run([other.array('f32', [4, 4]), device.array('f32', [4, 4])])).rejects.toEqual(code('invalid_option'))
    await other.close()
  })
})

describe('abort', () => {
  const long = 100_000
  const setUp = () => {
    const program = squareProgram()
    const shape = program.arguments[0].shape
    return { executable: device.load(program), args: [device.array('f32', shape), device.array('f32', shape)] }
  }

  it('before the call', async () => {
    const { executable, args } = setUp()
    const reason = new Error('enough')
    const run = executable.repeat(long, args, { signal: AbortSignal.abort(reason) })
    await expect(run).rejects.toMatchObject({ name: 'AbortError', cause: reason, completed: 0 })
  })

  it('while it runs, between two steps', async () => {
    const { executable, args } = setUp()
    const run = executable.repeat(long, args, { signal: AbortSignal.timeout(60) })
    const error = await run.catch((e) => e)
    expect(error.name).toBe('AbortError')
    expect(error.cause.name).toBe('TimeoutError')
    expect(error.completed).toBeGreaterThanOrEqual(0)
    expect(error.completed).toBeLessThan(long)
    await expect(executable.run(args)).resolves.toBeUndefined()
  })

  it('while it waits in the queue', async () => {
    const { executable, args } = setUp()
    const [first, second] = [new AbortController(), new AbortController()]
    const runs = [executable.repeat(long, args, { signal: first.signal }), executable.repeat(long, args, { signal: second.signal })]
    second.abort()
    first.abort()
    for (const run of runs) await expect(run).rejects.toMatchObject({ name: 'AbortError' })
    await expect(runs[1]).rejects.toMatchObject({ completed: 0 })
  })

  it('after the end changes nothing', async () => {
    const { executable, args } = setUp()
    const controller = new AbortController()
    await executable.run(args, { signal: controller.signal })
    controller.abort()
    await executable.run(args)
  })
})

it('names what cannot be opened', async () => {
  await expect(Device.open({ threads: 0 })).rejects.toEqual(code('invalid_option'))
  await expect(Device.open({ isa: 'sse9' })).rejects.toThrow(/isa: expected one of .*portable.* but received 'sse9'/)
})
