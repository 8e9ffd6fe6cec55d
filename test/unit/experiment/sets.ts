/** @file A small synthetic set and run record for tests. */
import type { RunRecord } from '../../../src/experiment/run-dir.js'
import { createSyntheticSet } from '../../../src/experiment/synthetic-set.js'
import type { SyntheticSet, SyntheticSetFields } from '../../../src/experiment/types.js'

/** Two classes, two 3x4 RGB images each. */
export const tinyFields = (): SyntheticSetFields => ({
  images: Float32Array.from({ length: 4 * 3 * 4 * 3 }, (_, i) => Math.sin(i)),
  shape: [4, 3, 4, 3],
  labels: Int32Array.of(0, 0, 1, 1),
  classes: ['cat & "dog"', '<ship>'],
  mean: [0.5, 0.4, 0.3],
  std: [0.25, 0.2, 0.1],
  flip: true,
  source: { name: 'tiny', split: 'train', sha256: 'ab'.repeat(32) },
  config: { method: 'dm', ipc: 2, seed: 5 },
  sourceIds: Int32Array.of(7, -1, 3, 4),
})

export const tinySet = (change: Partial<SyntheticSetFields> = {}): SyntheticSet => createSyntheticSet({ ...tinyFields(), ...change })

/** The set with labels and rate learned. */
export const tinyLearned = (change: Partial<SyntheticSetFields> = {}): SyntheticSet =>
  tinySet({ labelLogits: Float32Array.from({ length: 8 }, (_, i) => i - 3.3), learningRate: 0.0125, ...change })

export const tinyRecord = (): RunRecord => ({
  format: 'aludel-run',
  version: 1,
  status: 'done',
  config: { method: 'dm', ipc: 2, seed: 5, imageLr: 0.1 },
  data: { specification: 'mnist:<dir>', name: 'tiny', sha256: 'ab'.repeat(32), images: 100 },
  versions: { aludel: '0.1.0' },
  host: { cpu: 'some & other', cores: 2 },
  started: '2026-01-01T00:00:00.000Z',
  finished: null,
  error: null,
  evaluations: [],
})
