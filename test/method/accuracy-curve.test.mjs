/** @file A run that is measured, continued and measured again keeps both accuracies, and its report draws them over steps. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, expect, it } from 'vitest'

const main = fileURLToPath(new URL('../../dist/cli/main.js', import.meta.url))
const root = mkdtempSync(join(tmpdir(), 'aludel-curve-'))
afterAll(() => rmSync(root, { recursive: true }))
const run = join(root, 'run')

function aludel(...args) {
  const { status, stderr } = spawnSync(process.execPath, [main, ...args], { encoding: 'utf8' })
  expect([status, status === 0 ? '' : stderr]).toEqual([0, ''])
}

it('shows how accuracy came along', () => {
  const evaluate = (...more) =>
    aludel('evaluate', run, '--networks', 'mlp', '--repeats', '1', '--epochs', '2', '--inference', 'engine', ...more)
  const data = ['--data', 'fashion-mnist', '--iterations']
  aludel('distill', ...data, '2', '--method', 'dm', '--real-batch', '2', '--network', 'mlp', '--out', run)
  evaluate('--baseline', 'random')
  aludel('distill', '--resume', run, ...data, '4')
  evaluate('--no-baseline')
  const record = JSON.parse(readFileSync(join(run, 'run.json'), 'utf8'))
  expect(record.earlier).toMatchObject([{ label: 'distilled', steps: 2 }])
  expect(record.evaluations).toMatchObject([{ label: 'distilled', steps: 4 }])
  const accuracies = [record.earlier, record.evaluations].map(([{ results }]) => results[0].mean.toFixed(1))
  aludel('report', run)
  expect(readFileSync(join(run, 'report.html'), 'utf8')).toContain(`after 2, 4 steps: mlp ${accuracies.join(', ')}.`)
})
