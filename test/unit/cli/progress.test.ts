/** @file Progress lines on terminals and in logs. */
import { describe, expect, it } from 'vitest'
import { formatClock, Progress } from '../../../src/cli/progress.js'

function recorder(isTTY: boolean, columns = 100) {
  const written: string[] = []
  let seconds = 0
  const stream = { isTTY, columns, write: (text: string) => written.push(text) }
  const progress = new Progress({ label: 'distill', total: 100, stream, now: () => seconds })
  const at = (time: number, done: number, details: string[] = []) => {
    seconds = time
    progress.update(done, details)
  }
  return { written, progress, at }
}

describe('Progress', () => {
  it('redraws one line on a terminal, at most ten times a second, and always the last state', () => {
    const { written, progress, at } = recorder(true)
    at(1, 1)
    at(1.05, 2)
    at(2, 50, ['loss 1.5'])
    at(2.01, 100)
    progress.finish()
    progress.finish()
    expect(written).toHaveLength(4)
    expect(written[1]).toBe('\rdistill [############............] 50/100  loss 1.5  0:02 left\x1b[K')
    expect(written[2]).toContain('100/100  0:02 in all')
    expect(written[3]).toBe('\n')
  })

  it('never wraps', () => {
    const { written, at } = recorder(true, 30)
    at(1, 10, ['a rather long text that does not fit'])
    expect(written[0].replace('\r', '').replace('\x1b[K', '')).toHaveLength(29)
  })

  it('writes few plain lines elsewhere', () => {
    const { written, progress, at } = recorder(false)
    for (let i = 1; i <= 100; i++) at(i, i)
    progress.finish()
    expect(written.length).toBeLessThan(13)
    expect(written.every((line) => line.endsWith('\n') && !line.includes('\x1b'))).toBe(true)
    expect(written.at(-1)).toBe('distill 100/100  1:40 in all\n')
  })

  it('writes a line a minute when a tenth of the work takes longer', () => {
    const { written, at } = recorder(false)
    for (let i = 1; i <= 5; i++) at(i * 61, i)
    expect(written).toHaveLength(5)
  })
})

it('formats clocks', () => {
  expect([0, 59.6, 61, 3723, -1].map(formatClock)).toEqual(['0:00', '1:00', '1:01', '1:02:03', '0:00'])
})
