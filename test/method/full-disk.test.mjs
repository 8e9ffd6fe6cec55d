/** @file A disk without room under every command that writes: the error says what and how much, nothing half is left, and with room it goes on. */
import { spawnSync } from 'node:child_process'
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeLinearTeacher } from '../../scripts/lib/linear-teacher.mjs'
import { artifact, distill, writeStripes } from '../../scripts/lib/stress.mjs'

const made = []
const freshDir = () => {
  made.push(mkdtempSync(join(tmpdir(), 'aludel-test-')))
  return made.at(-1)
}
const main = new URL('../../dist/cli/main.js', import.meta.url).pathname
const mebibyte = 2 ** 20
const settings = ['--method', 'dm', '--real-batch', '2', '--network', 'mlp', '--threads', '1']

/** A file system of 2 MB, where this machine lets one be mounted. */
function smallDisk() {
  const dir = join(freshDir(), 'disk')
  mkdirSync(dir)
  const { status, error } = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', dir])
  if (status !== 0 || error) return undefined
  return {
    dir,
    grow: () => expect(spawnSync('mount', ['-o', 'remount,size=40m', dir]).status).toBe(0),
    unmount: () => spawnSync('umount', ['-l', dir]),
  }
}

const probe = smallDisk()
probe?.unmount()

afterAll(() => {
  for (const dir of made) rmSync(dir, { recursive: true, force: true })
})

