/** @file The commands against a fake library: what reaches the library, files, outputs, exit codes, interrupts. */
import { existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { readEvents, readRunRecord } from '../../../src/experiment/run-dir.js'
import { createSyntheticSet, loadSyntheticSet } from '../../../src/experiment/synthetic-set.js'
import { freshDir, tinyDataset } from '../data/fixtures.js'
import { fakeLibrary, run } from './fake-library.js'

const artifact = ['data.safetensors', 'events.jsonl', 'manifest.json', 'preview.png', 'real.safetensors', 'report.html', 'run.json']
const listeners = () => process.listenerCount('SIGINT') + process.listenerCount('SIGTERM')

describe('distill', () => {
  it('passes options on, writes the run and prints one JSON value', async () => {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'run')
    const options =
      '--method dm --ipc 2 --iterations 4 --real-batch 9 --image-lr 0.5 --init noise --augment none --network convnet --seed 7'
    const { code, stdout, stderr } = await run(library, 'distill', '--data', 'tiny', '--out', out, ...options.split(' '), '--json')
    expect(code).toBe(0)
    expect(calls.distill[0]).toMatchObject({
      method: 'dm',
      ipc: 2,
      iterations: 4,
      realBatch: 9,
      imageLr: 0.5,
      init: 'noise',
      augment: 'none',
      network: 'convnet',
      seed: 7,
    })
    expect(JSON.parse(stdout)).toMatchObject({ run: out, status: 'done', steps: 4, iterations: 4, loss: 2.5 })
    expect(stdout.trim().split('\n')).toHaveLength(1)
    expect(stderr).toMatch(/distill 4\/4/)
    expect(readdirSync(out).sort()).toEqual(artifact)
    expect((await readEvents(out)).map(({ type }) => type)).toEqual(['start', 'step', 'step', 'step', 'step', 'done'])
    expect(await readRunRecord(out)).toMatchObject({
      status: 'done',
      config: { resolved: true },
      data: { specification: 'tiny' },
      host: { isa: 'fake' },
    })
    expect((await loadSyntheticSet(out)).labels).toHaveLength(6)
    expect(calls.closed).toBe(1)
  })

  it('leaves options that were not given to the method', async () => {
    const { library, calls } = fakeLibrary()
    await run(library, 'distill', '--data', 'tiny', '--out', join(freshDir(), 'run'))
    expect(Object.keys(calls.distill[0]).sort()).toEqual(['checkpoints', 'device', 'ipc', 'method', 'seed', 'signal'])
  })

  it('passes a preset and the options of the method, and notes them in the run', async () => {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'run')
    const options = '--method atom --preset paper --set lambda=0.02 --set layers=1,2 --set power=four'
    expect((await run(library, 'distill', '--data', 'tiny', '--out', out, ...options.split(' '))).code).toBe(0)
    const methodOptions = { lambda: 0.02, layers: [1, 2], power: 'four' }
    expect(calls.distill[0]).toMatchObject({ method: 'atom', preset: 'paper', methodOptions })
  })

  it('finishes the step and saves on the first signal, and exits with 130', async () => {
    const before = listeners()
    const { library } = fakeLibrary((step) => {
      if (step === 2) process.emit('SIGINT')
    })
    const out = join(freshDir(), 'run')
    const { code, stdout } = await run(library, '--json', 'distill', '--data', 'tiny', '--iterations', '50', '--out', out)
    expect(code).toBe(130)
    expect(JSON.parse(stdout)).toMatchObject({ status: 'stopped', steps: 2 })
    expect(readdirSync(out).sort()).toEqual(artifact)
    expect((await readRunRecord(out)).status).toBe('stopped')
    expect(listeners()).toBe(before)
  })

  it('notes a failure in the run and closes the device', async () => {
    const before = listeners()
    const { library, calls } = fakeLibrary((step) => {
      if (step === 2) throw new Error('the disk is on fire')
    })
    const out = join(freshDir(), 'run')
    const { code, stderr } = await run(library, 'distill', '--data', 'tiny', '--out', out)
    expect(code).toBe(1)
    expect(stderr).toContain('the disk is on fire')
    expect(await readRunRecord(out)).toMatchObject({ status: 'failed', error: 'the disk is on fire' })
    expect(readdirSync(out).sort()).toEqual(['events.jsonl', 'run.json'])
    expect([calls.closed, listeners()]).toEqual([1, before])
  })

  it('refuses a directory with a run in it, before anything starts', async () => {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'run')
    await run(library, 'distill', '--data', 'tiny', '--out', out)
    const { code, stderr } = await run(library, 'distill', '--data', 'tiny', '--out', out)
    expect(code).toBe(2)
    expect(stderr).toContain('already holds a run')
    expect(calls.distill).toHaveLength(1)
  })

  it('leaves nothing behind when a setting is refused', async () => {
    const out = join(freshDir(), 'run')
    const { code, stderr } = await run(fakeLibrary().library, 'distill', '--data', 'tiny', '--method', 'unknown', '--out', out)
    expect([code, existsSync(out)]).toEqual([2, false])
    expect(stderr).toBe("error: method: expected one of dm but received 'unknown'\n")
  })
})

