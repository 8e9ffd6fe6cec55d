/** @file One process at a time in a run directory: living owners are respected, those that are gone are not. */
import { spawn } from 'node:child_process'
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { lockRun, runOwner } from '../../../src/experiment/run-lock.js'
import { expectError, freshDir } from '../data/fixtures.js'

const locks = (dir: string) => readdirSync(dir).filter((name) => name.startsWith('run.lock'))
const startOf = (pid: number | 'self') => {
  const stat = readFileSync(`/proc/${pid}/stat`, 'latin1')
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19]
}
/** A lock file like this process's own, but for what `change` says. */
async function plant(
  dir: string,
  change: { pid?: number; startTicks?: string; boot?: string; namespace?: string; host?: string },
): Promise<void> {
  const scratch = freshDir()
  const lock = await lockRun(scratch)
  const [, , pid, startTicks, boot, namespace, ...host] = locks(scratch)[0].split('.')
  await lock.release()
  const fields = { pid, startTicks, boot, namespace, host: host.join('.'), ...change }
  writeFileSync(join(dir, `run.lock.${fields.pid}.${fields.startTicks}.${fields.boot}.${fields.namespace}.${fields.host}`), '')
}

describe('lockRun', () => {
  it('gives the directory to one, and to the next after release', async () => {
    const dir = freshDir()
    const lock = await lockRun(dir)
    expect(await runOwner(dir)).toMatchObject({ pid: process.pid, host: hostname() })
    await expectError(() => lockRun(dir), 'locked', new RegExp(`process ${process.pid} on ${hostname()} works in this run`))
    await lock.release()
    expect(locks(dir)).toEqual([])
    const next = await lockRun(dir)
    await lock.release()
    expect(await runOwner(dir)).toBeDefined()
    await next.release()
  })

  it('never gives it to two of many that ask at once', async () => {
    const dir = freshDir()
    // other processes, as one process has but one name
    const source = `import(process.argv[1]).then(async ({ lockRun }) => {
      try { await lockRun(process.argv[2]); process.stdout.write('got'); await new Promise((r) => process.stdin.on('data', r)); process.exit(0) }
      catch (error) { process.stdout.write(error.code); process.exit(0) }
    })`
    const module = new URL('../../../dist/experiment/run-lock.js', import.meta.url).href
    const children = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['-e', source, module, dir], { stdio: ['pipe', 'pipe', 'inherit'] }),
    )
    const closed = children.map((child) => new Promise((resolve) => child.once('close', resolve)))
    for (const child of children) child.stdin.on('error', () => {})
    const answers = await Promise.all(
      children.map((child) => new Promise<string>((resolve) => child.stdout.once('data', (text) => resolve(String(text))))),
    )
    expect(answers.filter((answer) => answer === 'got').length).toBeLessThanOrEqual(1)
    expect(answers.every((answer) => answer === 'got' || answer === 'locked')).toBe(true)
    for (const child of children) child.stdin.end('end')
    await Promise.all(closed)
    await (await lockRun(dir)).release()
  })

  it.each([
    ['a process that is gone', { pid: 2 ** 22 + 1 }],
    ['a pid that was given to another process', { pid: process.ppid, startTicks: `${Number(startOf('self')) + 1}` }],
    ['an earlier boot', { pid: process.ppid, startTicks: startOf(process.ppid), boot: '0123456789abcdef' }],
  ])('takes over from %s', async (_, change) => {
    const dir = freshDir()
    await plant(dir, change)
    expect(await runOwner(dir)).toBeUndefined()
    const lock = await lockRun(dir)
    expect(locks(dir)).toHaveLength(1)
    await lock.release()
  })

  it.each([
    ['another living process', { pid: process.ppid, startTicks: startOf(process.ppid) }, /wait for it or end it/],
    [
      'another host, of which nothing is known',
      { pid: 2 ** 22 + 1, host: 'elsewhere.example' },
      /on elsewhere\.example .*remove .*run\.lock/,
    ],
    ['another container', { pid: 2 ** 22 + 1, namespace: '1' }, /works in this run/],
  ])('respects %s', async (_, change, text) => {
    const dir = freshDir()
    await plant(dir, change)
    await expectError(() => lockRun(dir), 'locked', text)
    expect(locks(dir)).toHaveLength(1)
  })

  it('takes over from a process that was killed but not waited for', async () => {
    const dir = freshDir()
    // the shell's child is killed and stays a zombie while the shell, which never waits, lives
    const shell = spawn('sh', ['-c', 'sleep 100 & echo $!; kill -9 $!; exec sleep 100'], { stdio: ['ignore', 'pipe', 'inherit'] })
    const pid = Number(await new Promise((resolve) => shell.stdout.once('data', (text) => resolve(String(text)))))
    try {
      const state = () => readFileSync(`/proc/${pid}/stat`, 'latin1').split(') ')[1][0]
      while (state() !== 'Z') await new Promise((next) => setTimeout(next, 5))
      await plant(dir, { pid, startTicks: startOf(pid) })
      await (await lockRun(dir)).release()
    } finally {
      shell.kill('SIGKILL')
    }
  })
})