const filesBelow = (dir) =>
  readdirSync(dir, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map(({ name }) => name)
    .sort()

function run(args) {
  const { status, stderr, stdout } = spawnSync(process.execPath, [main, ...args, '--json'], { encoding: 'utf8' })
  return { status, stderr, result: JSON.parse(stdout) }
}

describe.skipIf(!probe)('a disk of 2 MB (where one can be mounted)', () => {
  let data
  let distilled
  let disk
  beforeAll(async () => {
    data = writeStripes(freshDir())
    distilled = join(freshDir(), 'run')
    const { code } = await distill(['--data', data, '--iterations', '1', '--init', 'noise', '--ipc', '40', ...settings, '--out', distilled])
    expect(code).toBe(0)
  })
  afterAll(() => disk?.unmount())

  /** An empty disk with room for `bytes`. */
  function diskWith(bytes) {
    disk?.unmount()
    disk = smallDisk()
    writeFileSync(join(disk.dir, 'others'), new Uint8Array(2 * mebibyte - bytes))
    return disk
  }

  it('ends a run with the bytes needed; with room again it goes on', async () => {
    const { dir: root, grow } = diskWith(2 * mebibyte)
    const large = ['--data', data, '--iterations', '8', '--checkpoint-every', '2', '--init', 'noise', '--ipc', '100', ...settings]
    // images and velocity of a thousand images are 1.1 MB, and two generations are kept
    const dir = join(root, 'run')
    const { code, said } = await distill([...large, '--out', dir])
    expect([code, said]).toEqual([
      1,
      expect.stringMatching(/checkpoint-000002\.safetensors: could not be written, it needs 115\d{4} bytes: no space left/),
    ])
    expect(JSON.parse(readFileSync(join(dir, 'run.json'), 'utf8')).status).toMatch(/failed|running/)
    expect(readdirSync(join(dir, 'checkpoints'))).toEqual(['checkpoint-000001.safetensors'])
    grow()
    expect(await distill(['--resume', dir])).toMatchObject({ code: 0 })
    const whole = join(freshDir(), 'run')
    await distill([...large, '--out', whole])
    for (const name of artifact) expect(readFileSync(join(dir, name)).equals(readFileSync(join(whole, name))), name).toBe(true)
  })

  it('ends a training of experts, whose finished ones stay; with room again it goes on', () => {
    const { dir: root, grow } = diskWith(2 * mebibyte)
    const training = ['--network', 'mlp', '--experts', '3', '--epochs', '6', '--together', '1', '--threads', '1']
    const args = ['experts', '--data', data, ...training]
    const dir = join(root, 'store')
    const { status, result } = run([...args, '--out', dir])
    expect([status, result.error]).toEqual([
      1,
      { code: 'io', message: expect.stringMatching(/could not be written, it needs \d{6,7} bytes: no space left/) },
    ])
    expect(run(['experts', '--verify', dir])).toMatchObject({ status: 0, result: { experts: [{ expert: 0, checkpoints: 7 }] } })
    grow()
    expect(run(['experts', '--resume', dir])).toMatchObject({ status: 0, result: { status: 'done' } })
    const whole = join(freshDir(), 'store')
    run([...args, '--out', whole])
    expect(filesBelow(dir)).toEqual(filesBelow(whole))
    for (const name of filesBelow(whole)) expect(readFileSync(join(dir, name)).equals(readFileSync(join(whole, name))), name).toBe(true)
  })

  it('ends a run of krr-st, which goes on with room', async () => {
    const teacher = await writeLinearTeacher(join(freshDir(), 'teacher.onnx'), { image: [12, 12, 1], dim: 5 })
    const { dir: root, grow } = diskWith(512 * 1024)
    const images = ['--n', '30', '--teacher', teacher, '--mean', '0', '--std', '1', '--real-batch', '8', '--network', 'mlp']
    const pool = ['--set', 'poolModels=1', '--set', 'poolSteps=3', '--iterations', '4', '--checkpoint-every', '1', '--threads', '1']
    const args = ['distill', '--data', data, '--method', 'krr-st', ...images, ...pool]
    const dir = join(root, 'run')
    const { status, result } = run([...args, '--out', dir])
    expect([status, result.error]).toEqual([
      1,
      {
        code: 'io',
        message: expect.stringMatching(/checkpoint-000002\.safetensors: could not be written, it needs \d{6} bytes: no space left/),
      },
    ])
    expect(readdirSync(join(dir, 'checkpoints'))).toEqual(['checkpoint-000001.safetensors'])
    grow()
    expect(run(['distill', '--resume', dir])).toMatchObject({ status: 0 })
    const whole = join(freshDir(), 'run')
    run([...args, '--out', whole])
    for (const name of artifact) expect(readFileSync(join(dir, name)).equals(readFileSync(join(whole, name))), name).toBe(true)
    await transferAndBack(whole)
  })

  /** Transfer of a run of representations: what was measured before the disk was full is kept. */
  async function transferAndBack(representations) {
    const { dir: root, grow } = diskWith(8 * 1024)
    const settings = ['pretrain.epochs=2', 'finetune.iterations=2', 'linear.iterations=2'].flatMap((setting) => ['--set', setting])
    const small = ['--targets', data, '--networks', 'mlp', '--protocol', 'finetune,linear', '--repeats', '5', '--threads', '1', ...settings]
    const args = ['transfer', representations, ...small]
    const dir = join(root, 'transfer')
    const { status, result } = run([...args, '--out', dir])
    expect([status, result.error]).toEqual([
      1,
      { code: 'io', message: expect.stringMatching(/transfer\.json: could not be written, it needs \d+ bytes: no space left/) },
    ])
    const kept = JSON.parse(readFileSync(join(dir, 'transfer.json'), 'utf8')).cells
    expect(kept.length).toBeGreaterThan(0)
    expect(filesBelow(root)).toEqual(['others', 'transfer.json'])
    grow()
    const again = run([...args, '--out', dir])
    expect(again.status).toBe(0)
    expect(again.result.cells).toHaveLength(20)
    // found, not measured again: the very same seconds
    for (const cell of kept) expect(again.result.cells).toContainEqual(cell)
  }

  it('ends a pretraining, which goes on with room', () => {
    const { dir: root, grow } = diskWith(256 * 1024)
    const small = ['--network', 'mlp', '--projector', '8', '--epochs', '2', '--batch', '8', '--threads', '1']
    const args = ['pretrain', '--data', data, ...small, '--checkpoint-seconds', '0.001']
    const dir = join(root, 'teacher')
    const { status, result } = run([...args, '--out', dir])
    expect([status, result.error]).toEqual([
      1,
      { code: 'io', message: expect.stringMatching(/\.safetensors: could not be written, it needs \d+ bytes: no space left/) },
    ])
    expect(filesBelow(dir).filter((name) => name === 'teacher.json' || name.endsWith('.partial'))).toEqual([])
    grow()
    const { sha256 } = run(['pretrain', '--resume', dir]).result
    expect(run([...args, '--out', join(freshDir(), 'teacher')]).result.sha256).toBe(sha256)
  })

  it('ends a search, whose trainings are kept', () => {
    const { dir: root, grow } = diskWith(8 * 1024)
    const space = '--width 4 --depth 1,2 --norm none --activation relu --pooling max --no-baseline'.split(' ')
    const small = '--repeats 9 --epochs 1 --full-epochs 1 --threads 1'.split(' ')
    const args = ['nas', distilled, '--data', data, ...space, ...small]
    const dir = join(root, 'nas')
    const { status, result } = run([...args, '--out', dir])
    expect([status, result.error]).toEqual([
      1,
      { code: 'io', message: expect.stringMatching(/nas(-times)?\.json: could not be written, it needs \d+ bytes: no space left/) },
    ])
    expect(filesBelow(dir).filter((name) => name.endsWith('.partial'))).toEqual([])
    grow()
    expect(run([...args, '--out', dir])).toMatchObject({ status: 0 })
    const whole = join(freshDir(), 'nas')
    run([...args, '--out', whole])
    expect(readFileSync(join(dir, 'nas.json')).equals(readFileSync(join(whole, 'nas.json')))).toBe(true)
  })

  it.each([
    ['npz', 64 * 1024, /set: could not be written, it needs 23\d{4} bytes: no space left/],
    ['parquet', 64 * 1024, /set: could not be written, it needs \d{5,} bytes: no space left/],
    ['png', 256 * 1024, /\d+\.png: could not be written, it needs \d{3} bytes: no space left/],
  ])('ends an export as %s, which is done again with room', (format, room, message) => {
    const { dir, grow } = diskWith(room)
    const args = ['export', distilled, '--format', format, '--out', join(dir, 'out', 'set')]
    const { status, result } = run(args)
    expect([status, result.error]).toEqual([1, { code: 'io', message: expect.stringMatching(message) }])
    expect(filesBelow(dir).filter((name) => name.endsWith('.partial'))).toEqual([])
    grow()
    const again = run(args)
    expect(again).toMatchObject({ status: 0, result: { format } })
    const whole = join(freshDir(), 'set')
    expect(run(['export', distilled, '--format', format, '--out', whole]).result).toMatchObject({ bytes: again.result.bytes })
    if (format === 'png') expect(filesBelow(join(dir, 'out'))).toEqual(filesBelow(whole))
    else expect(readFileSync(join(dir, 'out', 'set')).equals(readFileSync(whole))).toBe(true)
  })

  it('ends an export of networks, which leaves none', () => {
    const { dir } = diskWith(64 * 1024)
    const { status, result } = run([
      'export',
      distilled,
      '--format',
      'onnx',
      '--epochs',
      '1',
      '--networks',
      'mlp',
      '--out',
      join(dir, 'onnx'),
    ])
    expect([status, result.error]).toEqual([
      1,
      { code: 'io', message: expect.stringMatching(/mlp-0\.onnx: could not be written, it needs \d{6} bytes: no space left/) },
    ])
    expect(filesBelow(dir)).toEqual(['others'])
  })

  it('ends a report', () => {
    const { dir } = diskWith(8 * 1024)
    const { status, result } = run(['report', distilled, '--no-real', '--out', join(dir, 'report.html')])
    expect([status, result.error]).toEqual([
      1,
      { code: 'io', message: expect.stringMatching(/report\.html: could not be written, it needs \d+ bytes: no space left/) },
    ])
    expect(filesBelow(dir)).toEqual(['others'])
  })

  it.each([
    [
      'images',
      ['--size', '128'],
      /images-[0-9a-f]{64}\.safetensors: could not be written, it needs \d{6} bytes: no space left/,
      ['others'],
    ],
    [
      'whitenings',
      ['--size', '12', '--zca'],
      /zca-[0-9a-f]{64}\.safetensors\S*: could not be written, it needs 149\d{4} bytes: no space left/,
      [expect.stringMatching(/^images-/), 'others'],
    ],
  ])('ends a run whose cache of %s has no room, before the run begins', async (_, options, message, left) => {
    const { dir } = diskWith(192 * 1024)
    const images = freshDir()
    for (const name of ['a', 'b']) {
      mkdirSync(join(images, name))
      for (const i of [0, 1, 2, 3]) {
        const pixels = Uint8Array.from({ length: 12 * 12 * 3 }, (_, at) => Math.imul(at + 1, 2654435761 + i) >>> 24)
        await sharp(pixels, { raw: { width: 12, height: 12, channels: 3 } }).toFile(join(images, name, `${i}.png`))
      }
    }
    const out = join(freshDir(), 'run')
    const args = ['--data', `folder:${images}`, ...options, '--iterations', '1', ...settings, '--cache', join(dir, 'cache'), '--out', out]
    const { status, result } = run(['distill', ...args])
    expect([status, result.error]).toEqual([1, { code: 'io', message: expect.stringMatching(message) }])
    expect(filesBelow(dir)).toEqual(left)
    expect(() => statSync(out)).toThrow('ENOENT')
  })
})
