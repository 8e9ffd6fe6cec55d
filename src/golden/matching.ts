/** @file Replays of the feature-matching cases: loss and terms of DM, DataDAM and ATOM with their pixel gradient, and DM's SGD steps. */
import { atom, atomTerms } from '../distill/matching/atom.js'
import { datadam, datadamTerms } from '../distill/matching/datadam.js'
import { dm } from '../distill/matching/dm.js'
import { grad, type Value } from '../engine/index.js'
import { sgdUpdate } from '../optim/sgd.js'
import type { GoldenCase } from './case-file.js'
import { type Check, CheckList } from './compare.js'
import type { Build, GoldenEngine, Inputs } from './engines.js'
import { fieldAt, listAt, numberAt, scalarTensor, tensorAt } from './fields.js'
import { hasBothSides, lossContext, type MatchingCase, readMatching, toNchw, type Values } from './matching-case.js'
import type { GoldenTensor } from './tensor.js'

const has = (golden: GoldenCase, parameter: string): boolean => fieldAt(golden, 'params', parameter) !== undefined

/** DM cases carry real and synthetic images and no attention or gradient-distance parameters. */
export const isDistributionMatching = (golden: GoldenCase): boolean =>
  hasBothSides(golden) && !has(golden, 'p_spatial') && !has(golden, 'metric')

export const isAttentionMatching = (golden: GoldenCase): boolean => hasBothSides(golden) && has(golden, 'p_spatial')

const dmLoss = (matching: MatchingCase, values: Values): { loss: Value; gradient: Value } => {
  const loss = dm.loss(lossContext(matching, values), {})
  return { loss, gradient: grad(loss, [values.syn])[0] }
}

export function replayDistributionMatching(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  return fieldAt(golden, 'expected', 'syn_after') === undefined ? replayOneStep(golden, engine) : replaySgd(golden, engine)
}

async function replayOneStep(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const matching = readMatching(golden)
  const { loss, gradient } = await engine.run((values) => dmLoss(matching, values), matching.inputs)
  const checks = new CheckList(engine.name)
  checks.add('loss', 'loss', loss, scalarTensor(numberAt(golden, 'expected', 'loss')))
  checks.add('grad_syn', 'gradient', toNchw(gradient), tensorAt(golden, 4, 'expected', 'grad_syn'))
  return checks.checks
}

/** Every case is ATOM's formula; one without a channel term is DataDAM's as well, and is replayed through both methods. */
export async function replayAttentionMatching(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const matching = readMatching(golden)
  const n = (name: string) => numberAt(golden, 'params', name)
  const general = { lambda: n('lambda'), gain: n('gain'), layers: listAt(golden, 'expected', 'S_l').map((_, i) => i + 1) }
  const powers = { spatialPower: n('p_spatial'), channelPower: n('p_channel') }
  const weights = { spatialWeight: n('w_spatial'), channelWeight: n('w_channel') }
  const isDatadam = weights.channelWeight === 0 && weights.spatialWeight === 1
  const results = await engine.run((values) => {
    const context = lossContext(matching, values)
    const options = { ...general, ...powers, ...weights, gamma: null }
    const terms = atomTerms(context, options)
    const loss = atom.loss(context, options)
    const results: Record<string, Value> = { loss, grad_syn: grad(loss, [values.syn])[0], M: terms.embedding() }
    for (const [i, term] of terms.spatial().entries()) results[`S_l.${i}`] = term
    for (const [i, term] of terms.channel().entries()) results[`C_l.${i}`] = term
    if (!isDatadam) return results
    const own = { ...general, power: powers.spatialPower }
    results.datadam = datadam.loss(context, own)
    results.datadam_grad_syn = grad(results.datadam, [values.syn])[0]
    results.datadam_M = datadamTerms(context, own).embedding
    return results
  }, matching.inputs)
  const checks = new CheckList(engine.name)
  for (const [name, result] of Object.entries(results)) {
    const [field, ...index] = name
      .replace(/^datadam_/, '')
      .replace('datadam', 'loss')
      .split('.')
    if (field === 'grad_syn') checks.add(name, 'gradient', toNchw(result), tensorAt(golden, 4, 'expected', field))
    else checks.add(name, 'loss', result, scalarTensor(numberAt(golden, 'expected', field, ...index.map(Number))))
  }
  return checks.checks
}

async function replaySgd(golden: GoldenCase, engine: GoldenEngine): Promise<Check[]> {
  const matching = readMatching(golden)
  const { inputs, synthetic } = matching
  const [lr, momentum] = [numberAt(golden, 'params', 'lr'), numberAt(golden, 'params', 'momentum')]
  const build: Build = (values) => {
    const { loss, gradient } = dmLoss(matching, values)
    const { parameter, velocity } = sgdUpdate(values.syn, values.velocity, gradient, { lr, momentum })
    return { loss, syn: parameter, velocity }
  }
  const checks = new CheckList(engine.name)
  let state: Inputs = { syn: synthetic, velocity: { shape: synthetic.shape, data: new Float64Array(synthetic.data.length) } }
  for (const [i, loss] of listAt(golden, 'expected', 'loss_before_each_step').entries()) {
    const results = await engine.run(build, { ...inputs, ...state })
    checks.add(`loss_before_step.${i}`, 'loss', results.loss, scalarTensor(Number(loss)))
    state = { syn: results.syn, velocity: results.velocity }
  }
  // The displacement, not the value: the images hardly move, so the value would hide a wrong update.
  const before = tensorAt(golden, 4, 'inputs', 'syn').data
  const displacement = (t: GoldenTensor): GoldenTensor => ({ shape: t.shape, data: t.data.map((x, i) => x - before[i]) })
  checks.add('syn_after', 'gradient', displacement(toNchw(state.syn)), displacement(tensorAt(golden, 4, 'expected', 'syn_after')))
  return checks.checks
}