describe('export', () => {
  async function distilled(library: ReturnType<typeof fakeLibrary>['library']): Promise<string> {
    const out = join(freshDir(), 'run')
    expect((await run(library, 'distill', '--data', 'tiny', '--out', out)).code).toBe(0)
    return out
  }

  it.each([
    ['npz', 'export/data.npz'],
    ['parquet', 'export/train.parquet'],
  ])('writes %s below the run, where it is found again', async (format, path) => {
    const { library } = fakeLibrary()
    const out = await distilled(library)
    const first = await run(library, 'export', out, '--format', format)
    expect([first.code, first.stdout]).toEqual([0, expect.stringContaining(join(out, path))])
    const { bytes, ...rest } = JSON.parse((await run(library, 'export', out, '--format', format, '--json')).stdout)
    expect([rest, bytes]).toEqual([{ format, path: join(out, path), files: 1 }, readFileSync(join(out, path)).length])
  })

  it('writes PNG files into a folder of choice and refuses one of others', async () => {
    const { library } = fakeLibrary()
    const out = await distilled(library)
    const folder = join(out, '..', 'pictures')
    expect((await run(library, 'export', out, '--format', 'png', '--out', folder)).code).toBe(0)
    expect(readdirSync(folder)).toEqual(['class 0', 'class 1', 'class 2'])
    writeFileSync(join(folder, 'notes.txt'), 'mine')
    const { code, stderr } = await run(library, 'export', out, '--format', 'png', '--out', folder)
    expect([code, stderr]).toEqual([2, expect.stringContaining('holds notes.txt')])
  })

  it('trains networks and writes each, and refuses to write over them', async () => {
    const { library, calls } = fakeLibrary()
    const out = await distilled(library)
    const line = ['export', out, '--format', 'onnx', '--networks', 'convnet,mlp', '--repeats', '2', '--epochs', '7', '--seed', '4']
    const { code, stdout } = await run(library, ...line, '--json')
    const files = ['convnet-0', 'convnet-1', 'mlp-0', 'mlp-1'].map((name) => join(out, 'export', 'onnx', `${name}.onnx`))
    expect([code, JSON.parse(stdout).models.map(({ path }: { path: string }) => path)]).toEqual([0, files])
    expect(files.map((file) => [...readFileSync(file)])).toEqual([[0], [1], [0], [1]])
    expect(calls.evaluate).toMatchObject([{ networks: ['convnet', 'mlp'], repeats: 2, epochs: 7, seed: 4 }])
    const again = await run(library, ...line)
    expect([again.code, again.stderr]).toEqual([2, expect.stringContaining('convnet-0.onnx')])
    expect(calls.evaluate).toHaveLength(1)
  })

  it('keeps the networks that were trained before a signal', async () => {
    const { library } = fakeLibrary((step) => {
      if (step === 1) process.emit('SIGINT')
    })
    const out = await distilled(fakeLibrary().library)
    expect((await run(library, 'export', out, '--format', 'onnx', '--repeats', '3')).code).toBe(130)
    expect(readdirSync(join(out, 'export', 'onnx'))).toEqual(['convnet-0.onnx', 'convnet-1.onnx'])
  })
})

