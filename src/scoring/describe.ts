/** @file What a score file says of where its numbers come from. Equal settings, equal text: it is part of the file's bytes. */
import type { ScoreDescription } from '../prune/provenance.js'
import type { ScoreName } from '../scores/registry.js'
import { type ScoringPlan, snapshotKinds } from './options.js'

export function describeScore(name: ScoreName | 'features', plan: ScoringPlan): ScoreDescription {
  const { seed, runs, epochs, weights } = plan
  if (name === 'uniform') return { name, source: 'chance', pass: 'evaluation', epochs: null, runs: null, seed }
  // features are those of one network
  const networks = name === 'features' ? 1 : runs
  const source = [networkText(plan, networks), ...detail(name, plan)].join(', ')
  return { name, source, pass: 'evaluation', epochs: weights ? null : epochs, runs: networks, seed: weights ? null : seed }
}

function networkText({ networkName, epochs, lr, augment, weights }: ScoringPlan, networks: number): string {
  const count = networks === 1 ? networkName : `${networks} x ${networkName}`
  return weights ? `${count}, given` : `${count} trained ${epochs} epochs at lr ${lr}, augmentation ${augment}`
}

function detail(name: ScoreName | 'features', { weights, window, epoch, neverLearned }: ScoringPlan): string[] {
  if (weights) return []
  if (name === 'loss') return [`mean over epochs ${window.from + 1} to ${window.to}`]
  if ((snapshotKinds as readonly string[]).includes(name)) return [`after epoch ${epoch + 1}`]
  return name === 'forgetting' ? [`never learned: ${neverLearned}`] : []
}
