/** @file Evaluation of a synthetic set: train fresh networks on it by the field's protocol and measure them on real test images. */
import { checkCallback, checkDevice, checkOptions, checkSeed, checkSignal, wholeNumber } from '../arguments.js'
import { parseAugment } from '../augment/dsa.js'
import { resolveDataset } from '../data/any-dataset.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { expected } from '../errors.js'
import { checkSyntheticSet } from '../experiment/synthetic-set.js'
import type { EvaluateOptions, EvaluationResult, SyntheticSetFields } from '../experiment/types.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { AccuracyMeter, type TestAccuracy } from './accuracy.js'
import { networksTogether, protocol } from './schedule.js'
import { summary } from './summary.js'
import { trainAll } from './train-all.js'
import { Trainer } from './trainer.js'

/** The same images for every network, or images of its own for network i (0, 1, …), such as a random baseline redrawn for each. */
export type TrainingSource = SyntheticSetFields | ((network: number) => SyntheticSetFields)

/**
 * Accuracies (per cent) of `repeats` networks of each kind, trained from scratch on `source`: SGD lr 0.01, momentum 0.9, weight decay 5e-4,
 * `epochs` + 1 epochs (default 1000) of batches of 256, lr x 0.1 with a fresh momentum in the second half; default augmentation 'dsa'.
 * Rejects with `invalid_option`, `not_found`, `invalid_data` or `detached` before anything trains, with `not_finite` when a network diverges.
 */
export async function evaluate(source: TrainingSource, options: EvaluateOptions<Device>): Promise<EvaluationResult[]> {
  checkOptions('evaluate', options, optionNames)
  const { networks, repeats = 5, epochs = protocol.epochs, augment = 'dsa', seed = 0, signal, device, onProgress, onResult } = options
  checkDevice('evaluate', device)
  checkSignal('evaluate', signal)
  for (const [name, value] of Object.entries({ repeats, epochs })) wholeNumber(name, value)
  for (const [name, value] of Object.entries({ onProgress, onResult })) checkCallback(`evaluate: ${name}`, value)
  checkSeed('seed', seed)
  if (options.test === undefined) throw expected('invalid_option', 'evaluate: test', 'a data set to measure on', undefined)
  const test = await resolveDataset(options.test)
  if (!Array.isArray(networks) || networks.length === 0) throw expected('invalid_option', 'networks', 'at least one network', networks)
  const set = typeof source === 'function' ? source(0) : source
  checkSyntheticSet(set)
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
  const policy = parseAugment(augment, set.flip)
  const image = set.shape.slice(1) as unknown as [number, number, number]
  const results: EvaluationResult[] = []
  // All of them before any trains: a mistyped last name must not cost the hours before it.
  const chosen = networks.map((choice) => {
    const network = resolveNetwork(choice, image, set.classes.length)
    return { name: typeof choice === 'string' ? choice : choice.name, network }
  })
  for (const { name, network } of chosen) {
    const key = fold(keyOf(seed), 'evaluate', name)
    const together = networksTogether(repeats, Math.min(protocol.batch, set.shape[0]))
    const rounds = Math.ceil(repeats / together)
    const accuracies: TestAccuracy[] = []
    for (let round = 0; round < rounds; round++) {
      const firstNetwork = round * together
      const groups = Math.min(together, repeats - firstNetwork)
      const sets = typeof source === 'function' ? Array.from({ length: groups }, (_, g) => source(firstNetwork + g)) : [source]
      for (const own of sets) {
        checkSyntheticSet(own)
        checkAlike(own, set)
      }
      const { trainer, meter } = allOrNothing((own) => ({
        trainer: own(new Trainer(device, { network, sets, groups, augment: policy, key, firstNetwork })),
        meter: own(new AccuracyMeter(device, network, test, groups, set)),
      }))
      const report = (epoch: number, loss: number) =>
        onProgress?.({ network: name, epoch: round * (epochs + 1) + epoch, epochs: rounds * (epochs + 1), loss })
      try {
        await trainer.initialize(device)
        await trainAll(trainer, epochs, signal, report)
        accuracies.push(...(await meter.measure(trainer.networks, signal)))
      } finally {
        trainer.dispose()
        meter.dispose()
      }
    }
    const result = { network: name, ...summary(accuracies) }
    results.push(result)
    await onResult?.(result)
  }
  return results
}

const optionNames: Readonly<Record<keyof EvaluateOptions, true>> = {
  ...{ networks: true, repeats: true, epochs: true, augment: true, seed: true },
  ...{ test: true, device: true, signal: true, onProgress: true, onResult: true },
}

/** Networks trained together share one program, and one accuracy speaks of one task. */
function checkAlike(own: SyntheticSetFields, first: SyntheticSetFields): void {
  const task = ({ shape, mean, std, classes }: SyntheticSetFields) => JSON.stringify({ shape, mean, std, classes })
  if (task(own) !== task(first)) throw expected('invalid_data', 'the images of each network', task(first), task(own))
}
