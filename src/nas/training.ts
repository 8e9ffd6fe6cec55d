/** @file The sources that networks of a space are trained on: what they see, for how long, and what their accuracies depend on. */
import { type AugmentPolicy, parseAugment } from '../augment/dsa.js'
import type { Dataset } from '../data/dataset.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { permuting } from '../engine/tensor/philox.js'
import { expected } from '../errors.js'
import type { Normalization } from '../evaluate/accuracy.js'
import { type Protocol, protocolFor } from '../evaluate/protocol.js'
import { randomRealSetOf } from '../evaluate/random-real.js'
import { networksTogether } from '../evaluate/schedule.js'
import { towardsRows } from '../evaluate/soft-labels.js'
import type { TrainingPlan } from '../evaluate/train-networks.js'
import type { TrainingSet } from '../evaluate/trainer.js'
import { inTurns, Turn } from '../event-loop.js'
import { bytesOf, hashOfParts } from '../files/pieces.js'
import type { NasSettings, NasSource } from './options.js'

export interface Training {
  readonly source: NasSource
  readonly protocol: Protocol
  readonly epochs: number
  readonly policy: AugmentPolicy
  readonly repeats: number
  /** Networks trained in one program. */
  readonly together: number
  /** The images of networks [first, first + groups): one set for all, or one each. */
  readonly sets: (first: number, groups: number) => TrainingSet[]
  readonly rowsOf?: (epoch: number) => Promise<Int32Array>
  /** Rows that pass through one network while it is trained, padding included. */
  readonly rows: number
  /** Of the test images. */
  readonly normalization: Normalization
  /** Beside network, repetition, test images and device. */
  readonly depends: object
}

/** How real images are trained on: bytes, or whitened pixels, towards what the protocol trains towards. */
const realImages = ({ images, whitened, shape, labels, classes, mean, std }: Dataset, protocol: Protocol): TrainingSet =>
  towardsRows({ images: whitened?.pixels ?? images, shape, labels, classes, mean, std }, protocol)

/** What identifies real images as networks see them. */
const identityOf = ({ sha256, mean, std, whitened }: Dataset) => ({ sha256, mean, std, whitening: whitened?.whitening.sha256 ?? null })

/** The trainings of a search in the order in which they are done. `plan` is that of the distilled set. */
export async function trainingsOf(plan: TrainingPlan, data: Dataset, settings: NasSettings): Promise<Training[]> {
  const { baselines, repeats, seed, fullEpochs, fullRepeats, augment } = settings
  const { set, protocol, epochs, policy } = plan
  const distilled: Training = {
    ...{ source: 'distilled' as const, protocol, epochs, policy, repeats, ...amount(protocol, epochs, set.shape[0], repeats) },
    ...{ sets: () => [set], normalization: set },
    depends: { ...how(protocol, epochs, policy), set: await hashOfSet(set), lr: protocol.lr('convnet'), ...scaled(protocol) },
  }
  const real = protocolFor({}, 'hard', protocol.name)
  const realPolicy = parseAugment(augment ?? protocol.augment ?? 'dsa', data.flip)
  const all = realImages(data, real)
  const full: Training = {
    ...{ source: 'full' as const, protocol: real, epochs: fullEpochs, policy: realPolicy, repeats: fullRepeats },
    ...amount(real, fullEpochs, data.shape[0], fullRepeats),
    ...{ sets: () => [all], normalization: data },
    depends: { ...how(real, fullEpochs, realPolicy), data: identityOf(data) },
  }
  const sizes = classSizes(set)
  const make = {
    random(): Training {
      checkClasses(data, sizes)
      const random = (first: number, groups: number) =>
        Array.from({ length: groups }, (_, g) => towardsRows(randomRealSetOf(data, sizes, seed, first + g), real))
      return {
        ...{ source: 'random', protocol: real, epochs, policy: realPolicy, repeats },
        ...amount(real, epochs, set.shape[0], repeats),
        ...{ sets: random, normalization: data },
        depends: {
          ...how(real, epochs, realPolicy),
          data: identityOf(data),
          ipc: sizes.every((size) => size === sizes[0]) ? sizes[0] : sizes,
        },
      }
    },
    'early-stop'(): Training {
      const steps = Math.ceil(set.shape[0] / Math.min(protocol.batch, set.shape[0]))
      const chunk = steps * Math.min(real.batch, data.shape[0])
      return {
        ...{ source: 'early-stop', protocol: real, epochs, policy: realPolicy, repeats, together: full.together },
        ...{ sets: full.sets, normalization: data, rows: real.trained(epochs) * chunk, rowsOf: chunksOf(data.shape[0], chunk, seed) },
        depends: { ...how(real, epochs, realPolicy), data: identityOf(data), steps },
      }
    },
  }
  return [distilled, ...baselines.map((name) => make[name]()), full]
}

const scaled = ({ labelScale, weightDecay }: Protocol) => (labelScale === undefined ? {} : { labelScale, weightDecay })

const how = ({ name }: Protocol, epochs: number, { operations, strengths }: AugmentPolicy) => ({
  ...{ protocol: name, epochs, augment: operations },
  // absent for those of DSA
  ...(strengths && { strengths }),
})

function amount(protocol: Protocol, epochs: number, rows: number, repeats: number): Pick<Training, 'together' | 'rows'> {
  const batch = Math.min(protocol.batch, rows)
  return { together: networksTogether(repeats, batch), rows: protocol.trained(epochs) * Math.ceil(rows / batch) * batch }
}

/**
 * The rows of each epoch of `chunk` rows over `rows`: pieces of a random order, a new order when the pieces of one are used up. Networks see
 * as many steps as over the distilled set, under the same rates, and of other images in every epoch.
 */
export function chunksOf(rows: number, chunk: number, seed: number): (epoch: number) => Promise<Int32Array> {
  const length = Math.min(chunk, rows)
  const pieces = Math.floor(rows / length)
  let [pass, order] = [-1, new Int32Array()]
  return async (epoch) => {
    const wanted = Math.floor(epoch / pieces)
    if (wanted !== pass) {
      const steps = permuting(fold(keyOf(seed), 'nas-early-stop'), wanted, purpose.shuffle, rows)
      ;[pass, order] = [wanted, (await inTurns(steps, new Turn())) as Int32Array<ArrayBuffer>]
    }
    const piece = epoch % pieces
    return order.slice(piece * length, (piece + 1) * length).sort()
  }
}

async function hashOfSet({ images, labels, softLabels, squared, mean, std, whitening, flip }: TrainingPlan['set']): Promise<string> {
  const about = { mean, std, flip, squared: squared ?? false, soft: softLabels !== undefined, whitening: whitening?.sha256 ?? null }
  return hashOfParts(JSON.stringify(about), [images, labels, ...(softLabels ? [softLabels] : [])].map(bytesOf))
}

/** Images of each class. */
function classSizes({ classes, labels }: TrainingPlan['set']): number[] {
  const sizes = classes.map(() => 0)
  for (const label of labels) sizes[label]++
  return sizes
}

function checkClasses(data: Dataset, sizes: readonly number[]): void {
  for (const [c, name] of data.classes.entries()) {
    const available = data.classIndices(c).length
    const todo = "leave 'random' out of the baselines"
    if (available < sizes[c])
      throw expected('invalid_data', `nas: class '${name}'`, `at least ${sizes[c]} real images as in the set`, available, todo)
  }
}
