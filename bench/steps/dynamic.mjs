/**
 * @file Dynamic pruning beside the same iterations without it: DM at the shapes of `dm` (256 real and 10 synthetic images a class). With
 * tails of 0 nothing is dropped and the difference is what looking costs; with tails of 0.1 the dropped rows save time. One step is ten
 * iterations (two looks) of each.
 */
import { DynamicIterations } from '../../dist/distill/dynamic/dynamic-iterations.js'
import { lossIterations } from '../../dist/distill/loss-iterations.js'
import { prunedRuns } from './pruned-runs.mjs'

const kinds = [
  ['without', undefined],
  ...[8, 16, 32].map((probes) => [`looking, ${probes} probes`, { probes, betaLow: 0, betaHigh: 0 }]),
  ['8 probes, tails of 0.1', { probes: 8, betaLow: 0.1, betaHigh: 0.1 }],
]

export const prepare = (device) =>
  prunedRuns(device, {
    settings: { method: 'dm', ipc: 10, realBatch: 256, augment: 'none' },
    classes: 10,
    iterations: 10,
    kinds,
    open: (...run) => (run[2].dynamic ? new DynamicIterations(...run) : lossIterations(...run)),
  })
