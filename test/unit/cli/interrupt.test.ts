/** @file Signals: the first in order, the second at once, none after the handlers are gone. */
import { afterEach, describe, expect, it, vi } from 'vitest'
import { listenForInterrupt } from '../../../src/cli/interrupt.js'

afterEach(() => {
  vi.restoreAllMocks()
})

describe('listenForInterrupt', () => {
  it('calls back once, then leaves with 130', () => {
    const exit = vi.spyOn(process, 'exit').mockImplementation((() => undefined) as unknown as typeof process.exit)
    const first = vi.fn()
    const interrupt = listenForInterrupt(first)
    expect(interrupt.requested).toBe(false)
    process.emit('SIGINT')
    expect([interrupt.requested, first.mock.calls.length, exit.mock.calls.length]).toEqual([true, 1, 0])
    process.emit('SIGTERM')
    expect([first.mock.calls.length, exit.mock.calls]).toEqual([1, [[130]]])
    interrupt.remove()
  })

  it('takes its handlers away', () => {
    const before = process.listenerCount('SIGINT')
    const interrupt = listenForInterrupt(() => {})
    expect(process.listenerCount('SIGINT')).toBe(before + 1)
    interrupt.remove()
    expect(process.listenerCount('SIGINT')).toBe(before)
  })
})
