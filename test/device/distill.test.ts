/** @file The command line on a real device: a run from a directory of files to an artifact, reproduced from its own record, and runs that fail. */
import { existsSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { beforeAll, describe, expect, it } from 'vitest'
import { library } from '../../src/cli/library.js'
import { readEvents, readRunRecord } from '../../src/experiment/run-dir.js'
import { loadSyntheticSet } from '../../src/experiment/synthetic-set.js'
import { run } from '../unit/cli/fake-library.js'
import { encodeIdx, freshDir, gzip, write } from '../unit/data/fixtures.js'

const artifacts = ['data.safetensors', 'manifest.json', 'preview.png']

/** MNIST files of 12x12 images, 30 for training and 20 for testing, each class with a stripe of its own. */
function stripedMnist(): string {
  const dir = freshDir()
  for (const [prefix, rows] of [
    ['train', 30],
    ['t10k', 20],
  ] as const) {
    const data = Uint8Array.from({ length: rows * 144 }, (_, i) =>
      Math.floor((i % 144) / 12) === Math.floor(i / 144) % 10 ? 220 : (i * 37 + Math.floor(i / 1440) * 13) % 90,
    )
    const labels = Uint8Array.from({ length: rows }, (_, i) => i % 10)
    write(dir, `${prefix}-images-idx3-ubyte`, encodeIdx({ shape: [rows, 12, 12], data }))
    write(dir, `${prefix}-labels-idx1-ubyte.gz`, gzip(encodeIdx({ shape: [rows], data: labels })))
  }
  return dir
}

let data: string
beforeAll(() => {
  data = `mnist:${stripedMnist()}`
})

const distillTo = (out: string, ...options: string[]) =>
  run(library, 'distill', '--json', '--data', data, '--out', out, '--iterations', '3', '--real-batch', '2', ...options)
const newRun = (): string => join(freshDir(), 'run')

describe('a distillation', () => {
  it('leaves an artifact with the same bytes at 1 and 3 threads, and can be evaluated', async () => {
    const runs = [newRun(), newRun()]
    for (const [i, threads] of ['1', '3'].entries()) {
      const { code, stdout } = await distillTo(runs[i], '--threads', threads, '--seed', '5')
      expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 0, status: 'done', steps: 3 })
    }
    for (const file of artifacts)
      expect(readFileSync(join(runs[0], file)).equals(new Uint8Array(readFileSync(join(runs[1], file)))), file).toBe(true)
    expect((await readEvents(runs[0])).map(({ type }) => type)).toEqual(['start', 'step', 'step', 'step', 'done'])
    const set = await loadSyntheticSet(runs[0])
    expect(set.shape).toEqual([10, 12, 12, 1])
    const evaluation = await run(library, 'evaluate', runs[0], '--json', '--data', data, '--repeats', '2', '--epochs', '3')
    expect(evaluation).toMatchObject({ code: 0 })
  })

  it('that diverges fails with not_finite and leaves its record, but no artifact', async () => {
    const out = newRun()
    const { code, stdout } = await distillTo(out, '--image-lr', '1e300')
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, error: { code: 'not_finite' } })
    for (const file of artifacts) expect(existsSync(join(out, file)), file).toBe(false)
    expect(await readRunRecord(out)).toMatchObject({ status: 'failed', error: expect.stringMatching(/not finite|NaN|Infinity|lower/) })
  })

  it.each([
    ['an unknown method', ['--method', 'mtt2'], 'mtt2'],
    ['an unknown network', ['--network', 'vgg'], 'vgg'],
    ['an unknown augmentation', ['--augment', 'blur'], 'blur'],
    ['more images than a class has', ['--ipc', '4'], 'at least 4 images'],
    ['no threads', ['--threads', '0'], 'threads'],
    ['too many threads', ['--threads', '1000'], 'threads'],
  ])('with %s ends with exit code 2 and leaves no directory', async (_, options, text) => {
    const out = newRun()
    const { code, stdout, stderr } = await distillTo(out, ...options)
    expect({ code, text: stdout + stderr }).toEqual({ code: 2, text: expect.stringContaining(text) })
    expect(existsSync(out)).toBe(false)
  })

  it('with damaged data ends with exit code 1 and leaves no directory', async () => {
    const dir = stripedMnist()
    writeFileSync(join(dir, 'train-labels-idx1-ubyte.gz'), 'no gzip')
    const out = newRun()
    const { code, stdout } = await run(library, 'distill', '--json', '--data', `mnist:${dir}`, '--out', out)
    expect({ code, ...JSON.parse(stdout) }).toMatchObject({ code: 1, error: { code: 'invalid_data' } })
    expect(existsSync(out)).toBe(false)
  })
})

it('plans no more real rows than the largest class has', async () => {
  const planned = async (realBatch: string) => {
    const out = newRun()
    expect((await distillTo(out, '--real-batch', realBatch)).code).toBe(0)
    const start = (await readEvents(out)).find((event) => event.type === 'start')
    return { bytes: start?.type === 'start' && start.plannedBytes, images: (await loadSyntheticSet(out)).images }
  }
  expect(await planned('5000')).toEqual(await planned('3'))
})

it('doctor tells what this machine runs', async () => {
  const { code, stdout } = await run(library, 'doctor', '--json')
  expect(code).toBe(0)
  expect(stdout).toMatch(/avx2|avx512|portable/)
})
