/** @file Replays of the gradient-matching cases (DC): distances by class and tensor, cross-entropies, and the second-order pixel gradient. */
import { classGradients, type GradientMetric, gradientDistance, layerCosineTerms } from '../distill/matching/gradient-distance.js'
import { grad, sum, type Value } from '../engine/index.js'
import { AludelError } from '../errors.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { GoldenEngine } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import { hasBothSides, readMatching, toNchw } from './matching-case.js'
import { parametersOf } from './network.js'

/** Metrics as the files spell them. */
export const metrics: Readonly<Record<string, GradientMetric>> = { layer_cosine: 'layer-cosine', mse: 'mse', cosine: 'cosine' }

export const isGradientMatching = (golden: GoldenCase): boolean => hasBothSides(golden) && fieldAt(golden, 'params', 'metric') !== undefined

const vector = (values: readonly unknown[]) => ({ shape: [values.length], data: Float64Array.from(values, Number) })

export async function replayGradientMatching(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const matching = readMatching(golden)
  const { net, classes, inputs } = matching
  const metric = metrics[String(fieldAt(golden, 'params', 'metric'))]
  if (!metric) throw new AludelError('invalid_data', `${golden.name}: expected a metric of ${Object.keys(metrics).join(', ')}`)
  const results = await engine.run((values) => {
    const parameters = parametersOf(net, values)
    const side = (name: 'real' | 'syn') => classGradients(net.network, parameters, matching.batch(values, name), classes)
    const [real, synthetic] = [side('real'), side('syn')]
    const ofClass = gradientDistance(metric, net.network.parameters, synthetic.gradients, real.gradients)
    const distance = sum(ofClass)
    const terms = metric === 'layer-cosine' ? layerCosineTerms(net.network.parameters, synthetic.gradients, real.gradients) : {}
    const ofTensor = Object.entries(terms).map(([name, term]): [string, Value] => [`tensor.${name}`, sum(term)])
    return {
      distance,
      ofClass,
      gradient: grad(distance, [values.syn])[0],
      real: real.crossEntropy,
      synthetic: synthetic.crossEntropy,
      ...Object.fromEntries(ofTensor),
    }
  }, inputs)
  const checks = new CheckList(engine.name)
  checks.add('distance', 'loss', results.distance, scalarTensor(numberAt(golden, 'expected', 'distance')))
  checks.add('distance_of_class', 'loss', results.ofClass, vector(listAt(golden, 'expected', 'distance_of_class')))
  checks.add('grad_syn', 'gradient', toNchw(results.gradient), tensorAt(golden, 4, 'expected', 'grad_syn'))
  const crossEntropy = listAt(golden, 'expected', 'cross_entropy_real_syn_of_class') as readonly (readonly number[])[]
  checks.add('cross_entropy_real', 'loss', results.real, vector(crossEntropy.map(([real]) => real)))
  checks.add('cross_entropy_syn', 'loss', results.synthetic, vector(crossEntropy.map(([, synthetic]) => synthetic)))
  for (const [name, result] of Object.entries(results)) {
    const [kind, ...parameter] = name.split('.')
    if (kind !== 'tensor') continue
    const expected = numberAt(golden, 'expected', 'distance_of_tensor_summed_over_classes', parameter.join('.'))
    checks.add(`distance_of_tensor.${parameter.join('.')}`, 'loss', result, scalarTensor(expected))
  }
  return checks.checks
}
