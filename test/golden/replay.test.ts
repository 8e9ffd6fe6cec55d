/** @file Golden cases through the interpreter and through the product; and proof that a wrong expectation is noticed. */
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { Device } from '../../src/engine/runtime/device.js'
import { findCases, type GoldenCase } from '../../src/golden/case-file.js'
import { passes } from '../../src/golden/compare.js'
import { float32Engine, float64Engine } from '../../src/golden/engines.js'
import { describeResult, replayCase, replayFolder } from '../../src/golden/replay.js'

/** The places that the perturbations below reach into. */
interface GoldenJson {
  readonly expected: {
    loss: number
    distance: number
    readonly loss_of_step: number[]
    readonly weights_after: Readonly<Record<string, { data: number[] }>>
    readonly C_l: number[]
    readonly grad_syn: { data: (number | null)[] }
    readonly syn_after: { data: number[] }
  }
  readonly arrays: Readonly<Record<string, { data: number[] }>>
  readonly total_over_runs_never_is_E: number[]
  readonly scores_ties_kept: { readonly percent_desc: Readonly<Record<string, number[]>> }
  readonly imagenette: { readonly classes: { synset: string }[] }
  readonly craig: { readonly order: number[] }
  readonly herding_argmax_variant_do_not_use: { order: number[] }
  readonly herding: { readonly order: number[] }
  readonly traces: readonly { readonly sets: number[][] }[]
  readonly start_epoch_upper_exclusive: readonly { readonly upper: number[][] }[]
  readonly multi_run: { readonly el2n_mean: number[] }
  readonly cases: readonly { readonly y: { data: number[] } }[]
  readonly meta: { readonly cases: { readonly soft_loss_a25: { loss: number } } }
}

const data = fileURLToPath(new URL('data', import.meta.url))
const cases = findCases(data)
const scratch = mkdtempSync(join(tmpdir(), 'golden-'))
afterAll(() => rmSync(scratch, { recursive: true }))

it('counts a case that exists as .json and as .npz once', () => {
  expect(cases.map(({ name }) => name).filter((name) => name.endsWith('hvp'))).toEqual(['trajectory/hvp'])
  expect(cases).toHaveLength(95)
})

describe('float64 interpreter', () => {
  it.each(cases)('$name', async (golden) => {
    const result = await replayCase(golden, [float64Engine])
    expect(result.outcome, describeResult(result).join('\n')).toBe('passed')
  })
})

describe('float32 product', () => {
  let device: Device
  beforeAll(async () => {
    device = await Device.open({ threads: 2 })
  })
  afterAll(() => device.close())

  it.each(cases)('$name', async (golden) => {
    const result = await replayCase(golden, [float32Engine(device)])
    expect(result.outcome, describeResult(result).join('\n')).toBe('passed')
  })
})

/** Writes `edit`ed JSON of a case into a folder of its own. */
function edited(name: string, label: string, edit: (json: GoldenJson) => void): string {
  const folder = join(scratch, label)
  mkdirSync(folder)
  const json = JSON.parse(readFileSync(join(data, `${name}.json`), 'utf8'))
  edit(json)
  writeFileSync(join(folder, 'case.json'), JSON.stringify(json))
  return folder
}

async function replayOne(folder: string) {
  const results = []
  for await (const result of replayFolder(folder, [float64Engine])) results.push(result)
  expect(results).toHaveLength(1)
  return results[0]
}