describe('evaluate --model', () => {
  it('measures an ONNX model with the normalisation given', async () => {
    const { library, calls } = fakeLibrary()
    const line = ['evaluate', '--model', 'm.onnx', '--data', 'tiny', '--mean', '.4,.5,.6', '--std', '1', '--scale', '1/255']
    const { code, stdout } = await run(library, ...line)
    expect([code, stdout]).toEqual([0, 'm.onnx: 75.00 % (9 of 12 test images, ONNX Runtime on cpu)\n'])
    expect(calls.opened).toEqual(['tiny test'])
    expect(calls.evaluate[0]).toMatchObject({ model: 'm.onnx', mean: [0.4, 0.5, 0.6], std: [1], scale: 1 / 255 })
    expect(calls.closed).toBe(1)
  })

  it('says so when the mean is that of bytes and nothing scales the pixels to them', async () => {
    const line = ['evaluate', '--model', 'm.onnx', '--data', 'tiny', '--mean', '123.7']
    expect((await run(fakeLibrary().library, ...line)).stderr).toContain('give --scale 1')
    expect((await run(fakeLibrary().library, ...line, '--scale', '1')).stderr).not.toContain('--scale')
  })

  it('prints one JSON value', async () => {
    const { stdout } = await run(fakeLibrary().library, 'evaluate', '--model', 'm.onnx', '--data', 'tiny', '--json')
    expect(JSON.parse(stdout)).toEqual({
      ...{ model: 'm.onnx', data: 'tiny', accuracy: 75, perClass: [100, 50, 75] },
      ...{ images: 12, correct: 9, provider: 'cpu' },
    })
  })

  it('ends as interrupted by a signal', async () => {
    const { library, calls } = fakeLibrary(() => process.emit('SIGINT'))
    const { code } = await run(library, 'evaluate', '--model', 'm.onnx', '--data', 'tiny')
    expect([code, calls.closed]).toEqual([130, 1])
  })
})

