/** @file Settings of dynamic pruning: checked, completed, and refused with the reason where effects of single samples do not exist. */
import { checkOptions, wholeNumber } from '../../arguments.js'
import { AludelError, expected } from '../../errors.js'
import type { DynamicPruning, RunConfig } from '../../experiment/types.js'
import type { Network } from '../../nn/module.js'
import type { Method } from '../method.js'
import type { DynamicRuleOptions } from './rule.js'

export interface DynamicSettings extends DynamicRuleOptions {
  readonly probes: number
}

const optionNames: Readonly<Record<keyof DynamicPruning, true>> = {
  ...{ betaLow: true, betaHigh: true, every: true, probes: true },
  ...{ mode: true, statistics: true, momentum: true, scope: true },
}
const choices = { mode: ['moments', 'rank'], statistics: ['ema', 'cumulative'], scope: ['global', 'class'] } as const
const mostProbes = 256
/** Steps between looks. One of a gradient method costs about 2.5 matching steps; one of the others a quarter of a step. */
const defaultEvery = { gradient: 40, loss: 5 }

/** Throws `invalid_option`, also for a network under which a sample has no effect of its own. */
export function resolveDynamic(given: DynamicPruning, method: Method, network: Network): DynamicSettings {
  checkOptions<DynamicPruning>('dynamic', given, optionNames)
  if ('regression' in method) {
    const why = `${method.name} matches neither class means nor gradients, and what a sample does to an answer is not measured`
    throw new AludelError('invalid_option', `dynamic: ${why}; leave it out, or distil a subset (aludel prune)`)
  }
  if ('trajectory' in method) {
    const why = `${method.name} matches the training of experts and sees no real images, so none has an effect`
    throw new AludelError('invalid_option', `dynamic: ${why}; train the experts on the images that are to stay`)
  }
  const {
    betaLow = 0.1,
    betaHigh = 0.1,
    every = 'distance' in method ? defaultEvery.gradient : defaultEvery.loss,
    probes = 8,
    mode = 'moments',
    statistics = 'ema',
    momentum = 0.1,
    scope = 'global',
  } = given
  for (const [name, share] of Object.entries({ betaLow, betaHigh }))
    if (!(share >= 0 && share < 1)) throw expected('invalid_option', `dynamic: ${name}`, 'a share in [0, 1)', share)
  if (betaLow + betaHigh >= 1) throw expected('invalid_option', 'dynamic: betaLow + betaHigh', 'less than 1', betaLow + betaHigh)
  wholeNumber('dynamic: every', every)
  if (wholeNumber('dynamic: probes', probes) > mostProbes)
    throw expected('invalid_option', 'dynamic: probes', `at most ${mostProbes}`, probes)
  if (!(momentum > 0 && momentum <= 1)) throw expected('invalid_option', 'dynamic: momentum', 'a number in (0, 1]', momentum)
  for (const [name, value] of Object.entries({ mode, statistics, scope })) {
    const known: readonly string[] = choices[name as keyof typeof choices]
    if (!known.includes(value)) throw expected('invalid_option', `dynamic: ${name}`, known.join(' or '), value)
  }
  if (network.state.length > 0) {
    const todo = 'take a network with instance norm'
    throw new AludelError(
      'invalid_option',
      `dynamic: under batch norm every sample moves every other (${network.name}), so none has an effect of its own; ${todo}`,
    )
  }
  return { betaLow, betaHigh, every, probes, mode, statistics, momentum, scope }
}

/** As part of what a run is. */
export const dynamicConfig = (settings: DynamicSettings): RunConfig =>
  Object.fromEntries(Object.entries(settings).map(([name, value]) => [`dynamic${name[0].toUpperCase()}${name.slice(1)}`, value]))
