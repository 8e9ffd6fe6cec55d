/** @file Processes: killed at random moments, two at once, signals. The runs are those of `npm run stress`, only fewer. */
import { spawn } from 'node:child_process'
import { existsSync, mkdtempSync, readdirSync, readFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { methodByName } from '../../dist/distill/index.js'
import { runStatus } from '../../dist/experiment/index.js'
import { methodNames } from '../../dist/index.js'
import { writeLinearTeacher } from '../../scripts/lib/linear-teacher.mjs'
import {
  artifact,
  distill,
  killAndResume,
  killAndResumeExperts,
  killAndResumePretraining,
  killAndResumeScoring,
  randomFrom,
  writeStripes,
} from '../../scripts/lib/stress.mjs'
import { writeWalkingExperts } from '../../scripts/lib/walking-experts.mjs'

const freshDir = () => mkdtempSync(join(tmpdir(), 'aludel-test-'))
const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
let data
let experts
beforeAll(async () => {
  data = writeStripes(freshDir())
  experts = await writeWalkingExperts(join(freshDir(), 'experts'), { data, network: 'mlp' })
})

/** Small steps of a method, whatever it matches. */
function optionsOf(method) {
  // a kernel of an infinite network has none
  if (method === 'kip') return ['--real-batch', '6', '--set', 'labels=learned']
  if ('regression' in methodByName(method)) return ['--real-batch', '6', '--network', 'mlp']
  if (!('trajectory' in methodByName(method))) return ['--real-batch', '2', '--network', 'mlp']
  const set = ['innerSteps=3', 'maxStartEpoch=4', 'synBatch=4', 'threshold=none']
  // experts that know nothing predict nothing right
  return ['--experts', experts, '--network', 'mlp', '--init', 'real', '--image-lr', '1', ...set.flatMap((option) => ['--set', option])]
}

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
      options: optionsOf(method),
    })
  })
})

// the pool is trained before the first step, which is where the first kills are
it('a run of krr-st ends with the same bytes however often it is killed', async () => {
  const teacher = await writeLinearTeacher(join(freshDir(), 'teacher.onnx'), { image: [12, 12, 1], dim: 5 })
  const of = ['--n', '6', '--teacher', teacher, '--mean', '0', '--std', '1', '--real-batch', '8', '--network', 'mlp']
  const pool = ['poolModels=3', 'poolSteps=6', 'innerLr=0.01'].flatMap((option) => ['--set', option])
  const options = [...of, ...pool, '--image-lr', '0.01']
  await killAndResume({ method: 'krr-st', data, dir: freshDir(), kills: 4, iterations: 20, random: randomFrom(31), options })
})

it.each([
  ['at random', 'random:keep=0.5'],
  ['by scores of its own', 'loss:keep=0.5,network=mlp,runs=2,epochs=40'],
])('a run that chooses its images first, %s, ends with the same bytes however often it is killed', async (_, rule) => {
  const options = ['--real-batch', '2', '--network', 'mlp', '--prune', rule, '--zca']
  await killAndResume({ method: 'dm', data, dir: freshDir(), kills: 5, iterations: 20, random: randomFrom(11), options })
})

it('a scoring ends with the same bytes however often it is killed', async () => {
  await killAndResumeScoring({ data, dir: freshDir(), kills: 5, random: randomFrom(23) })
})

it.each([
  ['plain', []],
  ['by a curriculum', ['--schedule', 'pad:addEndEpoch=2,removeMiddle=5,removeEnd=8', '--scores', 'random']],
])('a training of experts, %s, ends with the same bytes however often it is killed', async (_, options) => {
  await killAndResumeExperts({ data, dir: freshDir(), kills: 5, random: randomFrom(29), options })
})

it('a pretraining ends with the same teacher however often it is killed', async () => {
  await killAndResumePretraining({ data, dir: freshDir(), kills: 5, random: randomFrom(31) })
})

it('a sweep ends with the same images and accuracies however often it is killed', async () => {
  const settings = [
    ...[
      '--data',
      data,
      '--ipc',
      '1',
      '--iterations',
      '40',
      '--checkpoint-every',
      '5',
      ...small,
      '--keep',
      '0.3,0.6,1',
      '--order',
      'random',
    ],
    ...['--repeats', '2', '--networks', 'mlp', '--trained', '1', '--epochs', '3', '--inference', 'engine'],
  ]
  const dir = freshDir()
  const [whole, killed] = [join(dir, 'whole'), join(dir, 'killed')]
  const sweep = (args, killAfterMs) =>
    new Promise((resolve) => {
      const child = spawn(process.execPath, [main, 'sweep', ...args], { stdio: 'ignore' })
      const timer = killAfterMs === undefined ? undefined : setTimeout(() => child.kill('SIGKILL'), killAfterMs)
      child.on('close', (code) => {
        clearTimeout(timer)
        resolve(code)
      })
    })
  const begin = performance.now()
  expect(await sweep([...settings, '--out', whole])).toBe(0)
  const life = performance.now() - begin
  const random = randomFrom(17)
  for (let kills = 0; ; ) {
    const args = existsSync(join(killed, 'sweep.json')) ? ['--resume', killed] : [...settings, '--out', killed]
    const code = await sweep(args, kills < 4 ? (0.2 + random()) * (life / 2) : undefined)
    if (code === 0) break
    expect(code).toBe(null)
    kills++
  }
  const cells = (out) => JSON.parse(readFileSync(join(out, 'sweep.json'), 'utf8')).cells.map(({ seconds: _, ...cell }) => cell)
  expect(cells(whole)).toHaveLength(6)
  expect(cells(killed)).toEqual(cells(whole))
  for (const { run } of cells(whole)) {
    for (const name of artifact) expect(readFileSync(join(killed, run, name)).equals(readFileSync(join(whole, run, name))), name).toBe(true)
  }
})

it.each(['dm', 'dsa'])('a run of %s under dynamic pruning ends with the same bytes however often it is killed', async (method) => {
  const loops = method === 'dsa' ? ['--set', 'outerLoop=2', '--set', 'innerLoop=2'] : []
  const options = ['--real-batch', '3', '--network', 'mlp', ...loops, '--dynamic', 'bilp:every=3,betaHigh=0.3,probes=2']
  await killAndResume({ method, data, dir: freshDir(), kills: 3, iterations: 20, random: randomFrom(13), options })
})

it('is called done when nothing but its report is left to write', async () => {
  const dir = join(freshDir(), 'run')
  const child = spawn(process.execPath, [main, 'distill', '--data', data, '--out', dir, '--iterations', '3', ...small], { stdio: 'ignore' })
  const ended = new Promise((resolve) => child.on('close', resolve))
  const isDone = () => existsSync(join(dir, 'run.json')) && recordOf(dir).status === 'done'
  while (!isDone() && child.exitCode === null) await new Promise((next) => setTimeout(next, 1))
  child.kill('SIGKILL')
  await ended
  expect(recordOf(dir).status).toBe('done')
  expect(existsSync(join(dir, 'real.safetensors'))).toBe(true)
})

describe('signals', () => {
  it.each(['SIGINT', 'SIGTERM', 'SIGHUP'])('%s saves state and images, and the run goes on from there', async (signal) => {
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
