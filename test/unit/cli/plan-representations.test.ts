/** @file `aludel plan` of a method without labels. */
import { expect, it } from 'vitest'
import { fakeLibrary, run } from './fake-library.js'

it('of a method without labels wants its teacher, and nothing of an evaluation', async () => {
  const own = ['plan', '--data', 'tiny', '--method', 'krr-st', '--n', '4']
  expect(await run(fakeLibrary().library, ...own)).toMatchObject({ code: 2, stderr: expect.stringContaining('--teacher') })
  const evaluated = await run(fakeLibrary().library, ...own, '--teacher', 'a.onnx', '--repeats', '3')
  expect(evaluated).toMatchObject({ code: 2, stderr: expect.stringContaining('--repeats: a set without labels is not evaluated') })
})
