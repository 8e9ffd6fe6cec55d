/** @file Data sets: readers, opening by name, sampling, normalisation. */
export { type AnyDataset, createDataset, type Sample, type SampleSource } from './any-dataset.js'
export type { ArrayOptions } from './array-dataset.js'
export { cifar10 } from './cifar10.js'
export { type Cifar100Options, cifar100 } from './cifar100.js'
export {
  asDataset,
  type Dataset,
  type DatasetFields,
  type DatasetInput,
  type DatasetPart,
  type Split,
  type WhitenedPixels,
} from './dataset.js'
export { bundledFashionMnist, fashionMnist } from './fashion-mnist.js'
export type { HoldOut } from './hold-out.js'
export { type ImageFolderOptions, imageFolder } from './image-folder.js'
export { type ImagenetClass, type ImagenetSubset, imagenetSubset, imagenetSubsetNames } from './imagenet-subsets.js'
export type { ImageReading } from './labelled-files.js'
export { mnist } from './mnist.js'
export { idx } from './mnist-family.js'
export { type ChannelStatistics, denormalizeImages, normalizeImages, scaleShift } from './normalize.js'
export { type NpzOptions, npz } from './npz-dataset.js'
export { datasetNames, type OpenOptions, openDataset } from './open.js'
export { openPacked, type PackedOptions } from './packed/open-packed.js'
export { type PackOptions, packSplit, verifyPack } from './packed/pack.js'
export type { PackProgress } from './packed/pack-files.js'
export type { PackRecord } from './packed/pack-record.js'
export { type PixelRows, readPixels } from './pixel-rows.js'
export { createSampler, type Sampler, type SamplerOptions } from './sampler.js'
export { tinyImagenet } from './tiny-imagenet.js'
export type { Whitening, ZcaOrder } from './whitening.js'
