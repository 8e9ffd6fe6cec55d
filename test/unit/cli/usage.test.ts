/** @file Wrong command lines: exit code 2, a sentence on stderr, and nothing on stdout but JSON when asked for. */
import { describe, expect, it } from 'vitest'
import { AludelError } from '../../../src/errors.js'
import { fakeLibrary, run } from './fake-library.js'

describe('wrong command lines', () => {
  it.each<[string, RegExp]>([
    ['frobnicate', /unknown command 'frobnicate'/],
    ['distil --data tiny', /unknown command 'distil'.*\n.*Did you mean distill/],
    ['distill', /required option '--data/],
    ['distill --data tiny --ipc 0', /'--ipc <n>' argument '0' is invalid. expected a whole number >= 1/],
    ['distill --data tiny --ipc 1.5', /whole number/],
    ['distill --data tiny --ipc x', /whole number/],
    ['distill --data tiny --image-lr -1', /expected a number > 0/],
    ['distill --data tiny --image-lr nan', /expected a number > 0/],
    ['distill --data tiny --init zeros', /Allowed choices are real, noise/],
    ['distill --data tiny --device tpu', /Allowed choices are cpu, cuda/],
    ['distill --data tiny --seed -1', /whole number >= 0/],
    ['distill --data tiny --learning-rate 1', /unknown option '--learning-rate'/],
    ['distill --data tiny --on-divergence hope', /Allowed choices are stop, rollback/],
    ['distill --data tiny --checkpoint-every 0', /whole number >= 1/],
    ['distill --resume run --seed 0', /--seed: a run continues with its own settings; leave it out beside --resume/],
    ['distill --resume run --real-batch 5', /--real-batch: a run continues/],
    ['distill --resume run --out other', /--out: a run continues/],
    ['distill --data tiny --set lambda', /argument 'lambda' is invalid. expected key=value/],
    ['distill --data tiny --set lambda=', /expected key=value/],
    ['distill --data tiny --set p=1 --set p=2', /'p' is given twice/],
    ['distill --data tiny extra', /too many arguments/],
    ['evaluate', /expected a run directory, --model, or --subset with --data but received 'none of them'/],
    ['evaluate run --model m.onnx --data tiny', /either a run directory or --model but received 'both'/],
    ['evaluate --model m.onnx', /--data with the data set to measure on/],
    ['evaluate --model m.onnx --data tiny --repeats 2', /options among .* but received '--repeats'/],
    ['evaluate --model m.onnx --data tiny --mean 0.5,x', /numbers separated by commas/],
    ['evaluate --model m.onnx --data tiny --scale 1/0', /expected a number > 0/],
    ['evaluate --model= --data tiny', /'--model <file>' argument '' is invalid. expected a path/],
    ['export run', /required option '--format <name>'/],
    ['export run --format pt', /Allowed choices are npz, png, parquet, onnx/],
    ['export --format npz', /missing required argument 'run'/],
    ['export run --format npz --epochs 5', /--epochs: expected --format onnx/],
    ['export run --format onnx --repeats 0', /whole number >= 1/],
    ['evaluate run --inference torch', /Allowed choices are auto, onnx, engine/],
    ['evaluate run --mean 0.5', /--mean: expected --model or --teacher with an ONNX file beside it/],
    ['distill --data tiny --override distill.ipc=2', /--override: expected --recipe beside it/],
    ['experts', /required option '--data/],
    ['experts --data tiny', /required option '--out <dir>' not specified/],
    ['experts --data tiny --out x --experts 0', /whole number >= 1/],
    ['experts --data tiny --out x --optimizer adam', /Allowed choices are sgd, gsam/],
    ['experts --data tiny --out x --rho 0.1', /--rho, --alpha and --gsam-form go with --optimizer gsam only/],
    ['experts --data tiny --out x --keep-epochs 5-2', /expected FROM-TO in epochs/],
    ['experts --data tiny --out x --scores random', /--scores: goes with --schedule pad only/],
    ['experts --data tiny --out x --schedule hard', /expected none, pad, or pad:key=value/],
    ['experts --data tiny --out x --schedule pad:ratio=1', /'ratio' is none of initialRatio/],
    ['experts --trim 0-4 --out x --experts 5', /--experts: does nothing beside --trim/],
    ['experts --verify x --epochs 3', /--epochs: does nothing beside --verify/],
    ['experts --data tiny --out x --shard 3/2', /expected i\/N/],
    ['experts --resume x --lr 1', /--lr: experts continue with their own settings/],
    ['experts --trim 0-3', /--trim: expected --out with the directory of the store/],
    ['plan', /required option '--data <name\[:path\]>' not specified/],
    ['plan --data tiny --memory lots', /expected a size such as 8G or 512M/],
    ['plan --data tiny --memory 0G', /expected a size/],
    ['evaluate run --networks convnet,,', /names separated by commas/],
    ['doctor --threads x', /unknown option/],
    ['distill --data tiny --out ', /'--out <dir>' argument '' is invalid. expected a path/],
    ['distill --data tiny --out=', /'--out <dir>' argument '' is invalid. expected a path/],
    ['report run --out=', /'--out <file>' argument '' is invalid. expected a path/],
    ['quickstart --out ', /'--out <dir>' argument '' is invalid. expected a path/],
    ['evaluate ', /argument value '' is invalid for argument 'run'. expected a path/],
  ])('%s', async (line, text) => {
    const { library, calls } = fakeLibrary()
    const { code, stdout, stderr } = await run(library, ...line.split(' '))
    expect([code, stdout]).toEqual([2, ''])
    expect(stderr).toMatch(text)
    expect(calls.opened).toEqual([])
    const json = await run(library, ...line.split(' '), '--json')
    expect(JSON.parse(json.stdout).error.code).toBe('invalid_option')
  })

  it('a data set that is not there is a failure, not a usage error', async () => {
    const { code, stdout } = await run(fakeLibrary().library, 'distill', '--data', 'absent', '--json')
    expect([code, JSON.parse(stdout)]).toEqual([1, { error: { code: 'not_found', message: 'absent: no such directory' } }])
  })
})

it('shows what a terminal would act on, wherever it comes from', async () => {
  const { library } = fakeLibrary()
  library.openDataset = async () => {
    throw new AludelError('invalid_data', "a\u001b[2J\u0007b\rc\u009bd\te\nf: class 'ä 猫'")
  }
  const { code, stderr } = await run(library, 'distill', '--data', 'hostile')
  expect([code, stderr]).toEqual([1, "error: a\\x1b[2J\\x07b\\x0dc\\x9bd\te\nf: class 'ä 猫'\n"])
})

describe('help and version', () => {
  it.each([['--help'], ['distill --help'], ['evaluate --help'], ['--version']])('%s is no error', async (line) => {
    const { code, stdout, stderr } = await run(fakeLibrary().library, ...line.split(' '))
    expect([code, stderr]).toEqual([0, ''])
    expect(stdout.length).toBeGreaterThan(4)
  })

  it('help documents the exit codes', async () => {
    expect((await run(fakeLibrary().library, '--help')).stdout).toContain(
      'Exit codes: 0 done, 1 failed, 2 wrong command or option, 130 interrupted',
    )
  })
})
