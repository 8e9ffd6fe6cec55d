/** @file `aludel distill --resume` on a real device: what it continues, what it refuses, and what it leaves alone. */
import { appendFileSync, cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { writeStripes } from '../../scripts/lib/stress.mjs'
import { library } from '../../src/cli/library.js'
import { createRunDir, readEvents, readRunRecord, reopenRunDir } from '../../src/experiment/run-dir.js'
import { encodeSealed } from '../../src/experiment/sealed-json.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'
import { stopAtCheckpoint } from './stop-on-way.js'

const artifact = ['data.safetensors', 'manifest.json', 'preview.png']
const bytes = (dir: string) => artifact.map((name) => readFileSync(join(dir, name)).toString('hex'))

let data: string
/** A run of 12 steps that nobody touched, and one that was stopped on the way. */
let whole: string
let stopped: string

const newRun = (): string => join(freshDir(), 'run')
const settings = ['--method', 'dm', '--real-batch', '2', '--network', 'mlp', '--seed', '5']
const distillTo = (out: string, ...options: string[]) =>
  run(library, 'distill', '--json', '--data', data, '--out', out, ...settings, ...options)
const resume = (dir: string, ...options: string[]) => run(library, 'distill', '--json', '--resume', dir, ...options)
/** A run of its own to damage or continue: what is done to it leaves the others as they are. */
function copyOf(dir: string): string {
  const copy = newRun()
  cpSync(dir, copy, { recursive: true })
  return copy
}
const edit = async (dir: string, change: object) =>
  writeFileSync(join(dir, 'run.json'), encodeSealed({ ...(await readRunRecord(dir)), ...change }))

const stopOnWay = (out: string, ...options: string[]): Promise<void> =>
  stopAtCheckpoint(out, () => distillTo(out, '--iterations', '4000', '--checkpoint-every', '1', ...options))

beforeAll(async () => {
  data = writeStripes(freshDir())
  whole = newRun()
  stopped = newRun()
  expect((await distillTo(whole, '--iterations', '12', '--checkpoint-every', '5')).code).toBe(0)
  await stopOnWay(stopped)
})

describe('--resume', () => {
  it('continues a run that a signal stopped, to the bytes and steps of one that nobody touched', async () => {
    const dir = copyOf(stopped)
    const record = await readRunRecord(dir)
    expect(record).toMatchObject({ status: 'stopped', artifact: { manifestSha256: expect.any(String) } })
    const { step } = (await readEvents(dir)).findLast((event) => event.type === 'step')!
    const iterations = step + 9
    const { code, stdout } = await resume(dir, '--iterations', `${iterations}`, '--threads', '3')
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, status: 'done', steps: iterations })
    const other = newRun()
    await distillTo(other, '--iterations', `${iterations}`)
    expect(bytes(dir)).toEqual(bytes(other))
    const steps = (await readEvents(dir)).flatMap((event) => (event.type === 'step' ? [event.step] : []))
    expect(steps).toEqual(Array.from({ length: iterations }, (_, i) => i + 1))
    expect(await readRunRecord(dir)).toMatchObject({ status: 'done', started: record.started, resumes: [{ host: { threads: 3 } }] })
    expect(readdirSync(dir).filter((name) => name.startsWith('run.lock') || name.startsWith('.'))).toEqual([])
  })

  it('says of a complete run that it is, and changes nothing', async () => {
    const dir = copyOf(whole)
    const before = readFileSync(join(dir, 'run.json'), 'utf8')
    const { code, stdout } = await resume(dir)
    expect([code, JSON.parse(stdout)]).toEqual([0, { run: dir, status: 'done', steps: 12, iterations: 12, resumed: false }])
    expect(readFileSync(join(dir, 'run.json'), 'utf8')).toBe(before)
    expect((await run(library, 'distill', '--resume', dir)).stdout).toMatch(/is complete, all 12 steps are done/)
  })

  it('makes the images of a complete run again when they are damaged or gone', async () => {
    for (const damage of [
      (dir: string) => rmSync(join(dir, 'data.safetensors')),
      (dir: string) => appendFileSync(join(dir, 'manifest.json'), ' '),
      (dir: string) => writeFileSync(join(dir, 'preview.png'), 'no picture'),
      (dir: string) => {
        for (const name of artifact) cpSync(join(stopped, name), join(dir, name))
      },
    ]) {
      const dir = copyOf(whole)
      damage(dir)
      const { code, stderr } = await resume(dir)
      expect([code, stderr]).toEqual([0, expect.stringContaining("The set is made again from the run's state")])
      expect(bytes(dir)).toEqual(bytes(whole))
    }
  })

  it('extends a complete run, to the bytes of one that was that long from the start', async () => {
    const dir = copyOf(whole)
    await edit(dir, { evaluations: [{ label: 'distilled', epochs: 1, results: [] }] })
    expect((await resume(dir, '--iterations', '20')).code).toBe(0)
    const long = newRun()
    await distillTo(long, '--iterations', '20')
    expect(bytes(dir)).toEqual(bytes(long))
    const record = await readRunRecord(dir)
    expect([record.config.iterations, record.settings?.iterations, record.evaluations]).toEqual([20, 20, []])
    // and from then on that is its length
    expect(JSON.parse((await resume(dir)).stdout)).toMatchObject({ steps: 20, resumed: false })
  })

  it('begins again where no checkpoint was saved', async () => {
    const dir = copyOf(whole)
    rmSync(join(dir, 'checkpoints'), { recursive: true })
    await edit(dir, { status: 'running', artifact: null })
    expect((await resume(dir)).code).toBe(0)
    expect(bytes(dir)).toEqual(bytes(whole))
    expect((await readEvents(dir)).map(({ type }) => type)).toEqual(['start', ...new Array(12).fill('step'), 'done'])
  })

  it('takes data from where it is now, and the instruction set from the run', async () => {
    const dir = copyOf(stopped)
    await edit(dir, {
      host: { ...(await readRunRecord(dir)).host, isa: 'portable' },
      data: { ...(await readRunRecord(dir)).data, specification: 'mnist:gone' },
    })
    expect(JSON.parse((await resume(dir)).stdout).error.code).toBe('not_found')
    const { stdout } = await resume(dir, '--data', data)
    // the checkpoint is of the instruction set that was in use
    expect(JSON.parse(stdout).error).toMatchObject({
      code: 'incompatible',
      message: expect.stringMatching(/instruction set of 'step'.*'portable'/),
    })
  })

  /** The same files with one label changed. */
  function otherData(): string {
    const dir = freshDir()
    const specification = writeStripes(dir)
    const labels = join(dir, 'train-labels-idx1-ubyte')
    const changed = new Uint8Array(readFileSync(labels))
    changed[8] = 7
    writeFileSync(labels, changed)
    return specification
  }

  it.each<[string, (dir: string) => unknown, readonly string[] | (() => string[]), string, RegExp]>([
    ['other data', () => {}, () => ['--data', otherData()], 'incompatible', /sha256: expected \w{64}, that of the run, but received/],
    ['fewer steps than it has done', () => {}, ['--iterations', '1'], 'invalid_option', /iterations: expected at least/],
    [
      'another seed in its record',
      (dir) => edit(dir, { settings: { method: 'dm', ipc: 1, realBatch: 2, network: 'mlp', seed: 6, iterations: 4000 } }),
      [],
      'incompatible',
      /seed is 5 there but 6 here/,
    ],
    [
      'a record of a later version',
      (dir) => edit(dir, { version: 2 }),
      [],
      'invalid_data',
      /expected a run record \(format 'aludel-run', version 1\)/,
    ],
    ['a record without settings', (dir) => edit(dir, { settings: undefined }), [], 'incompatible', /no settings to continue with/],
    [
      'an instruction set that is not here',
      (dir) => edit(dir, { host: { isa: 'sse9' } }),
      [],
      'incompatible',
      /begun with instruction set sse9/,
    ],
    [
      'a changed record',
      (dir) => writeFileSync(join(dir, 'run.json'), readFileSync(join(dir, 'run.json'), 'utf8').replace('"seed": 5', '"seed": 6')),
      [],
      'invalid_data',
      /run\.json: expected sha256/,
    ],
    [
      'no checkpoint that can be read',
      (dir) => {
        for (const name of readdirSync(join(dir, 'checkpoints'))) writeFileSync(join(dir, 'checkpoints', name), 'x')
      },
      [],
      'invalid_data',
      /no checkpoint can be read; remove .*checkpoints to start again/,
    ],
  ])('refuses %s, and leaves the run as it was', async (_, change, options, code, message) => {
    const dir = copyOf(stopped)
    await change(dir)
    const files = () => ['run.json', 'events.jsonl', ...artifact].map((name) => readFileSync(join(dir, name), 'latin1'))
    const before = files()
    const { stdout } = await resume(dir, ...(typeof options === 'function' ? options() : options))
    expect(JSON.parse(stdout).error).toEqual({ code, message: expect.stringMatching(message) })
    expect(files()).toEqual(before)
    expect(readdirSync(dir).filter((name) => name.startsWith('run.lock'))).toEqual([])
  })

  it('refuses a run that is at work elsewhere, and so do evaluate and a new run', async () => {
    const dir = copyOf(stopped)
    const held = await reopenRunDir(dir)
    try {
      for (const line of [
        ['distill', '--resume', dir],
        ['evaluate', dir],
      ]) {
        const { code, stdout } = await run(library, ...line, '--json')
        const error = { code: 'locked', message: expect.stringMatching(new RegExp(`process ${process.pid} on .* works in this run`)) }
        expect([code, JSON.parse(stdout)]).toEqual([1, { error }])
      }
      await expect(createRunDir(dir, held.record, { overwrite: true })).rejects.toMatchObject({ code: 'locked' })
    } finally {
      await held.close()
    }
  })

  it('continues from the checkpoint before a damaged one, and says so', async () => {
    const dir = copyOf(whole)
    await edit(dir, { status: 'running', artifact: null })
    const newest = join(dir, 'checkpoints', readdirSync(join(dir, 'checkpoints')).sort().at(-1)!)
    writeFileSync(newest, new Uint8Array(readFileSync(newest)).subarray(0, 4096))
    const { code, stderr } = await resume(dir)
    expect([code, stderr]).toEqual([
      0,
      expect.stringMatching(/is cut short or damaged\. The run continues from the checkpoint before, at step 10/),
    ])
    expect(bytes(dir)).toEqual(bytes(whole))
    expect((await readEvents(dir)).find(({ type }) => type === 'notice')).toBeDefined()
  })

  it('goes on as another version with a warning', async () => {
    const dir = copyOf(whole)
    await edit(dir, { versions: { aludel: '0.0.1' } })
    const { code, stderr } = await resume(dir, '--iterations', '14')
    expect([code, stderr]).toEqual([0, expect.stringMatching(/begun with aludel 0\.0\.1 and goes on with/)])
  })
})

it('a run that diverges can be taken up with rollback', async () => {
  const out = newRun()
  const diverging = ['--iterations', '300', '--checkpoint-every', '20', '--image-lr', '20', '--augment', 'none', '--ipc', '2']
  const { code, stdout } = await distillTo(out, ...diverging)
  expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, error: { code: 'not_finite' } })
  const steps = (await readEvents(out)).filter(({ type }) => type === 'step').length
  expect(await readRunRecord(out)).toMatchObject({ status: 'failed', error: expect.stringContaining(`the loss of step ${steps + 1} is `) })
  const again = await resume(out, '--on-divergence', 'rollback')
  expect(again.code).toBe(0)
  expect(again.stderr).toMatch(/going back to step \d+ with image learning rate 10/)
  expect(await readRunRecord(out)).toMatchObject({ status: 'done', error: null })
})
