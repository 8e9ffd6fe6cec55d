/** @file Distillation without labels: the run of a method whose targets are a teacher's representations. */
import { type AnyDataset, resolveDataset } from '../../data/any-dataset.js'
import { type Dataset, rowsOfWhole } from '../../data/dataset.js'
import type { Device } from '../../engine/runtime/device.js'
import { inPieces, Turn } from '../../event-loop.js'
import { createRepresentationSet, type RepresentationSet } from '../../experiment/representation-set.js'
import type { DistillRun, RepresentationOptions } from '../../experiment/types.js'
import { checkEvery } from '../checkpointer.js'
import { type PreparedRun, startRun, type Task } from '../loop.js'
import type { RepresentationSettings } from './representation-iterations.js'
import { checkRepresentationOptions, resolveRepresentation } from './resolve.js'
import type { RepresentationStart } from './start.js'

/**
 * Distils `data` into `n` images and target representations of `teacher`. Labels of the data are never read. Settings are checked at once
 * (throws `invalid_option`, `incompatible` for a teacher of images of another size, `not_found`, `invalid_data`, `detached`); everything
 * later rejects `result` and ends the iteration with the same error. The teacher stays the caller's.
 *
 * ```ts
 * const run = distillRepresentations(await cifar10('data/cifar10', 'train'), { method: 'krr-st', n: 1000, teacher, device })
 * const set = await run.result
 * await set.save('runs/krr')
 * ```
 */
export function distillRepresentations(data: AnyDataset, options: RepresentationOptions<Device>): DistillRun<RepresentationSet> {
  checkRepresentationOptions(options)
  checkEvery(options.checkpointEvery)
  const { device, signal, checkpoints, checkpointEvery, teacher, ...settings } = options
  const resolved = resolveDataset(data)
  const prepare = (dataset: Dataset): Task<RepresentationSettings> => ({
    dataset,
    settings: resolveRepresentation(dataset, settings, teacher),
  })
  const task = resolved instanceof Promise ? resolved.then(prepare) : prepare(resolved)
  return startRun(
    task,
    { device, ...(signal && { signal }), ...(checkpoints && { checkpoints }), ...(checkpointEvery !== undefined && { checkpointEvery }) },
    collect,
  )
}

/** In the teacher's own units again. */
async function unscaled(targets: Float32Array, scale: number): Promise<Float32Array> {
  await inPieces(targets.length, new Turn(), (from, to) => {
    for (let i = from; i < to; i++) targets[i] /= scale
  })
  return targets
}

async function collect({ dataset, settings }: Task<RepresentationSettings>, { state, start }: PreparedRun): Promise<RepresentationSet> {
  const { ipc: n, network, dim, regression, config, teacher } = settings
  const { scale, statistics, sourceIds } = start as RepresentationStart
  const { name, objective, sha256 } = teacher as NonNullable<typeof teacher>
  const { step, rollbacks } = state.counters
  const [images, targets] = await Promise.all([state.arrays.images.read(), state.arrays.targets.read()])
  return createRepresentationSet({
    images: images as Float32Array,
    shape: [n, ...network.input],
    targets: await unscaled(targets as Float32Array, scale),
    dim,
    mean: dataset.mean,
    std: dataset.std,
    initSpace: regression.initSpace,
    teacher: { name, objective, dim, sha256 },
    targetStatistics: statistics,
    // rows are numbered in the data set that the subset was taken of
    source: { name: dataset.name, split: dataset.split, sha256: dataset.part?.of ?? dataset.sha256 },
    config: { ...config, steps: step, ...(rollbacks > 0 && { rollbacks }) },
    sourceIds: rowsOfWhole(dataset, sourceIds),
  })
}
