/** @file Rows of a pixel file: what is read, in any order, and what is refused. */
import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { monitorEventLoopDelay } from 'node:perf_hooks'
import { expect, it } from 'vitest'
import { chosenRows, fileRows } from '../../src/data/pixel-rows.js'
import { binding } from '../../src/engine/runtime/binding.js'
import { expectError, freshDir } from '../unit/data/fixtures.js'

const rowBytes = 7
const content = Uint8Array.from({ length: 20 * rowBytes }, (_, i) => (i * 11) & 255)
const rowsOf = (list: readonly number[]) => list.flatMap((row) => [...content.subarray(row * rowBytes, (row + 1) * rowBytes)])

function file(): string {
  const path = join(freshDir(), 'rows.u8')
  writeFileSync(path, content)
  return path
}

it('gives rows in the order that they are asked for, twice where asked twice', async () => {
  const pixels = fileRows(file(), rowBytes, 20)
  expect(pixels.bytes).toBe(140)
  const list = [19, 0, 3, 3, 7, 0, 1, 2]
  expect([...(await pixels.read(Int32Array.from(list)))]).toEqual(rowsOf(list))
  expect(await pixels.read(new Int32Array(0))).toHaveLength(0)
  const chosen = chosenRows(pixels, rowBytes, Int32Array.from([5, 2, 9]))
  expect(chosen.bytes).toBe(21)
  expect([...(await chosen.read(Int32Array.from([2, 0])))]).toEqual(rowsOf([9, 5]))
})

it('refuses rows that are not there and files that are others', async () => {
  const path = file()
  const read = (rows: number[], size = 20) => fileRows(path, rowBytes, size).read(Int32Array.from(rows))
  await expectError(() => read([20]), 'invalid_index', /row 20 of a file with 20 rows/)
  await expectError(() => read([-1]), 'invalid_index', /row -1/)
  await expectError(() => read([0], 21), 'invalid_data', /expected a file of 147 bytes but it has 140/)
  await expectError(() => fileRows(`${path}.gone`, rowBytes, 20).read(Int32Array.of(0)), 'io', /No such file/)
  const native = binding().readRows as unknown as (options: unknown) => unknown
  for (const bad of [
    undefined,
    {},
    { path, rowBytes: 0, rowsInFile: 1, rows: Int32Array.of(0) },
    { path, rowBytes: 7, rowsInFile: 20, rows: [0] },
  ])
    expect(() => native(bad)).toThrow()
  expect(() => native({ path, rowBytes: 2 ** 40, rowsInFile: 1, rows: new Int32Array(2) })).toThrow(/rows/)
})

it('does not hold the event loop', async () => {
  const path = join(freshDir(), 'large.u8')
  writeFileSync(path, new Uint8Array(1 << 25))
  const pixels = fileRows(path, 64, 1 << 19)
  const delay = monitorEventLoopDelay({ resolution: 1 })
  const order = Int32Array.from({ length: 1 << 17 }, (_, i) => (i * 7919) % (1 << 19))
  await pixels.read(order.subarray(0, 64))
  delay.enable()
  await pixels.read(order)
  delay.disable()
  expect(delay.max / 1e6).toBeLessThan(100)
})
