/** @file `aludel transfer` called with what it cannot work with: the code, the exit code, what to do, and no directory left behind. */
import { existsSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { createRepresentationSet } from '../../src/experiment/representation-set.js'
import { run } from '../unit/cli/fake-library.js'
import { freshDir } from '../unit/data/fixtures.js'
import { tinySet } from '../unit/experiment/sets.js'

const dir = freshDir()
const out = join(dir, 'deep', 'out')
const side = 28
const images = side * side

beforeAll(async () => {
  await createRepresentationSet({
    ...{ images: new Float32Array(2 * images), shape: [2, side, side, 1], targets: new Float32Array(6), dim: 3, mean: [0.5], std: [0.5] },
    ...{ initSpace: 'raw', teacher: { name: 't', objective: 'none', dim: 3, sha256: '0'.repeat(64) }, config: {} },
    targetStatistics: { mean: new Float32Array(3), std: new Float32Array(3) },
    source: { name: 'noise', split: 'train', sha256: '0'.repeat(64) },
  }).save(join(dir, 'set'))
  await tinySet().save(join(dir, 'labelled'))
  writeFileSync(join(dir, 'junk.onnx'), 'text')
})

const known = ['--targets', 'fashion-mnist']
it.each<[string, string, string[], number, string, RegExp]>([
  ['a target that is not there', 'set', ['--targets', 'npz:absent.npz'], 1, 'not_found', /absent\.npz: no readable file .*; give/],
  ['a directory without the target', 'set', ['--targets', `mnist:${dir}`], 1, 'not_found', /expected one of train-images/],
  ['a target of no known kind', 'set', ['--targets', 'imagenet:x'], 2, 'invalid_option', /unknown data set 'imagenet'/],
  ['a set that is not there', 'absent', known, 1, 'not_found', /give the directory of a saved set/],
  ['a set with labels', 'labelled', known, 1, 'invalid_data', /aludel evaluate measures those/],
  ['a network that is none', 'set', [...known, '--networks', 'convnext'], 2, 'invalid_option', /convnext/],
  [
    'a baseline without data',
    'set',
    [...known, '--sources', 'random'],
    2,
    'invalid_option',
    /give them .--data, --teacher., or leave the source out/,
  ],
  [
    'a teacher that is not there',
    'set',
    [...known, '--data', 'fashion-mnist', '--teacher', 'absent.onnx'],
    1,
    'not_found',
    /absent\.onnx: no readable/,
  ],
  [
    'a teacher that is none',
    'set',
    [...known, '--data', 'fashion-mnist', '--teacher', join(dir, 'junk.onnx')],
    1,
    'invalid_data',
    /not an ONNX model/,
  ],
  ['a classifier that is not there', 'set', [...known, '--protocol', 'kd', '--kd-teacher', 'mlp:absent'], 1, 'not_found', /safetensors/],
])('%s', async (_, set, args, code, name, message) => {
  const said = await run(library, 'transfer', join(dir, set), ...args, '--repeats', '1', '--device', 'cpu', '--out', out, '--json')
  expect(JSON.parse(said.stdout), said.stderr).toMatchObject({ error: { code: name, message: expect.stringMatching(message) } })
  expect(said.code).toBe(code)
  expect(existsSync(join(dir, 'deep'))).toBe(false)
})