describe('evaluate', () => {
  async function distilled() {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'run')
    await run(library, 'distill', '--data', 'tiny', '--out', out)
    return { library, calls, out }
  }

  it('takes the data of the run, prints accuracies and adds them to run and report', async () => {
    const { library, calls, out } = await distilled()
    const { code, stdout } = await run(
      library,
      'evaluate',
      out,
      '--networks',
      'convnet,convnet-bn',
      '--repeats',
      '2',
      '--epochs',
      '30',
      '--json',
    )
    expect(code).toBe(0)
    const accuracy = { mean: 72.34, std: 0.9, n: 2, values: [72.34, 72.34] }
    expect(JSON.parse(stdout)).toMatchObject({
      accuracy,
      networks: { convnet: accuracy, 'convnet-bn': accuracy },
      baselines: {
        random: { convnet: { mean: 41.25, n: 2 }, 'convnet-bn': { mean: 41.25, n: 2 } },
        herding: { convnet: { mean: 55.5, n: 2 }, 'convnet-bn': { mean: 55.5, n: 2 } },
      },
      data: 'tiny',
      epochs: 30,
    })
    expect(calls.opened.slice(-2)).toEqual(['tiny test', 'tiny train'])
    expect(calls.evaluate[0]).toMatchObject({ networks: ['convnet', 'convnet-bn'], repeats: 2, epochs: 30, seed: 0 })
    expect((await readRunRecord(out)).evaluations).toMatchObject([
      { label: 'distilled', epochs: 30, results: [{ network: 'convnet' }] },
      { label: 'distilled', epochs: 30, results: [{ network: 'convnet-bn' }] },
      { label: 'random real images', epochs: 30, results: [{ network: 'convnet' }] },
      { label: 'random real images', epochs: 30, results: [{ network: 'convnet-bn' }] },
      { label: 'herded real images', epochs: 30, results: [{ network: 'convnet' }] },
      { label: 'herded real images', epochs: 30, results: [{ network: 'convnet-bn' }] },
    ])
    expect(calls.herding).toEqual([{ ipc: 1, seed: 0, epochs: 2 }])
    expect((await readEvents(out)).at(-1)?.type).toBe('evaluation')
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('72.3 ± 0.9')
  })

  it('prints a line a network for people', async () => {
    const { library, out } = await distilled()
    expect((await run(library, 'evaluate', out)).stdout).toBe(
      'convnet on distilled: 72.3 ± 0.9 % (n=5 networks)\nconvnet on random real images: 41.3 ± 0.9 % (n=5 networks)\n' +
        'convnet on herded real images: 55.5 ± 0.9 % (n=5 networks)\n',
    )
    expect((await run(library, 'evaluate', out, '--no-baseline')).stdout).toBe('convnet on distilled: 72.3 ± 0.9 % (n=5 networks)\n')
  })

  it('measures k-centers beside herding from one network, and refuses baselines by scores without them', async () => {
    const { library, calls, out } = await distilled()
    const { code, stdout } = await run(library, 'evaluate', out, '--baseline', 'k-center,herding')
    expect([code, stdout]).toEqual([0, expect.stringContaining('convnet on k-center real images: 72.3 ± 0.9 %')])
    expect(calls.herding).toHaveLength(1)
    const measured = calls.evaluate.length
    for (const [args, said] of [
      [['--baseline', 'loss'], '--baseline loss: expected --scores DIR'],
      [['--scores', 'scores'], '--scores: expected --baseline with loss or el2n'],
      [['--baseline', 'grand'], '--baseline: expected some of random, herding, k-center, loss, el2n'],
      [['--teacher-epochs', '3'], '--teacher-epochs: expected --teacher with the name of a network'],
      [['--mean', '0.5'], '--mean: expected --model or --teacher with an ONNX file'],
    ] as const) {
      const { code, stderr } = await run(library, 'evaluate', out, ...args)
      expect([code, stderr]).toEqual([2, expect.stringContaining(said)])
    }
    expect(calls.evaluate).toHaveLength(measured)
  })

  it("trains towards a teacher's answers, and says so wherever accuracies stand", async () => {
    const { library, calls, out } = await distilled()
    const { stdout } = await run(library, 'evaluate', out, '--teacher', 'lenet', '--teacher-epochs', '3', '--baseline', 'random')
    expect(stdout).toBe(
      'convnet on distilled, soft labels of lenet: 72.3 ± 0.9 % (n=5 networks)\n' +
        'convnet on random real images, soft labels of lenet: 41.3 ± 0.9 % (n=5 networks)\n',
    )
    expect(calls.herding).toEqual([{ network: 'lenet', epochs: 3 }])
    const labels = (await readRunRecord(out)).evaluations.map(({ label }) => label)
    expect(labels).toEqual(['distilled, soft labels of lenet', 'random real images, soft labels of lenet'])
    const { stdout: told } = await run(library, 'evaluate', out, '--teacher', 'some/resnet.onnx', '--no-baseline', '--json')
    expect(JSON.parse(told)).toMatchObject({ labels: 'some/resnet.onnx', networks: { convnet: { mean: 72.34 } } })
  })

  it('trains on a subset of the real images alone', async () => {
    const { library, calls } = fakeLibrary()
    const { code, stdout } = await run(library, 'evaluate', '--data', 'tiny', '--subset', 'kept.json')
    expect([code, stdout]).toEqual([0, 'convnet on the subset: 72.3 ± 0.9 % (n=5 networks)\n'])
    expect(calls.opened).toEqual(['tiny,subset=kept.json train', 'tiny test'])
    const beside = await run(library, 'evaluate', '--data', 'tiny,subset=kept.json', '--baseline', 'random', '--json')
    expect(JSON.parse(beside.stdout)).toMatchObject({ run: null, data: 'tiny', baselines: { random: { convnet: { mean: 41.25 } } } })
    const { code: refused, stderr } = await run(library, 'evaluate', '--data', 'tiny')
    expect([refused, stderr]).toEqual([2, expect.stringContaining('a run directory, --model, or --subset with --data')])
  })

  it('measures a set with learned labels and rate by them, baselines beside it by their classes', async () => {
    const { library, calls, out } = await distilled()
    const { save: _, ...fields } = await loadSyntheticSet(out)
    const learned = createSyntheticSet({ ...fields, labelLogits: new Float32Array(9), learningRate: 0.025 })
    const dir = freshDir()
    await learned.save(dir)
    const call = (...args: string[]) => run(library, 'evaluate', dir, '--data', 'tiny', '--baseline', 'random', ...args)
    expect((await call()).stdout).toBe(
      'convnet on distilled: 72.3 ± 0.9 % (n=5 networks, soft labels, lr 0.025)\n' +
        'convnet on random real images: 41.3 ± 0.9 % (n=5 networks, hard labels, lr 0.01)\n',
    )
    expect(calls.evaluate).toMatchObject([{ protocol: 'trajectory' }, { protocol: 'trajectory' }])
    expect(JSON.parse((await call('--json')).stdout)).toMatchObject({ protocol: 'trajectory', labels: 'learned' })
    const hard = JSON.parse((await call('--labels', 'hard', '--protocol', 'dc', '--json')).stdout)
    expect(hard).toMatchObject({ protocol: 'dc', labels: 'hard', accuracy: { training: { labels: 'hard' } } })
    expect(calls.evaluate.slice(-2)).toMatchObject([{ protocol: 'dc', labels: 'hard' }, { protocol: 'dc' }])
    expect((await call('--labels', 'hard')).stdout).toContain('convnet on distilled, hard labels: 72.3')
    const { code, stderr } = await call('--labels', 'soft', '--teacher', 'lenet')
    expect([code, stderr]).toEqual([2, expect.stringContaining('--labels: expected none beside --teacher')])
  })

  it('needs --data for a set outside a run', async () => {
    const { library, out } = await distilled()
    const dir = freshDir()
    await (await loadSyntheticSet(out)).save(dir)
    const { code, stderr } = await run(library, 'evaluate', dir)
    expect([code, stderr]).toEqual([2, `error: ${dir}: holds no run.json that names its data; give --data\n`])
    expect((await run(library, 'evaluate', dir, '--data', 'tiny')).code).toBe(0)
  })

  it('refuses test images of other classes', async () => {
    const { library, out } = await distilled()
    const other = { ...library, openDataset: async () => tinyDataset([1, 1]) }
    const { code, stderr } = await run(other, 'evaluate', out, '--data', 'other')
    expect([code, stderr]).toEqual([
      2,
      expect.stringMatching(/--data other: classes: expected those of the set \(class 0, class 1, class 2\)/),
    ])
  })

  it('stops on a signal with 130', async () => {
    const { out } = await distilled()
    const { library, calls } = fakeLibrary(() => process.emit('SIGTERM'))
    const { code, stdout } = await run(library, 'evaluate', out, '--json')
    expect(code).toBe(130)
    expect(JSON.parse(stdout)).toEqual({ error: { code: 'aborted', message: 'the operation was aborted' } })
    expect(calls.closed).toBe(1)
  })

  it('looks at the training data for the baselines before anything trains', async () => {
    const { out } = await distilled()
    const { library, calls } = fakeLibrary()
    const small = { ...library, openDataset: async (_: string, split: string) => tinyDataset(split === 'train' ? [4, 0, 4] : [4, 4, 4]) }
    const { code, stderr } = await run(small, 'evaluate', out)
    expect([code, stderr]).toEqual([2, expect.stringContaining("class 'class 1': expected at least 1 real images for the baselines")])
    expect(calls.evaluate).toEqual([])
    expect((await run(small, 'evaluate', out, '--no-baseline')).code).toBe(0)
  })

  it('keeps what was measured before a signal', async () => {
    const { out } = await distilled()
    let networks = 0
    const { library } = fakeLibrary(() => {
      if (++networks === 2) process.emit('SIGINT')
    })
    const { code, stdout } = await run(library, 'evaluate', out, '--networks', 'convnet,lenet,mlp')
    expect([code, stdout]).toEqual([130, 'convnet on distilled: 72.3 ± 0.9 % (n=5 networks)\n'])
    expect((await readRunRecord(out)).evaluations).toMatchObject([{ label: 'distilled', results: [{ network: 'convnet' }] }])
    expect(readFileSync(join(out, 'report.html'), 'utf8')).toContain('72.3 ± 0.9')
  })

  it('says what is missing', async () => {
    const { code, stderr } = await run(fakeLibrary().library, 'evaluate', 'no-such-run')
    expect(code).toBe(1)
    expect(stderr).toMatch(/^error: no-such-run\/manifest\.json: no readable file \(ENOENT\)/)
  })
})

