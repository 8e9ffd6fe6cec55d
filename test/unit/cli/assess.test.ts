/** @file `aludel assess`: the report for people and as JSON, warnings, what a teacher is opened by, and bad input. */
import { expect, it } from 'vitest'
import type { Library } from '../../../src/cli/library.js'
import { AludelError } from '../../../src/errors.js'
import type { Teacher } from '../../../src/teachers/index.js'
import { fakeLibrary, run } from './fake-library.js'

/** A library whose teacher answers `answer(pixel sum)` in every of `dim` dimensions, and what was asked of it. */
function withTeacher(answer: (sum: number, k: number) => number, dim = 3) {
  const { library, calls } = fakeLibrary()
  const asked: { path: string; options: object; disposed: number } = { path: '', options: {}, disposed: 0 }
  const openTeacher: Library['openTeacher'] = async (path, options) => {
    if (path === 'absent.onnx')
      throw new AludelError('not_found', 'absent.onnx: no readable file', { cause: Object.assign(new Error('none'), { code: 'ENOENT' }) })
    Object.assign(asked, { path, options })
    const [height, width, channels] = options.image ?? [0, 0, 0]
    const size = height * width * channels
    return {
      ...{ name: 'sums', objective: 'none', dim, sha256: 'a'.repeat(64) },
      input: { shape: [height, width, channels], mean: new Array(channels).fill(0.5), std: new Array(channels).fill(0.25) },
      encode: async (pixels, rows) =>
        Float32Array.from({ length: rows * dim }, (_, i) => {
          const row = Math.floor(i / dim)
          return answer(
            pixels.subarray(row * size, (row + 1) * size).reduce((sum, v) => sum + v, 0),
            i % dim,
          )
        }),
      dispose: async () => {
        asked.disposed++
      },
    } satisfies Teacher
  }
  return { library: { ...library, openTeacher }, calls, asked }
}

it('prints two lines, and the whole report as JSON', async () => {
  const { library, calls, asked } = withTeacher((sum, k) => Math.sin(sum + k))
  const said = await run(
    library,
    'assess',
    't.onnx',
    '--data',
    'tiny',
    '--split',
    'test',
    '--mean',
    '0.5',
    '--std',
    '0.25',
    '--images',
    '6',
  )
  expect(said).toMatchObject({ code: 0, stdout: expect.stringMatching(/^quality on 6 images: .*\nrepresentations in \[.*constant\n$/) })
  expect(calls.opened).toEqual(['tiny test'])
  expect(asked).toMatchObject({ path: 't.onnx', disposed: 1, options: { normalization: { mean: [0.5], std: [0.25] } } })
  expect(calls.closed).toBe(1)
  const { stdout } = await run(library, '--json', 'assess', 't.onnx', '--data', 'tiny', '--images', '6')
  expect(JSON.parse(stdout)).toMatchObject({ samples: 6, teacher: { name: 'sums', dim: 3 }, constantDimensions: 0 })
})

it('warns of a teacher that has collapsed, and still ends well', async () => {
  const { library } = withTeacher((_, k) => k + 1)
  const said = await run(library, 'assess', 't.onnx', '--data', 'tiny')
  expect(said).toMatchObject({ code: 0, stderr: expect.stringMatching(/warning: /) })
})

it.each([
  ['no data', ['t.onnx'], 2, "required option '--data"],
  ['no teacher', ['--data', 'tiny'], 2, "missing required argument 'teacher'"],
  ['one image', ['t.onnx', '--data', 'tiny', '--images', '1'], 2, '--images'],
  ['a split that is none', ['t.onnx', '--data', 'tiny', '--split', 'valid'], 2, '--split'],
  ['a file that is not there', ['absent.onnx', '--data', 'tiny'], 1, 'absent.onnx: no readable file'],
])('refuses %s', async (_, args, code, text) => {
  expect(await run(withTeacher(() => 1).library, 'assess', ...args)).toMatchObject({ code, stderr: expect.stringContaining(text) })
})

it('ends with the error of answers that are no numbers, its device closed', async () => {
  const { library, calls, asked } = withTeacher(() => Number.NaN)
  expect(await run(library, 'assess', 't.onnx', '--data', 'tiny')).toMatchObject({ code: 1, stderr: expect.stringContaining('NaN') })
  expect([calls.closed, asked.disposed]).toEqual([1, 1])
})
