/** @file The learning rates of the protocol over a trainer's epochs. */
import { AbortError, AludelError } from '../errors.js'
import { dropEpoch, protocol } from './schedule.js'
import type { Trainer } from './trainer.js'

/** Training steps between two progress reports, or an epoch where that is more. */
const stepsPerReport = 10

/**
 * Trains the epochs of the trainer's protocol. Under 'dc' and 'trajectory' these are 0..epochs; after epoch floor(epochs/2)+1 the learning rate drops and the
 * optimiser starts afresh. `report` hears of the epochs completed and the mean loss of the last step, `onPart` of epochs in part. Throws AbortError, or `not_finite` when a loss is no number.
 */
export async function trainAll(
  trainer: Trainer,
  epochs: number,
  signal: AbortSignal | undefined,
  report: (epoch: number, loss: number) => void,
  onPart?: (epochs: number) => void,
): Promise<void> {
  const last = trainer.protocol.trained(epochs)
  const drop = (trainer.protocol.factor ?? trainer.protocol.stepFactor) ? last : dropEpoch(epochs)
  const epochsPerReport = Math.max(1, Math.floor(stepsPerReport / trainer.stepsPerEpoch))
  for (let epoch = 0; epoch < last; ) {
    if (signal?.aborted) throw new AbortError(signal.reason)
    if (epoch === drop) {
      await trainer.setLearningRate(trainer.protocol.lr(trainer.network.name) * protocol.dropFactor)
      await trainer.resetMomentum()
    }
    const until = Math.min(epoch + epochsPerReport, last, epoch < drop ? drop : last)
    const [first, steps] = [epoch, await trainer.stepsIn(epoch)]
    const losses = await trainer.train(epoch, until - epoch, signal, onPart && ((done) => onPart(first + done / steps)))
    const bad = losses.findIndex((loss) => !Number.isFinite(loss))
    if (bad >= 0)
      throw new AludelError(
        'not_finite',
        `the training loss of network ${bad} is ${losses[bad]} by epoch ${until}: the images do not train`,
      )
    epoch = until
    report(epoch, losses.reduce((a, b) => a + b, 0) / losses.length)
  }
}
