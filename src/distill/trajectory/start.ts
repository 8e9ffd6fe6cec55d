/** @file Where a run of trajectory matching starts: images as other methods, or those that experts predict right, and logits where labels are learned. */
import type { Dataset } from '../../data/dataset.js'
import type { Device } from '../../engine/runtime/device.js'
import { AludelError } from '../../errors.js'
import { type InitialImages, initialImages } from '../initial-images.js'
import type { InitKind } from '../method.js'
import type { ResolvedSettings } from '../settings.js'
import { initialByOneExpert, initialByPrediction } from './initial.js'

/** Throws `invalid_option` for learned labels of noise: they start at what experts say of the images. */
export function checkStart(init: InitKind, labels: unknown): void {
  if (init !== 'noise' || labels !== 'soft') return
  const todo = "take init 'predicted' or 'real', or labels=hard"
  throw new AludelError(
    'invalid_option',
    `init: labels are learned from what experts say of the first images, and of noise they say nothing; ${todo}`,
  )
}

/** Throws as `initialByPrediction` does. */
export async function trajectoryStart(
  dataset: Dataset,
  settings: ResolvedSettings,
  device: Device,
  signal: AbortSignal | undefined,
): Promise<InitialImages> {
  const { network, ipc, seed, init, experts, methodOptions } = settings
  const soft = methodOptions.labels === 'soft'
  if (!experts || (init !== 'predicted' && !soft)) return initialImages(dataset, settings)
  const options = { ipc, seed, ...(signal && { signal }) }
  const start = init === 'predicted' ? initialByPrediction : initialByOneExpert
  const { labelLogits, ...images } = await start(device, dataset, network, experts, options)
  return soft ? { ...images, labelLogits } : images
}
