/** @file What a command's device options come to, and what device a record is continued on. */
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { openSameDevice } from '../../../src/cli/same-device.js'
import { AludelError } from '../../../src/errors.js'
import { readRunRecord } from '../../../src/experiment/run-dir.js'
import { freshDir } from '../data/fixtures.js'
import { fakeLibrary, run } from './fake-library.js'

const gpu = ['--device', 'cuda', '--gpu', '1', '--precision', 'bf16', '--memory', '8G']
const asked = { device: 'cuda', index: 1, precision: 'bf16', memory: 2 ** 33 }

describe('device options', () => {
  async function distilled(library: ReturnType<typeof fakeLibrary>['library'], ...options: string[]): Promise<string> {
    const out = join(freshDir(), 'run')
    expect((await run(library, 'distill', '--data', 'tiny', '--out', out, ...options)).code).toBe(0)
    return out
  }

  it('of distill reach the device, and run.json says what it computes with', async () => {
    const { library, calls } = fakeLibrary()
    const out = await distilled(library, ...gpu)
    expect(calls.devices).toEqual([asked])
    expect((await readRunRecord(out)).host).toMatchObject({ isa: 'sm_90', precision: 'bf16' })
  })

  it('that are not given are left to the device', async () => {
    const { library, calls } = fakeLibrary()
    const out = await distilled(library)
    expect(calls.devices).toEqual([{}])
    expect((await readRunRecord(out)).host).not.toHaveProperty('precision')
  })

  it.each([
    ['evaluate', (out: string) => ['evaluate', out, '--no-baseline']],
    ['evaluate --model', () => ['evaluate', '--model', 'm.onnx', '--data', 'tiny']],
    ['export', (out: string) => ['export', out, '--format', 'onnx']],
    ['report', (out: string) => ['report', out]],
    ['quickstart', (out: string) => ['quickstart', '--out', join(out, 'quick')]],
  ])('of %s reach the device', async (_, command) => {
    const { library, calls } = fakeLibrary()
    const out = await distilled(library)
    const { code, stderr } = await run(library, ...command(out), ...gpu)
    expect([code, stderr.includes('error')]).toEqual([0, false])
    expect(calls.devices[1]).toEqual(asked)
  })

  it('of plan: its memory is the budget to plan within, not a limit to the counting', async () => {
    const { library, calls } = fakeLibrary()
    expect((await run(library, 'plan', '--data', 'tiny', ...gpu)).code).toBe(0)
    const { memory, ...rest } = asked
    expect(calls.devices).toEqual([rest])
    expect(calls.plan[0]).toMatchObject({ memory })
  })

  it.each([
    [['--precision', 'fp8'], /Allowed choices are f32, tf32, bf16, tf32x3/],
    [['--gpu', '-1'], /expected a whole number >= 0/],
    [['--memory', '8Q'], /expected a size such as 8G/],
  ])('%j is refused before anything starts', async (options, message) => {
    const { library, calls } = fakeLibrary()
    const { code, stderr } = await run(library, 'distill', '--data', 'tiny', ...options)
    expect([code, calls.opened]).toEqual([2, []])
    expect(stderr).toMatch(message)
  })

  it.each(['distill', 'score', 'sweep'])('a precision beside %s --resume is refused: it is part of the result', async (command) => {
    const { library } = fakeLibrary()
    const { code, stderr } = await run(library, command, '--resume', join(freshDir(), 'none'), '--precision', 'f32')
    expect([code, stderr]).toEqual([2, expect.stringContaining('--precision: a')])
  })
})

describe('a record is continued', () => {
  it('on a GPU of its architecture with its precision, whichever GPU that is', async () => {
    const { library, calls } = fakeLibrary()
    await openSameDevice(library, { gpu: 1, memory: 1000 }, { isa: 'sm_90', precision: 'f32', threads: 4 }, 'run')
    await openSameDevice(library, { threads: 2 }, { isa: 'avx2' }, 'run')
    await openSameDevice(library, {}, {}, 'run')
    expect(calls.devices).toEqual([{ index: 1, memory: 1000, isa: 'sm_90', precision: 'f32' }, { threads: 2, isa: 'avx2' }, {}])
  })

  it.each([
    ['cpu', 'sm_90', "the run was begun on a GPU of architecture sm_90, which device 'cpu' has not"],
    ['cuda', 'avx512', "the run was begun with instruction set avx512, which device 'cuda' has not"],
  ] as const)('not on %s when it was begun with %s', async (device, isa, message) => {
    const { library, calls } = fakeLibrary()
    await expect(openSameDevice(library, { device }, { isa }, 'run')).rejects.toMatchObject({
      code: 'incompatible',
      message: expect.stringContaining(message),
    })
    expect(calls.devices).toEqual([])
  })

  it('nowhere when the architecture is not there', async () => {
    const { library } = fakeLibrary()
    const openDevice = async () => {
      throw new AludelError('unavailable', 'no NVIDIA driver')
    }
    await expect(openSameDevice({ ...library, openDevice }, {}, { isa: 'sm_80' }, 'scoring')).rejects.toMatchObject({
      code: 'incompatible',
      message: 'the scoring was begun on a GPU of architecture sm_80: no NVIDIA driver; continue it on a machine that has it',
    })
  })
})