describe('report', () => {
  it('writes the page of a run with real images beside its own, or a comparison of several', async () => {
    const { library, calls } = fakeLibrary()
    const dir = freshDir()
    const runs = [join(dir, 'a'), join(dir, 'b')]
    for (const out of runs) await run(library, 'distill', '--data', 'tiny', '--out', out)
    expect((await readRunRecord(runs[0])).commands).toEqual([`aludel distill --data tiny --out ${runs[0]}`])
    rmSync(join(runs[0], 'real.safetensors'))
    const page = join(dir, 'page.html')
    expect((await run(library, 'report', runs[0], '--out', page)).stdout).toBe(`${page}\n`)
    expect(readFileSync(page, 'utf8')).toContain('nearest real')
    const several = join(dir, 'several.html')
    const { code, stdout } = await run(library, 'report', ...runs, '--json', '--out', several)
    expect([code, JSON.parse(stdout)]).toEqual([0, { report: several }])
    expect(calls.closed).toBe(3)
  })

  it('does without the training data when asked to', async () => {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'run')
    await run(library, 'distill', '--data', 'tiny', '--out', out)
    const opened = calls.opened.length
    expect((await run(library, 'report', out, '--no-real')).code).toBe(0)
    expect(calls.opened).toHaveLength(opened)
  })
})

