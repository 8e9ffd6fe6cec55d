/** @file A checkpoint like those of a run, small or of a given size. */
import type { Plan } from '../../../src/engine/compile/program.js'
import type { Checkpoint } from '../../../src/experiment/types.js'

const plan: Plan = {
  format: 1,
  isa: 'avx2',
  arenaBytes: 4096,
  localBytesPerWorker: 64,
  constantBytes: 0,
  argumentBytes: 96,
  flops: 1e6,
  bytesMoved: 2e6,
  instructions: 3,
  slices: [],
  algorithms: [],
}

/** `step` is in every value, so that no two checkpoints are alike. */
export function tinyCheckpoint(step: number, elements = 12): Checkpoint {
  return {
    config: { method: 'dm', ipc: 1, iterations: 9, seed: 3, dataSha256: 'cd'.repeat(32) },
    data: { classes: ['a', 'b'], mean: [0.5], std: [0.25], flip: true },
    plans: { step: plan },
    counters: { step, rollbacks: 0 },
    seconds: step / 4,
    tensors: {
      images: { dtype: 'f32', shape: [2, elements / 2], data: Float32Array.from({ length: elements }, (_, i) => Math.sin(i + step)) },
      cursor: { dtype: 'u32', shape: [2], data: Uint32Array.of(step, 7) },
    },
  }
}
