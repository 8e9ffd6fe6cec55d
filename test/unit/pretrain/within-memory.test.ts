/** @file Pretraining refuses what has no room, before its first step, and frees it. */
import { expect, it, vi } from 'vitest'
import type { Device } from '../../../src/engine/runtime/device.js'
import { AludelError } from '../../../src/errors.js'
import { withinMemory } from '../../../src/pretrain/within-memory.js'

function deviceOf(free: number) {
  const held = { arrayBytes: 50, constantBytes: 0, workspaceBytes: 0 }
  const device = { freeBytes: free, memory: () => ({ ...held }) } as unknown as Device
  const make = () => {
    held.arrayBytes += 100
    held.workspaceBytes += 20
    return { dispose }
  }
  const dispose = vi.fn()
  return { device, make, dispose }
}

it('gives what fits to the byte', () => {
  const { device, make, dispose } = deviceOf(120)
  expect(withinMemory(device, make)).toEqual({ dispose })
  expect(dispose).not.toHaveBeenCalled()
})

it('refuses and frees what needs a byte more', () => {
  const { device, make, dispose } = deviceOf(119)
  expect(() => withinMemory(device, make)).toThrow(
    expect.objectContaining({
      code: 'out_of_memory',
      message: expect.stringMatching(/^pretrain: needs 120 bytes but 119 are free; lower/),
    }),
  )
  expect(dispose).toHaveBeenCalledTimes(1)
})

it('says what helps where the device refuses, and leaves other errors alone', () => {
  const { device } = deviceOf(0)
  const fail = (code: 'out_of_memory' | 'internal') => () => {
    throw new AludelError(code, 'array: no')
  }
  expect(() => withinMemory(device, fail('out_of_memory'))).toThrow('pretrain: array: no; lower the batch')
  expect(() => withinMemory(device, fail('internal'))).toThrow(/^array: no$/)
})
