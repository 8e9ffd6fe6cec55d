/** @file Replays of GSAM steps: perturbation, perturbed gradient, the gradient of the update and the parameters after it. */
import { addAll, dot, grad, mul, reshape, sqrt, squaredNorm, sub, type Value } from '../engine/index.js'
import { nchwToNhwc } from '../nn/layout.js'
import { type GsamOptions, gsamGradient } from '../optim/gsam.js'
import { caseBeside, type GoldenCase, readArray } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine, Inputs } from './engines.js'
import { fieldAt, numberAt, scalarTensor } from './fields.js'
import { type GoldenNetwork, meanLoss, parametersOf } from './network.js'
import type { GoldenTensor } from './tensor.js'
import { joinFlat, networkOf, splitFlat } from './trajectory.js'

const inputsName = 'gsam_inputs'

export const isGsamInputs = (golden: GoldenCase): boolean => fieldAt(golden, 'meta', 'cases', 'case0', 'rho') !== undefined
export const isGsamOutputs = (golden: GoldenCase): boolean => fieldAt(golden, 'meta', 'see') === inputsName

type Sizes4 = readonly [number, number, number, number]

interface Step {
  readonly net: GoldenNetwork
  readonly results: Readonly<Record<string, GoldenTensor>>
}

/** One step of the case `name` of the inputs. */
async function step(golden: GoldenCase, engine: GoldenEngine, name: string): Promise<Step> {
  const x = readArray(golden, 'x')
  const [n, c, h, w] = x.shape as Sizes4
  const net = networkOf(golden, x)
  const inputs: Inputs = {
    x: { shape: [n, h, w, c], data: nchwToNhwc(x.data, [n, c, h, w]) },
    labels: { ...readArray(golden, 'labels_int'), dtype: 'i32' },
    ...splitFlat(net, readArray(golden, 'theta')),
  }
  const field = (key: string) => numberAt(golden, 'meta', 'cases', name, key)
  const adaptive = fieldAt(golden, 'meta', 'cases', name, 'adaptive') === true
  const options = { rho: field('rho'), alpha: field('alpha'), adaptive }
  return { net, results: await engine.run((v) => traceStep(net, v, options, field('lr')), inputs) }
}

function traceStep(net: GoldenNetwork, v: Readonly<Record<string, Value>>, options: GsamOptions, lr: number): Record<string, Value> {
  const { network } = net
  const names = network.parameters.map(({ name }) => name)
  const losses: Value[] = []
  const gradientsAt = (parameters: readonly Value[]) => {
    const { logits } = network.apply(Object.fromEntries(names.map((name, i) => [name, parameters[i]])), reshape(v.x, [1, ...v.x.shape]))
    const loss = meanLoss(reshape(logits, [v.x.shape[0], network.classes]), v.labels)
    losses.push(loss)
    return grad(loss, parameters)
  }
  const named = parametersOf(net, v)
  const parameters = names.map((name) => named[name])
  const { gradients, clean, perturbation = [], perturbed = [] } = gsamGradient(parameters, gradientsAt, options)
  const all = { g_final: gradients, g1: clean, e_w: perturbation, g2: perturbed }
  const [norm_g1, norm_g2] = [clean, perturbed].map((tensors) => sqrt(addAll(tensors.map((x) => squaredNorm(x)))))
  return {
    ...{ loss_clean: losses[0], loss_perturbed: losses[1], norm_g1, norm_g2 },
    product: addAll(clean.map((g, i) => dot(g, perturbed[i]))),
    ...Object.fromEntries(names.map((name, i) => [`theta_new.${name}`, sub(parameters[i], mul(gradients[i], lr))])),
    ...Object.fromEntries(Object.entries(all).flatMap(([key, tensors]) => names.map((name, i) => [`${key}.${name}`, tensors[i]]))),
  }
}

const caseNames = (golden: GoldenCase): string[] => Object.keys(fieldAt(golden, 'meta', 'cases') as object)

/** Losses at both points, norms and cosine, which stand beside the inputs. */
export async function replayGsamInputs(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const checks = new CheckList(engine.name)
  for (const name of caseNames(golden)) {
    const { results } = await step(golden, engine, name)
    const number = (key: string) => results[key].data[0]
    const values: Readonly<Record<string, GoldenTensor>> = {
      ...results,
      cosine: scalarTensor(number('product') / (number('norm_g1') * number('norm_g2'))),
    }
    for (const key of ['loss_clean', 'loss_perturbed', 'norm_g1', 'norm_g2', 'cosine'] as const)
      checks.add(`${name}_${key}`, 'trajectory', values[key], scalarTensor(numberAt(golden, 'meta', 'cases', name, key)))
  }
  return checks.checks
}

/** Every array, of the steps that the inputs beside it describe. */
export async function replayGsamOutputs(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const inputs = caseBeside(golden, inputsName)
  const checks = new CheckList(engine.name)
  for (const name of caseNames(inputs)) {
    const { net, results } = await step(inputs, engine, name)
    const add = (array: string, key: string) => {
      if (golden.arrayNames.includes(array)) checks.add(array, 'trajectory', joinFlat(net, `${key}.`, results), readArray(golden, array))
    }
    for (const key of ['g_final', 'e_w', 'g2', 'theta_new']) add(`${name}_${key}`, key)
    if (name === 'case0') add('g1', 'g1')
  }
  return checks.checks
}