describe('quickstart', () => {
  it('goes all the way, twice, and ends with the accuracies', async () => {
    const { library, calls } = fakeLibrary()
    const out = join(freshDir(), 'quickstart')
    await run(library, 'quickstart', '--out', out)
    const { code, stdout } = await run(library, 'quickstart', '--out', out)
    expect(code).toBe(0)
    expect(stdout.trimEnd().split('\n').at(-1)).toBe(
      'accuracy: distilled 72.3 ± 0.9 %, random real images 41.3 ± 0.9 % (ConvNet-3, IPC 1, n=5 networks)',
    )
    expect(calls.distill[0]).toMatchObject({ method: 'dm', ipc: 1, iterations: 120, realBatch: 32 })
    expect(calls.evaluate[1]).toMatchObject({ networks: ['convnet'], repeats: 5, epochs: 120 })
    expect(readdirSync(out).sort()).toEqual(artifact)
    expect((await readRunRecord(out)).evaluations).toMatchObject([
      { label: 'distilled', epochs: 120, data: 'fashion-mnist', seed: 0 },
      { label: 'random real images', epochs: 120, data: 'fashion-mnist', seed: 0 },
    ])
  })

  it('does not evaluate after an interrupt', async () => {
    const { library, calls } = fakeLibrary((step) => {
      if (step === 1) process.emit('SIGINT')
    })
    const out = join(freshDir(), 'quickstart')
    const { code, stdout } = await run(library, 'quickstart', '--out', out, '--json')
    expect(code).toBe(130)
    expect(calls.evaluate).toEqual([])
    expect(existsSync(join(out, 'data.safetensors'))).toBe(true)
    expect(JSON.parse(stdout)).toMatchObject({ run: out, status: 'stopped', steps: 1, report: join(out, 'report.html') })
    expect(existsSync(join(out, 'report.html'))).toBe(true)
  })
})

describe('a run without images', () => {
  it('is not measured or exported, and the message says how to finish it', async () => {
    const { library, calls } = fakeLibrary()
    const dir = join(freshDir(), 'run')
    await run(library, 'distill', '--data', 'tiny', '--out', dir)
    rmSync(join(dir, 'manifest.json'))
    for (const line of [
      ['evaluate', dir],
      ['export', dir, '--format', 'npz'],
    ]) {
      const { code, stderr } = await run(library, ...line)
      expect(code).toBe(1)
      expect(stderr).toContain(`the run has no images yet, its manifest.json is missing; finish it with: aludel distill --resume ${dir}`)
    }
    expect(calls.evaluate).toEqual([])
  })
})

