/** @file Evaluation of a synthetic set: train fresh networks on it by the field's protocol and measure them on real test images. */
import { parseAugment } from '../augment/dsa.js'
import { allOrNothing } from '../engine/all-or-nothing.js'
import type { Device } from '../engine/runtime/device.js'
import { fold, keyOf } from '../engine/tensor/key.js'
import { AbortError, AludelError, expected } from '../errors.js'
import type { EvaluateOptions, EvaluationResult, SyntheticSetFields } from '../experiment/types.js'
import { resolveNetwork } from '../nn/networks/registry.js'
import { AccuracyMeter } from './accuracy.js'
import { dropEpoch, networksTogether, protocol } from './schedule.js'
import { Trainer } from './trainer.js'

/** Epochs between two progress reports. */
const epochsPerReport = 10

/**
 * Accuracies (per cent) of `repeats` networks of each kind, trained from scratch on `set`: SGD lr 0.01, momentum 0.9, weight decay 5e-4,
 * `epochs` + 1 epochs (default 1000) of batches of 256, lr x 0.1 with a fresh momentum in the second half; default augmentation 'dsa'.
 */
export async function evaluate(set: SyntheticSetFields, options: EvaluateOptions<Device>): Promise<EvaluationResult[]> {
  const { networks, test, repeats = 5, epochs = protocol.epochs, seed = 0, signal, device, onProgress, onResult } = options
  for (const [name, value] of Object.entries({ repeats, epochs })) {
    if (!Number.isSafeInteger(value) || value < 1) throw expected('invalid_option', name, 'a whole number >= 1', value)
  }
  if (!Array.isArray(networks) || networks.length === 0) throw expected('invalid_option', 'networks', 'at least one network', networks)
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
  const policy = parseAugment(options.augment ?? 'dsa', set.flip)
  const image = set.shape.slice(1) as unknown as [number, number, number]
  const results: EvaluationResult[] = []
  // All of them before any trains: a mistyped last name must not cost the hours before it.
  const chosen = networks.map((choice) => ({
    name: typeof choice === 'string' ? choice : choice.name,
    network: resolveNetwork(choice, image, set.classes.length),
  }))
  for (const { name, network } of chosen) {
    const key = fold(keyOf(seed), 'evaluate', name)
    const together = networksTogether(repeats, Math.min(protocol.batch, set.shape[0]))
    const rounds = Math.ceil(repeats / together)
    const accuracies: number[] = []
    for (let round = 0; round < rounds; round++) {
      const firstNetwork = round * together
      const groups = Math.min(together, repeats - firstNetwork)
      const { trainer, meter } = allOrNothing((own) => ({
        trainer: own(new Trainer(device, { network, set, groups, augment: policy, key, firstNetwork })),
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

/** Epochs 0..epochs; after epoch floor(epochs/2)+1 the learning rate drops and the optimiser starts afresh. */
async function trainAll(
  trainer: Trainer,
  epochs: number,
  signal: AbortSignal | undefined,
  report: (epoch: number, loss: number) => void,
): Promise<void> {
  const drop = dropEpoch(epochs)
  for (let epoch = 0; epoch <= epochs; ) {
    if (signal?.aborted) throw new AbortError(signal.reason)
    if (epoch === drop) {
      await trainer.setLearningRate(protocol.lr * protocol.dropFactor)
      await trainer.resetMomentum()
    }
    const until = Math.min(epoch + epochsPerReport, epochs + 1, epoch < drop ? drop : epochs + 1)
    const losses = await trainer.train(epoch, until - epoch, signal)
    const bad = losses.findIndex((loss) => !Number.isFinite(loss))
    if (bad >= 0)
      throw new AludelError(
        'not_finite',
        `the training loss of network ${bad} is ${losses[bad]} by epoch ${until}: the synthetic images do not train`,
      )
    epoch = until
    report(epoch, losses.reduce((a, b) => a + b, 0) / losses.length)
  }
}

/** Mean and population standard deviation, as the field reports them. */
export function summary(values: readonly number[]): { mean: number; std: number; n: number; values: readonly number[] } {
  const mean = values.reduce((a, b) => a + b, 0) / values.length
  const std = Math.sqrt(values.reduce((a, v) => a + (v - mean) ** 2, 0) / values.length)
  return { mean, std, n: values.length, values }
}
