/** @file What tests of libraries found at run time share: devices that use them, and runs in processes of their own beside what was called. */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { neg, type RefTensor } from '../../src/engine/index.js'
import { binding } from '../../src/engine/runtime/binding.js'
import { Device } from '../../src/engine/runtime/device.js'
import type { OpCase } from '../cases/index.js'
import { caseGraphs } from '../device/derivatives.js'
import { boundErrors, largestError } from '../device/error-bound.js'
import { runTraced } from '../device/run-traced.js'
import { emulated, inProcess } from './in-process.js'
import { isBias, roundedBy } from './rounded-operands.js'

/** Folder of the stand-ins. */
export const stands = join(dirname(process.env.ALUDEL_BINARY ?? ''), 'libraries')

export const foundLibrary = (name: string) =>
  binding()
    .surveyCudaLibraries()
    .find((library) => library.name === name)

export async function openWith(use: string, precision: 'f32' | 'tf32' | 'bf16' | 'tf32x3'): Promise<Device> {
  const before = process.env.ALUDEL_CUDA_LIBS
  process.env.ALUDEL_CUDA_LIBS = use
  try {
    return await Device.open({ device: 'cuda', precision })
  } finally {
    if (before === undefined) delete process.env.ALUDEL_CUDA_LIBS
    else process.env.ALUDEL_CUDA_LIBS = before
  }
}

/** What is an argument is the own kernels': the result is read on its way. */
export const onItsWay = (c: OpCase): OpCase => ({ ...c, build: (...values) => c.build(...values).map((value) => neg(value)) })

/** The plan of a case's forward graph, and its largest error in roundings, of operands rounded as the precision says. */
export async function runRounded(device: Device, precision: 'f32' | 'tf32' | 'bf16', c: OpCase) {
  const [{ traced, inputs }] = caseGraphs(onItsWay(c))
  const { results, plan } = await runTraced(device, traced, inputs)
  const boundsOf = (round: (v: number) => number) => {
    const rounded = inputs.map((x, i): RefTensor => (c.op === 'conv2d' && isBias(c.op, i) ? x : { ...x, data: x.data.map(round) }))
    return boundErrors(traced, rounded)
  }
  const exact = boundsOf((v) => v)
  const errorOf = (round: (v: number) => number) => {
    const bounds = boundsOf(round)
    const errors = results.map((result, i) => {
      const { reference, unit } = c.op !== 'conv2d' && isBias(c.op, i) ? exact : bounds
      const error = largestError(result, reference[i])
      return error === 0 ? 0 : error / unit[i]
    })
    return Math.max(0, ...errors)
  }
  // Real libraries may round less than the precision allows; the stand-ins round exactly so.
  const allowed = emulated ? [roundedBy[precision]] : [roundedBy[precision], roundedBy.tf32, roundedBy.f32]
  return { plan, error: Math.min(...allowed.map(errorOf)) }
}

/** Runs scripts in processes that may use the stand-ins, NAME of which is what its settings begin with. */
export class LibraryRuns {
  readonly folder = mkdtempSync(join(tmpdir(), 'aludel-libraries-'))
  readonly #name: string
  readonly #script: string

  constructor(name: string, script: string) {
    this.#name = name
    this.#script = script
  }

  /** What `body` logs, and what the stand-in does. */
  async run(settings: Record<string, string>, body: string) {
    const log = join(this.folder, 'log')
    rmSync(log, { force: true })
    const all = { ALUDEL_CUDA_LIBS: 'all', LD_LIBRARY_PATH: stands, [`${this.#name}_LOG`]: log, ...settings }
    const lines = await inProcess(all, `${this.#script}\n${body}`)
    let calls: string[] = []
    try {
      calls = readFileSync(log, 'utf8').trim().split('\n')
    } catch {}
    return { lines, calls }
  }

  close(): void {
    rmSync(this.folder, { recursive: true })
  }
}

/** Logs what libraries there are. */
export const survey = `import { createRequire } from 'node:module'; log(createRequire(process.cwd() + '/')(process.env.ALUDEL_BINARY).surveyCudaLibraries())`
