/** @file How the steps of a method with a loss are run: all classes at once from memory, or replay by replay. */
import type { Dataset } from '../data/dataset.js'
import type { Device } from '../engine/runtime/device.js'
import { classesOfGroup } from './class-groups.js'
import type { Iterations } from './iterations.js'
import { type LossSettings, matchingIterations } from './matching-loop.js'
import { ReplayedIterations } from './replayed-iterations.js'
import { type ClassRange, classesOfShard } from './shard.js'

/** No class may be empty, and some must have `realBatch` images. */
export function lossIterations(device: Device, dataset: Dataset, settings: LossSettings): Iterations {
  const classes = dataset.classes.length
  const perGroup = classesOfGroup(device, dataset, settings)
  const own: ClassRange = settings.shard ? classesOfShard(settings.shard, classes, perGroup) : [0, classes]
  if (perGroup === classes && !dataset.pixels) return matchingIterations(device, dataset, settings, own)
  return new ReplayedIterations(device, dataset, settings, { perGroup, own })
}
