/** @file Processes: killed at random moments, two at once, signals, a full disk. The runs are those of `npm run stress`, only fewer. */
import { spawn, spawnSync } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { runStatus } from '../../dist/experiment/index.js'
import { methodNames } from '../../dist/index.js'
import { artifact, distill, killAndResume, randomFrom, writeStripes } from '../../scripts/lib/stress.mjs'

const freshDir = () => mkdtempSync(join(tmpdir(), 'aludel-test-'))
const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
let data
beforeAll(() => {
  data = writeStripes(freshDir())
})

const small = ['--real-batch', '2', '--network', 'mlp', '--threads', '1']
const recordOf = (dir) => JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8'))

/** Starts a long run and resolves once it has saved a checkpoint. */
async function startLongRun(dir, args = ['--data', data, '--out', dir, '--iterations', '1000000', '--checkpoint-every', '2', ...small]) {
  const child = spawn(process.execPath, [main, 'distill', ...args], { stdio: ['ignore', 'pipe', 'pipe'] })
  const said = { out: '', err: '' }
  child.stdout.on('data', (text) => {
    said.out += text
  })
  child.stderr.on('data', (text) => {
    said.err += text
  })
  const ended = new Promise((resolve) => child.on('close', (code, signal) => resolve({ code, signal })))
  const saved = () => existsSync(join(dir, 'checkpoints')) && readdirSync(join(dir, 'checkpoints')).length > 1
  while (!saved() && child.exitCode === null) await new Promise((next) => setTimeout(next, 5))
  return { child, ended, said }
}

describe.each(methodNames)('%s', (method) => {
  it('ends with the same bytes however often it is killed', async () => {
    const random = randomFrom(method.length)
    await killAndResume({
      method,
      data,
      dir: freshDir(),
      kills: 3,
      iterations: 20,
      random,
      options: ['--real-batch', '2', '--network', 'mlp'],
    })
  })
})

describe('signals', () => {
  it.each(['SIGINT', 'SIGTERM'])('%s saves state and images, and the run goes on from there', async (signal) => {
    const dir = join(freshDir(), 'run')
    const { child, ended } = await startLongRun(dir)
    child.kill(signal)
    expect(await ended).toEqual({ code: 130, signal: null })
    expect(recordOf(dir)).toMatchObject({ status: 'stopped', artifact: { manifestSha256: expect.any(String) } })
    for (const name of artifact) expect(existsSync(join(dir, name))).toBe(true)
    const { steps } = JSON.parse(readFileSync(join(dir, 'manifest.json'), 'utf8')).config
    const more = ['--iterations', `${steps + 3}`]
    expect(await distill(['--resume', dir, ...more])).toMatchObject({ code: 0 })
    const whole = join(freshDir(), 'run')
    expect(await distill(['--data', data, '--out', whole, ...small, ...more])).toMatchObject({ code: 0 })
    for (const name of artifact) expect(readFileSync(join(dir, name)).equals(readFileSync(join(whole, name))), name).toBe(true)
  })

  it('twice at once leaves at once, as an interrupted run that can be resumed', async () => {
    const dir = join(freshDir(), 'run')
    const { child, ended } = await startLongRun(dir)
    // both are there before the process looks: the second is not given the time to save
    child.kill('SIGSTOP')
    child.kill('SIGINT')
    child.kill('SIGTERM')
    child.kill('SIGCONT')
    expect(await ended).toEqual({ code: 130, signal: null })
    const record = recordOf(dir)
    if (record.status === 'running') expect(await runStatus(dir, record)).toBe('interrupted')
    expect(await distill(['--resume', dir, '--iterations', '1000000'], 3000)).toMatchObject({ code: null })
  })
})

it('two processes never work in one run', async () => {
  const dir = join(freshDir(), 'run')
  const { child, ended } = await startLongRun(dir)
  try {
    for (const args of [
      ['--resume', dir],
      ['--data', data, '--out', dir, ...small],
    ]) {
      const { code, said } = await distill([...args, '--json'])
      expect(code).not.toBe(0)
      expect(said).toMatch(args[0] === '--resume' ? `process ${child.pid} on` : 'already holds a run')
    }
  } finally {
    child.kill('SIGKILL')
    await ended
  }
  // the lock of a process that was killed is nobody's
  expect(await runStatus(dir, recordOf(dir))).toBe('interrupted')
  const runs = await Promise.all([1, 2].map(() => startLongRun(dir, ['--resume', dir])))
  const first = await Promise.race(runs.map(({ ended: end, said }) => end.then(({ code }) => ({ code, said: said.err }))))
  expect(first).toEqual({ code: 1, said: expect.stringMatching(/process \d+ on .* works in this run/) })
  for (const { child: one } of runs) one.kill('SIGKILL')
  await Promise.all(runs.map(({ ended: end }) => end))
})

/** A file system of 2 MB, where this machine lets one be mounted. */
function smallDisk() {
  const dir = join(freshDir(), 'disk')
  mkdirSync(dir)
  const { status, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir])
  return status === 0 && !error ? { dir, unmount: () => spawnSync('umount', ['-l', dir]) } : undefined
}

it('a full disk ends the run with the bytes needed; with room again it goes on', async (context) => {
  const disk = smallDisk()
  if (!disk) return context.skip('a file system of 2 MB cannot be mounted here')
  try {
    const settings = ['--data', data, '--iterations', '8', '--checkpoint-every', '2', '--init', 'noise', '--ipc', '100', ...small]
    // images and velocity of a thousand images are 1.1 MB, and two generations are kept
    const dir = join(disk.dir, 'run')
    const { code, said } = await distill([...settings, '--out', dir])
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/checkpoint-000002\.safetensors: could not be written, it needs 115\d{4} bytes: no space left/),
    ])
    expect(recordOf(dir).status).toMatch(/failed|running/)
    expect(readdirSync(join(dir, 'checkpoints'))).toEqual(['checkpoint-000001.safetensors'])
    expect(spawnSync('mount', ['-o', 'remount,size=20m', disk.dir]).status).toBe(0)
    expect(await distill(['--resume', dir])).toMatchObject({ code: 0 })
    const whole = join(freshDir(), 'run')
    await distill([...settings, '--out', whole])
    for (const name of artifact) expect(readFileSync(join(dir, name)).equals(readFileSync(join(whole, name))), name).toBe(true)
  } finally {
    disk.unmount()
  }
})
