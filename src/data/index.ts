/** @file Data sets: readers, opening by name, sampling, normalisation. */
export { cifar10 } from './cifar10.js'
export { asDataset, createDataset, type Dataset, type DatasetFields, type DatasetInput, type Split } from './dataset.js'
export { bundledFashionMnist, fashionMnist } from './fashion-mnist.js'
export { mnist } from './mnist.js'
export { type ChannelStatistics, denormalizeImages, normalizeImages, scaleShift } from './normalize.js'
export { datasetNames, openDataset } from './open.js'
export { createSampler, type Sampler, type SamplerOptions } from './sampler.js'
