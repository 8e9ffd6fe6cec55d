/** @file Channel means and standard deviations that recipes normalise by, with their sources: the same data set has different ones. */
import { AludelError, expected } from '../errors.js'
import { Turn } from '../event-loop.js'
import type { ChannelStatistics } from './normalize.js'

const imagenet: ChannelStatistics = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] }

/**
 * By recipe and data set. `condensation`: the released code of DC, DSA, DM, DataDAM and MTT without ZCA; its CIFAR-10 standard deviations
 * are means over images of each image's own. `krr-st`: the released code of KRR-ST (2310.06511), statistics over all pixels.
 */
const recipes: Readonly<Record<string, Readonly<Record<string, ChannelStatistics>>>> = {
  condensation: {
    cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.2023, 0.1994, 0.201] },
    cifar100: { mean: [0.5071, 0.4866, 0.4409], std: [0.2673, 0.2564, 0.2762] },
    'tiny-imagenet': imagenet,
    folder: imagenet,
    mnist: { mean: [0.1307], std: [0.3081] },
    'fashion-mnist': { mean: [0.2861], std: [0.353] },
  },
  'krr-st': {
    cifar10: { mean: [0.4914, 0.4822, 0.4465], std: [0.247, 0.2435, 0.2616] },
    cifar100: { mean: [0.5071, 0.4866, 0.4409], std: [0.2673, 0.2564, 0.2762] },
    'tiny-imagenet': { mean: [0.4802, 0.4481, 0.3975], std: [0.277, 0.2691, 0.2821] },
    folder: { mean: [0.481, 0.4574, 0.4078], std: [0.2633, 0.256, 0.2708] },
  },
}

export const recipeNames: readonly string[] = Object.keys(recipes)

/** The constants of `recipe` (default: that of the matching methods) for a kind of data set; undefined when the recipe has none. */
export function recipeStatistics(kind: string, recipe = 'condensation'): ChannelStatistics | undefined {
  if (!Object.hasOwn(recipes, recipe)) throw expected('invalid_option', 'normalize', `one of ${recipeNames.join(', ')}`, recipe)
  return Object.hasOwn(recipes[recipe], kind) ? recipes[recipe][kind] : undefined
}

/** Bytes counted between two looks at the clock. */
const pieceBytes = 1 << 20

/**
 * Mean and standard deviation (population form) of each channel over all pixels scaled to [0, 1], exact sums over the 256 values.
 * Throws `invalid_data` for a channel that has one value only: nothing can be divided by its standard deviation.
 */
export async function measureStatistics(what: string, images: Uint8Array, channels: number): Promise<ChannelStatistics> {
  const counts = Array.from({ length: channels }, () => new Float64Array(256))
  const turn = new Turn()
  const piece = Math.max(1, Math.floor(pieceBytes / channels)) * channels
  for (let from = 0; from < images.length; from += piece) {
    const end = Math.min(images.length, from + piece)
    for (let c = 0; c < channels; c++) {
      const count = counts[c]
      for (let i = from + c; i < end; i += channels) count[images[i]]++
    }
    await turn.breathe()
  }
  const n = images.length / channels
  const mean = counts.map((count) => count.reduce((sum, times, value) => sum + times * value, 0) / n / 255)
  const std = counts.map((count, c) => Math.sqrt(count.reduce((sum, times, value) => sum + times * (value / 255 - mean[c]) ** 2, 0) / n))
  const constant = std.findIndex((s) => !(s > 0))
  if (constant >= 0) {
    const todo = 'give mean and std, or normalize none'
    throw new AludelError(
      'invalid_data',
      `${what}: channel ${constant} has the same value in every pixel, so it cannot be normalised; ${todo}`,
    )
  }
  return { mean, std }
}

const none = (channels: number): ChannelStatistics => ({ mean: new Array(channels).fill(0), std: new Array(channels).fill(1) })

const numbersOf = (text: string): number[] => text.split(/[:,]/).map((part) => (part.trim() === '' ? Number.NaN : Number(part)))

/** 'M/S' with one number for all channels or one each, separated by ':' or ','. */
function parseExplicit(text: string, channels: number): ChannelStatistics | undefined {
  const parts = text.split('/')
  if (parts.length !== 2) return undefined
  const [mean, std] = parts.map(numbersOf).map((list) => (list.length === 1 ? new Array<number>(channels).fill(list[0]) : list))
  const fits = [mean, std].every((list) => list.length === channels && list.every(Number.isFinite))
  return fits && std.every((s) => s > 0) ? { mean, std } : undefined
}

export interface NormalizeChoice {
  /** What the user asked for: 'auto', 'none', 'measured', a recipe, or 'MEAN/STD'. */
  readonly choice: string
  /** Data set as the table of recipes knows it. */
  readonly kind: string
  readonly channels: number
  /** Statistics of the training images. */
  readonly measure: () => Promise<ChannelStatistics>
}

/** The statistics that `choice` stands for. 'auto' is the constants of the matching methods where there are some, else measured. Throws `invalid_option`. */
export async function chooseStatistics({ choice, kind, channels, measure }: NormalizeChoice): Promise<ChannelStatistics> {
  if (choice === 'none') return none(channels)
  if (choice === 'measured') return measure()
  if (choice === 'auto') return recipeStatistics(kind) ?? measure()
  if (recipeNames.includes(choice)) {
    const known = recipeStatistics(kind, choice)
    if (known === undefined) throw new AludelError('invalid_option', `normalize: '${choice}' has no constants for ${kind}; use measured`)
    return known
  }
  const explicit = parseExplicit(choice, channels)
  if (explicit) return explicit
  const wanted = `auto, none, measured, ${recipeNames.join(', ')}, or MEAN/STD with ${channels} number${channels === 1 ? '' : 's'} each, std > 0`
  throw expected('invalid_option', 'normalize', wanted, choice)
}
