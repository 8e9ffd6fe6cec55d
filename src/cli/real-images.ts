/** @file Puts real images beside a run's synthetic ones, for its report. */
import type { Dataset } from '../data/dataset.js'
import { type ClassEnds, collectRealImages, writeRealImages } from '../experiment/real-images.js'
import { readRunRecord } from '../experiment/run-dir.js'
import { displayPixels } from '../experiment/synthetic-set.js'
import type { DeviceHandle, SyntheticSet } from '../experiment/types.js'
import { subsetHash } from '../prune/index.js'
import { extremesOf, shownExtremes } from '../report/extremes.js'
import { readRunSubset } from '../report/run-subset.js'
import type { Library } from './library.js'

/** Real images shown of each class. */
const perClass = 10

export async function addRealImages(
  dir: string,
  { set, train, device, library }: { set: SyntheticSet; train: Dataset; device: DeviceHandle; library: Library },
): Promise<void> {
  const nearest = await library.nearestReal(await displayPixels(set), train, device)
  await writeRealImages(dir, await collectRealImages(train, nearest, perClass, await keptEnds(dir, train)))
}

/** The easiest and hardest of the images that a subset keeps, where a score has chosen them. */
async function keptEnds(dir: string, train: Dataset): Promise<ClassEnds> {
  if (!train.part) return []
  const { subset } = (await readRunSubset(dir, await readRunRecord(dir))) ?? {}
  if (!subset?.values || !subset.score || subsetHash(subset) !== train.part.subset) return []
  const rows = train.classes.map((_, c) => train.classIndices(c))
  const scores = { score: subset.score, values: Float64Array.from(subset.values) }
  return extremesOf(scores, { rows }, shownExtremes(train.classes.length)).classes
}
