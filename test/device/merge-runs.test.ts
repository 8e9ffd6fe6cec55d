/** @file `aludel distill --shard` and `aludel merge`: parts of the classes, put together to the bytes of one run. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { readRunRecord } from '../../src/experiment/run-dir.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'

const dir = freshDir()
const at = (name: string) => join(dir, name)
const call = (...args: string[]) => run(library, '--json', ...args)
const settings = ['--data', 'fashion-mnist', '--ipc', '2', '--real-batch', '6', '--iterations', '4', '--network', 'mlp', '--threads', '1']
const distil = (out: string, ...more: string[]) => call('distill', ...settings, ...more, '--out', at(out))

const artifact = ['data.safetensors', 'manifest.json', 'preview.png']
const bytes = (run: string) => artifact.map((name) => readFileSync(join(at(run), name), 'latin1'))

beforeAll(async () => {
  await distil('whole')
  for (const i of [1, 2, 3]) await distil(`part${i}`, '--shard', `${i}/3`)
})

it('gives the bytes of one run of all classes, whatever the order of the parts', async () => {
  const { code, stdout } = await call('merge', at('part3'), at('part1'), at('part2'), '--out', at('merged'))
  expect([code, JSON.parse(stdout)]).toMatchObject([0, { parts: 3, images: 20, classes: 10 }])
  expect(bytes('merged')).toEqual(bytes('whole'))
  const record = await readRunRecord(at('merged'))
  expect(record).toMatchObject({ status: 'done', parts: [{ index: 1, of: 3 }, { index: 2 }, { index: 3 }] })
  expect([record.config.shard, record.settings?.shard]).toEqual([undefined, undefined])
  const real = (name: string) => readFileSync(join(at(name), 'real.safetensors'), 'latin1')
  expect(real('merged')).toBe(real('whole'))
})

it('keeps a part to its own classes, and goes on with it', async () => {
  expect(JSON.parse(readFileSync(join(at('part2'), 'manifest.json'), 'utf8'))).toMatchObject({
    config: { shard: '2/3' },
    images: { shape: [6, 1, 28, 28] },
  })
  await distil('short', '--shard', '2/3', '--iterations', '2')
  await call('distill', '--resume', at('short'), '--iterations', '4')
  expect(readFileSync(join(at('short'), 'data.safetensors'), 'latin1')).toBe(readFileSync(join(at('part2'), 'data.safetensors'), 'latin1'))
  await call('merge', at('short'), at('part1'), at('part3'), '--out', at('merged again'))
  expect(bytes('merged again')).toEqual(bytes('whole'))
})

it('names what is missing, there twice or unequal, and writes nothing', async () => {
  await distil('other seed', '--shard', '3/3', '--seed', '9')
  await distil('other cut', '--shard', '2/2')
  const refused = async (message: RegExp, ...parts: string[]) => {
    const { code, stdout } = await call('merge', ...parts.map(at), '--out', at('refused'))
    expect(code).not.toBe(0)
    expect(JSON.parse(stdout).error.message).toMatch(message)
    expect(existsSync(at('refused'))).toBe(false)
  }
  await refused(/part 2\/3 is missing/, 'part1', 'part3')
  await refused(/part1.*part1.*both part 1\/3/, 'part1', 'part1', 'part2', 'part3')
  await refused(/other seed: seed is 9 but 0 in .*part1/, 'part1', 'part2', 'other seed')
  await refused(/other cut: number of parts is 2 but 3/, 'part1', 'other cut')
  await refused(/whole: expected a run of aludel distill --shard/, 'whole', 'part1')
  const path = join(at('part3'), 'data.safetensors')
  const good = Uint8Array.from(readFileSync(path))
  const damaged = Uint8Array.from(good)
  damaged[damaged.length - 1] ^= 1
  writeFileSync(path, damaged)
  await refused(/part3.data\.safetensors/, 'part1', 'part2', 'part3')
  writeFileSync(path, good)
  expect((await call('merge', at('part1'), at('part2'), at('part3'), '--out', at('whole'))).code).toBe(2)
})

it.each([
  ['a part that is not there', ['--shard', '4/3'], /1 <= i <= N/],
  ['a gradient method', ['--shard', '1/2', '--method', 'dc'], /dc trains one network/],
  ['batch norm', ['--shard', '1/2', '--network', 'convnet-bn'], /batch norm/],
  ['going back', ['--shard', '1/2', '--on-divergence', 'rollback'], /goes back/],
  ['a group that does not divide', ['--class-group', '3'], /divides the 10 classes/],
])('refuses %s before anything starts', async (_, args, message) => {
  const { code, stdout, stderr } = await distil('none', ...args)
  expect(code).toBe(2)
  expect(`${stdout}${stderr}`).toMatch(message)
  expect(existsSync(at('none'))).toBe(false)
})
