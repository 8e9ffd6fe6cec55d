/**
 * @file Dynamic pruning of gradient matching beside the same iterations without it: DC at IPC 1 and the shapes of `dc`, but three classes, so
 * that a step is short: a class costs the same however many there are. One step is as many iterations as the default has from look to look.
 */
import { GradientIterations } from '../../dist/distill/gradient-matching-loop.js'
import { prunedRuns } from './pruned-runs.mjs'

const kinds = [
  ['without', undefined],
  ...[8, 32].map((probes) => [`looking, ${probes} probes`, { probes, betaLow: 0, betaHigh: 0 }]),
  ['looking, 8 probes, every 5', { probes: 8, betaLow: 0, betaHigh: 0, every: 5 }],
  ['8 probes, tails of 0.1', { probes: 8, betaLow: 0.1, betaHigh: 0.1 }],
]

export const prepare = (device) =>
  prunedRuns(device, {
    settings: { method: 'dc', ipc: 1, realBatch: 256 },
    classes: 3,
    iterations: 40,
    kinds,
    open: (...run) => new GradientIterations(...run),
  })
