/** @file A sweep as its record keeps it. */
import type { SweepCell, SweepRecord } from '../../../src/experiment/sweep-record.js'
import type { EvaluationResult } from '../../../src/experiment/types.js'

const result = (network: string, mean: number, values: readonly number[] = [mean]): EvaluationResult => ({
  ...{ network, mean, std: 0.5, n: values.length, values, interval: null, perClass: [mean + 10, mean - 10] },
})

/** Accuracies by order, share and repetition, and a network that follows at a distance. */
export function sweepCells(change: Partial<SweepCell> = {}): SweepCell[] {
  const means = { asc: { 0.1: 40, 0.4: 46 }, desc: { 0.1: 30, 0.4: 36 }, all: { 1: 45 } }
  return Object.entries(means).flatMap(([order, shares]) =>
    Object.entries(shares).flatMap(([keep, mean]) =>
      [0, 1].map((repeat) => ({
        ...{ order: order as SweepCell['order'], keep: Number(keep), repeat, seed: 7 + repeat, run: `${order}-${keep}-${repeat} <&>` },
        ...{ subset: null, steps: 100, classCounts: [10, 12], seconds: { distill: 60 * Number(keep), evaluate: 5 } },
        accuracies: [result('convnet', mean + repeat), result('resnet18', mean - 5, [mean - 6, mean - 4]), result('vit', mean - 9)],
        ...change,
      })),
    ),
  )
}

export const sweepRecord = (change: Partial<SweepRecord> = {}): SweepRecord => ({
  format: 'aludel-sweep',
  version: 1,
  status: 'done',
  settings: { data: 'cifar10:<dir>', keep: [0.1, 0.4, 1], distill: { method: 'dm', ipc: 10 }, evaluate: { networks: ['convnet'] } },
  cells: sweepCells(),
  ...change,
})
