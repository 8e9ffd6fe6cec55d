/** @file Every bench runs one step and prints the line that comparisons read: a bench that has fallen behind the library is found here. */
import { spawnSync } from 'node:child_process'
import { readdirSync } from 'node:fs'
import { fileURLToPath } from 'node:url'
import { describe, expect, it } from 'vitest'

const bench = fileURLToPath(new URL('../../bench/', import.meta.url))
const run = (...args) => spawnSync(process.execPath, [`${bench}run.mjs`, ...args], { encoding: 'utf8' })

/** Names as the usage line has them. */
const names = /bench -- (\S+) /.exec(run('--help').stdout)[1].split('|')

describe('bench', () => {
  it.each(names)('%s', (name) => {
    const { status, stdout, stderr } = run(name, '--iters', '1', '--warmup', '0', '--json')
    expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
    const result = JSON.parse(stdout)
    expect(result).toMatchObject({ name, iters: 1 })
    expect(result.median_s).toBeGreaterThan(0)
    expect(Number.isFinite(result.value)).toBe(true)
  })

  it('has a step for each name, and a name for each step', () => {
    const shared = ['arrays', 'direct', 'gradient', 'matching', 'network', 'pruned-runs']
    const steps = readdirSync(`${bench}steps`).map((file) => file.replace('.mjs', ''))
    expect(names.filter((name) => !steps.includes(name))).toEqual([])
    expect(steps.filter((name) => !names.includes(name) && !shared.includes(name))).toEqual([])
  })
})
