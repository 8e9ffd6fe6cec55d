/** @file Replays of self-supervised objectives: losses and gradients of Barlow Twins, SimCLR, VICReg and BYOL. */
import { grad, type Value } from '../engine/index.js'
import { barlowTwins } from '../pretrain/objectives/barlow-twins.js'
import { byol } from '../pretrain/objectives/byol.js'
import { ntXent } from '../pretrain/objectives/simclr.js'
import { vicreg } from '../pretrain/objectives/vicreg.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'

export const isSslLosses = (golden: GoldenCase): boolean => fieldAt(golden, 'kind') === 'ssl_losses'

type Inputs = Readonly<Record<string, Value>>
type Objective = (v: Inputs, number: (name: string) => number, is: (name: string) => boolean) => Value

const objectives: Readonly<Record<string, Objective>> = {
  barlow_twins: (v, number) => barlowTwins(v.z1, v.z2, { lambda: number('lambda'), scale: number('scale_loss') }),
  simclr_ntxent: (v, number) => ntXent(v.z1, v.z2, { temperature: number('temperature') }),
  vicreg(v, number, is) {
    const weights = { invariance: number('sim'), variance: number('var'), covariance: number('cov') }
    return vicreg(v.z1, v.z2, { ...weights, stdHalf: is('std_half') })
  },
  byol: (v) => byol([v.p1, v.p2], [v.z1, v.z2]),
}

export async function replaySslLosses(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  for (const [i] of listAt(golden, 'cases').entries()) {
    const name = String(fieldAt(golden, 'cases', i, 'name'))
    const objective = objectives[name]
    const names = Object.keys(fieldAt(golden, 'cases', i, 'inputs') as object)
    const inputs = Object.fromEntries(names.map((input) => [input, tensorAt(golden, 2, 'cases', i, 'inputs', input)]))
    const results = await engine.run((v) => {
      const number = (key: string) => numberAt(golden, 'cases', i, 'params', key)
      const loss = objective(v, number, (key) => fieldAt(golden, 'cases', i, 'params', key) === true)
      const gradients = grad(
        loss,
        names.map((input) => v[input]),
      )
      return { loss, ...Object.fromEntries(names.map((input, k) => [`gradient.${input}`, gradients[k]])) }
    }, inputs)
    const what = `${i}.${name}`
    checks.add(`${what}.loss`, 'loss', results.loss, scalarTensor(numberAt(golden, 'cases', i, 'loss')))
    for (const input of names)
      checks.add(`${what}.${input}`, 'gradient', results[`gradient.${input}`], tensorAt(golden, 2, 'cases', i, 'grads', input))
  }
  return checks.checks
}
