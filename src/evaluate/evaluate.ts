/** @file Evaluation of a synthetic set: train fresh networks on it by the field's protocol and measure them on real test images. */
import { checkCallback, checkOptions } from '../arguments.js'
import { resolveDataset } from '../data/any-dataset.js'
import type { Dataset } from '../data/dataset.js'
import { checkLabelled } from '../data/labels.js'
import type { Device } from '../engine/runtime/device.js'
import { expected } from '../errors.js'
import type { EvaluateOptions, EvaluationResult, SyntheticSetFields } from '../experiment/types.js'
import { whiten } from '../preprocess/whiten.js'
import type { TestAccuracy } from './accuracy.js'
import { Inference } from './inference.js'
import { summary } from './summary.js'
import { planTraining, type TrainingSource, trainingRecord, trainNetworks } from './train-networks.js'
import { crossAverage, hasUnseen, unseenPool } from './unseen.js'

/**
 * Accuracies (per cent) of `repeats` networks of each kind, trained from scratch on `source`: SGD with momentum 0.9, weight decay 5e-4 and
 * batches of 256; by the protocol 'dc' (default) lr 0.01 over `epochs` + 1 epochs (default 1000), x 0.1 with a fresh momentum in the second
 * half; by 'glad' lr 0.001 (VGG-11 0.0001) that warms up over the first half and falls as a cosine over the second, with the moving average
 * of the weights tested; by 'trajectory', the default for a set with a learned rate, as 'dc' at that rate, under soft labels in batches of 128;
 * by 'frepo' and 'kip', the defaults for sets of these methods, by Adam at 0.0003 with a warm-up and a cosine, towards targets or centred rows;
 * by 'rfad', likewise, by SGD on outputs less those at the start.
 * Networks learn the softmax of the set's label logits where it has some (`labels`: 'hard' for its classes). Default augmentation 'dsa', of 'frepo' its own. Names of pools stand for their networks; 'unseen' adds the mean over its four.
 * Trained networks are exported and measured by ONNX Runtime where it is installed, else by the engine (`inference`, default 'auto').
 * Rejects with `invalid_option`, `not_found`, `invalid_data`, `detached` or `unavailable` before anything trains, with `not_finite` when a
 * network diverges.
 */
export async function evaluate(source: TrainingSource, options: EvaluateOptions<Device>): Promise<EvaluationResult[]> {
  checkOptions('evaluate', options, optionNames)
  const { test: given, onResult, inference: kind, ...training } = options
  checkCallback('evaluate: onResult', onResult)
  if (given === undefined) throw expected('invalid_option', 'evaluate: test', 'a data set to measure on', undefined)
  const read = await resolveDataset(given)
  checkLabelled('evaluate', read)
  const plan = planTraining('evaluate', source, training)
  const { set, networks } = plan
  const trained = plan.protocol.trained(plan.epochs)
  const test = await whitenAlike(read, set, options)
  if (test.shape.slice(1).join() !== set.shape.slice(1).join()) {
    throw expected(
      'invalid_data',
      'test images',
      `[H, W, C] = [${set.shape.slice(1).join(', ')}] as in the synthetic set`,
      `[${test.shape.slice(1).join(', ')}]`,
    )
  }
  if (test.classes.length !== set.classes.length) {
    throw expected('invalid_data', 'test classes', `${set.classes.length} as in the synthetic set`, test.classes.length)
  }
  const inference = await Inference.open(kind)
  try {
    for (const { network } of networks) inference.takes(network)
    const results: EvaluationResult[] = []
    for (const one of networks) {
      const accuracies: TestAccuracy[] = []
      let measuredBy: 'onnx' | 'engine' = 'engine'
      const job = {
        ...{ device: options.device, network: one.network, test, task: set, signal: options.signal },
        onTested: (testing: { readonly images: number; readonly total: number }) =>
          options.onProgress?.({ network: one.name, epoch: trained, epochs: trained, testing }),
        report(some: readonly TestAccuracy[], by: 'onnx' | 'engine') {
          accuracies.push(...some)
          measuredBy = by
        },
      }
      await trainNetworks(plan, one, (groups) => inference.prepare(job, groups))
      const result: EvaluationResult = {
        network: one.name,
        ...summary(accuracies),
        inference: measuredBy,
        training: trainingRecord(plan, one),
      }
      results.push(result)
      await onResult?.(result)
    }
    if (hasUnseen(options.networks)) {
      const pooled = crossAverage(results.filter(({ network }) => unseenPool.includes(network)))
      results.push(pooled)
      await onResult?.(pooled)
    }
    return results
  } finally {
    inference.close()
  }
}

const optionNames: Readonly<Record<keyof EvaluateOptions, true>> = {
  ...{ networks: true, repeats: true, protocol: true, labels: true, epochs: true, augment: true, seed: true, inference: true },
  ...{ test: true, device: true, signal: true, onProgress: true, onResult: true },
}

/** Test images as the set's networks see theirs. Throws `invalid_data` when the two are whitened differently. */
async function whitenAlike(
  test: Dataset,
  { whitening }: SyntheticSetFields,
  { device, signal }: EvaluateOptions<Device>,
): Promise<Dataset> {
  if (whitening) return whiten(test, whitening, { device, ...(signal && { signal }) })
  if (!test.whitened) return test
  const todo = 'give the data set as it was read'
  throw expected('invalid_data', 'test images', 'images that are not whitened, as the set', 'whitened ones', todo)
}