describe('what must not pass', () => {
  it.each([
    ['a loss off by 1e-7', 'matching/dm', 'loss[f64]', (json) => (json.expected.loss *= 1 + 1e-7)],
    [
      'one gradient entry off by 1e-6 of the largest',
      'matching/dm',
      'grad_syn[f64]',
      (json) => {
        const { data } = json.expected.grad_syn
        data[5] = Number(data[5]) + 1e-6 * Math.max(...data.map((g) => Math.abs(Number(g))))
      },
    ],
    ['an augmented pixel', 'matching/dsa_crop', 'siamese_extreme.y[f64]', (json) => (json.cases[0].y.data[3] += 1)],
    ['a Hessian-vector product', 'trajectory/hvp', 'soft_Hv[f64]', (json) => (json.arrays.soft_Hv.data[7] += 1e-4)],
    ['a row of an epoch', 'trajectory/scheduler', 'global.1.rows[f64]', (json) => json.traces[1].sets[22][3]++],
    ['a bound of start epochs', 'trajectory/scheduler', 'start_epoch.3[f64]', (json) => json.start_epoch_upper_exclusive[3].upper[3][1]++],
    ['a mean score', 'trajectory/scores', 'el2n_mean[f64]', (json) => (json.multi_run.el2n_mean[2] += 1e-9)],
    [
      'the loss of an unroll',
      'trajectory/unroll_inputs',
      'soft_loss_a25.loss[f64]',
      (json) => (json.meta.cases.soft_loss_a25.loss *= 1 + 1e-9),
    ],
    ['a learned rate', 'trajectory/outer', 'lr_after2[f64]', (json) => (json.arrays.lr_after2.data[0] *= 1 + 1e-9)],
    ['a distance of gradients', 'matching/dc_mse', 'distance[f64]', (json) => (json.expected.distance *= 1 + 1e-7)],
    ['the loss of a matching step', 'matching/dc_steps', 'loss_of_step.2[f64]', (json) => (json.expected.loss_of_step[2] *= 1 + 1e-7)],
    ['a trained weight', 'matching/dc_steps', 'weights_after[f64]', (json) => (json.expected.weights_after['fc.bias'].data[1] += 1e-6)],
    ['a channel term', 'matching/atom_p4', 'C_l.1[f64]', (json) => (json.expected.C_l[1] *= 1 + 1e-7)],
    ['a momentum step', 'matching/dm_sgd', 'syn_after[f64]', (json) => (json.expected.syn_after.data[0] += 1e-6)],
    ['a count of forgetting', 'selection/forgetting', 'total_over_runs_never_is_E[f64]', (json) => json.total_over_runs_never_is_E[2]++],
    ['a kept row', 'selection/prune_static', 'scores_ties.percent_desc.20[f64]', (json) => json.scores_ties_kept.percent_desc[20][0]--],
    ['a synset', 'selection/imagenet_subsets', 'imagenette.classes[f64]', (json) => (json.imagenette.classes[3].synset = 'n00000001')],
    ['an order of choice', 'selection/geometry', 'craig.order[f64]', (json) => json.craig.order.reverse()],
    [
      'a known mistake that comes out',
      'selection/geometry',
      'herding_argmax_variant_do_not_use[f64]',
      (json) => (json.herding_argmax_variant_do_not_use.order = json.herding.order),
    ],
  ] as [string, string, string, (json: GoldenJson) => void][])('%s', async (label, name, tensor, edit) => {
    const result = await replayOne(edited(name, label, edit))
    expect(result.outcome).toBe('failed')
    expect(result.checks.filter((check) => !passes(check)).map((check) => check.tensor)).toEqual([tensor])
  })

  it('NaN in the expectation', async () => {
    const folder = edited('matching/dm', 'nan', (json) => (json.expected.grad_syn.data[0] = null))
    const result = await replayOne(folder)
    expect(result).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('expected numbers only') })
  })

  it('a .npz that differs from its .json', async () => {
    const folder = join(scratch, 'differing')
    mkdirSync(folder)
    cpSync(join(data, 'trajectory/hvp.npz'), join(folder, 'hvp.npz'))
    const json = JSON.parse(readFileSync(join(data, 'trajectory/hvp.json'), 'utf8'))
    json.arrays.x.data[0] += 1
    writeFileSync(join(folder, 'hvp.json'), JSON.stringify(json))
    const result = await replayOne(folder)
    expect(result).toMatchObject({ outcome: 'failed', reason: expect.stringContaining("array 'x' differs") })
  })

  it('a file that is not JSON', async () => {
    const folder = join(scratch, 'broken')
    mkdirSync(folder)
    writeFileSync(join(folder, 'case.json'), '{')
    expect(await replayOne(folder)).toMatchObject({ outcome: 'failed', reason: expect.stringContaining('expected JSON') })
  })
})

it('skips a kind that no method computes, by name', async () => {
  const folder = join(scratch, 'unknown')
  mkdirSync(folder)
  writeFileSync(join(folder, 'ridge.json'), '{"params": {}, "K_ss": {"shape": [1], "data": [1]}}')
  const result = await replayOne(folder)
  expect(result.outcome).toBe('skipped')
  expect(describeResult(result)[0]).toMatch(/^skip ridge: /)
})

it('names a folder that does not exist', () => {
  expect(() => findCases(join(scratch, 'nowhere'))).toThrow(expect.objectContaining({ code: 'not_found' }))
})

it('does not take a manifest for a case', () => {
  const folder = join(scratch, 'manifest')
  mkdirSync(folder)
  writeFileSync(join(folder, 'manifest.json'), '{"set": "A", "files": {}}')
  expect(findCases(folder) satisfies readonly (GoldenCase | object)[]).toEqual([])
})