describe('a recipe', () => {
  const recipe = {
    data: { name: 'tiny' },
    distill: { method: 'dm', ipc: 2, iterations: 7, options: { p: 1, q: 2 } },
    evaluate: { repeats: 3, epochs: 40 },
  }

  it('stands where the command line says nothing, and in run.json, where the evaluation finds it', async () => {
    const { library, calls } = fakeLibrary()
    const [dir, file] = [join(freshDir(), 'run'), join(freshDir(), 'recipe.json')]
    writeFileSync(file, JSON.stringify(recipe))
    const line = [
      'distill',
      '--recipe',
      file,
      '--data',
      'tiny',
      '--ipc',
      '1',
      '--set',
      'q=3',
      '--override',
      'distill.imageLr=2',
      '--out',
      dir,
    ]
    expect((await run(library, ...line)).code).toBe(0)
    expect(calls.distill[0]).toMatchObject({ method: 'dm', ipc: 1, iterations: 7, imageLr: 2, methodOptions: { p: 1, q: 3 } })
    expect((await readRunRecord(dir)).recipe).toEqual({ name: file, evaluate: recipe.evaluate })
    await run(library, 'evaluate', dir, '--epochs', '5', '--no-baseline')
    expect(calls.evaluate[0]).toMatchObject({ repeats: 3, epochs: 5 })
    await run(library, 'plan', '--recipe', file, '--data', 'tiny')
    expect(calls.plan[0]).toMatchObject({ method: 'dm', ipc: 2, repeats: 3, epochs: 40 })
  })

  it.each<[string, string, string[], RegExp]>([
    [
      'of another data set',
      JSON.stringify(recipe),
      ['--data', 'other'],
      /--data: expected tiny, which the recipe is for but received 'other'/,
    ],
    ['without a place for its data', JSON.stringify(recipe), [], /--data tiny:PATH says where it is/],
    ['with mistakes', '{"data":{},"distill":{"method":"dm"}}', ['--data', 'tiny'], /2 problems: data\.name: .*; distill\.ipc: /],
    ['that is no JSON', '{', ['--data', 'tiny'], /expected JSON/],
  ])('%s is refused before anything starts', async (_, text, rest, message) => {
    const { library, calls } = fakeLibrary()
    const file = join(freshDir(), 'recipe.json')
    writeFileSync(file, text)
    const { code, stderr } = await run(library, 'distill', '--recipe', file, ...rest)
    expect(code).toBeGreaterThan(0)
    expect(stderr).toMatch(message)
    expect(calls.opened).toEqual([])
  })

  it('is listed by name and printed as JSON', async () => {
    const { library } = fakeLibrary()
    expect((await run(library, 'recipes')).stdout).toMatch(/^cifar10\/dm-ipc1\n(.*\n)*cifar10\/atom-ipc1 \(whitens: zca\)\n/)
    expect(JSON.parse((await run(library, 'recipes', 'cifar10/dm-ipc1')).stdout)).toMatchObject({ distill: { method: 'dm', ipc: 1 } })
    expect(JSON.parse((await run(library, 'recipes', '--schema')).stdout)).toMatchObject({ type: 'object' })
  })

  it('is explained: every setting with its origin', async () => {
    const { library } = fakeLibrary()
    const { stdout } = await run(library, 'recipes', 'cifar10/pad-ipc10', '--explain')
    for (const line of [
      /^innerSteps +80 +PAD, table 7$/m,
      /^mask +depth:0\.25 +PAD, table 7; the shipped files have 0\.5$/m,
      /^zca +true +configuration files/m,
      /^gsam +rho=0\.01 alpha=0\.3 adaptive=true +readme/m,
      /^emaDecay +none +/m,
    ])
      expect(stdout).toMatch(line)
    expect(stdout).not.toContain('realBatch')
    const dm = JSON.parse((await run(library, 'recipes', 'cifar10/dm-ipc1', '--explain', '--json')).stdout)
    expect(dm).toContainEqual({ name: 'realBatch', value: 256, origin: expect.stringMatching(/^preset 'code': released code/) })
    expect(dm).toContainEqual({ name: 'zca', value: false, origin: 'the recipe' })
    expect(await run(library, 'recipes', '--explain')).toMatchObject({ code: 2, stderr: expect.stringContaining('the name of one recipe') })
  })
})

