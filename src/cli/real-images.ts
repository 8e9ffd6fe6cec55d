/** @file Puts real images beside a run's synthetic ones, for its report. */
import type { Dataset } from '../data/dataset.js'
import { collectRealImages, writeRealImages } from '../experiment/real-images.js'
import { displayPixels } from '../experiment/synthetic-set.js'
import type { DeviceHandle, SyntheticSet } from '../experiment/types.js'
import type { Library } from './library.js'

/** Real images shown of each class. */
const perClass = 10

export async function addRealImages(
  dir: string,
  { set, train, device, library }: { set: SyntheticSet; train: Dataset; device: DeviceHandle; library: Library },
): Promise<void> {
  const nearest = await library.nearestReal(await displayPixels(set), train, device)
  await writeRealImages(dir, collectRealImages(train, nearest, perClass))
}