describe('plan', () => {
  it('says what a run needs and what would fit, and fails when it does not', async () => {
    const { library, calls } = fakeLibrary()
    const { code, stdout } = await run(library, 'plan', '--data', 'tiny', '--method', 'atom', '--ipc', '10', '--set', 'gamma=0.5')
    expect(code).toBe(0)
    expect(stdout.split('\n')).toEqual([
      'distill           4 MiB on the device (working memory 1 MiB), about 2 min for 100 steps',
      'evaluate convnet  3.0 GiB on the device (working memory 1 MiB), about 2.0 h for 100 training steps and the measuring',
      'state   1 MiB of the distillation, twice more while a checkpoint is taken',
      'data    1 MiB in this process',
      'needs   3.0 GiB at most, 8.0 GiB are free: fits',
      'largest that fits: --ipc 40 (chosen: 10), no --real-batch at all',
      'times are predicted from 10 GFLOP/s, measured just now with this network',
      '',
    ])
    expect(calls.plan[0]).toMatchObject({ method: 'atom', ipc: 10, methodOptions: { gamma: 0.5 }, networks: ['convnet'], repeats: 5 })
    expect(calls.closed).toBe(1)
    const small = await run(library, 'plan', '--data', 'tiny', '--memory', '512M', '--json')
    expect(small.code).toBe(1)
    expect(JSON.parse(small.stdout)).toMatchObject({ fits: false, freeBytes: 512 * 2 ** 20 })
  })
})

describe('doctor', () => {
  it('shows what is there and why something is not', async () => {
    const { library } = fakeLibrary()
    const { code, stdout } = await run(library, 'doctor')
    expect(code).toBe(0)
    expect(stdout).toMatch(
      /cpu +ready, avx2 in use \(usable here: avx2, portable\)\ncuda +not built; run setup\nonnx +onnxruntime-node is not installed\n$/,
    )
    expect(JSON.parse((await run(library, 'doctor', '--json')).stdout)).toMatchObject({ backends: { cpu: { isa: 'avx2' } } })
  })

  it('shows the GPUs, and which libraries may be used on them', async () => {
    const { library } = fakeLibrary()
    const cuda = {
      available: true,
      driver: '13.0',
      toolkit: '13.0',
      devices: [{ name: 'GPU', architecture: 'sm_90', bytes: 2 ** 30 }],
    } as const
    const shown = async (version: string, missing: string) => {
      const libraries = [{ name: 'cuBLASLt', version, missing }]
      const backends = async () => ({ ...(await library.backends()), cuda: { ...cuda, libraries } })
      return (await run({ ...library, backends }, 'doctor')).stdout.split('\n').filter((line) => line.startsWith('cuda'))
    }
    expect(await shown('13.1.0', '')).toEqual([
      'cuda       ready, driver for CUDA 13.0, built with CUDA 13.0',
      'cuda       GPU 0: GPU, sm_90, 1.0 GiB',
      'cuda       cuBLASLt 13.1.0, used where it is known to be faster',
    ])
    expect((await shown('', 'no such file'))[2]).toBe('cuda       no cuBLASLt, which is not needed (no such file)')
  })

  it('fails when no backend can compute', async () => {
    const { library } = fakeLibrary()
    const absent = { available: false, built: false, reason: 'no addon; run npm run setup', driver: null, toolkit: null } as const
    const { code, stdout } = await run({ ...library, backends: async () => ({ cpu: absent, cuda: absent }) }, 'doctor')
    expect([code, stdout.includes('cpu        no addon; run npm run setup')]).toEqual([1, true])
  })
})
