/** @file The space that is searched: ConvNets of every combination of declared widths, depths, norms, activations and poolings. */
import { checkOptions } from '../arguments.js'
import { fold, keyOf, purpose } from '../engine/tensor/key.js'
import { permutation } from '../engine/tensor/philox.js'
import { AludelError, expected } from '../errors.js'
import { type Activation, activations, firstPad, type Pooling, poolings } from '../nn/blocks.js'
import { type MapShape, type Network, parameterCount } from '../nn/module.js'
import { convNet } from '../nn/networks/conv-net.js'
import { type Norm, norms } from '../nn/normalization.js'

/** Values of each axis, each once; an axis that is left out has all values of `convNetSpace`. */
export interface NasSpace {
  /** Channels of every block. */
  readonly width?: readonly number[]
  /** Blocks. */
  readonly depth?: readonly number[]
  readonly norm?: readonly Norm[]
  readonly activation?: readonly Activation[]
  readonly pooling?: readonly Pooling[]
}

/** The 720 ConvNets of the DC lineage: all options of its evaluation pools together. */
export const convNetSpace: Required<NasSpace> = {
  width: [32, 64, 128, 256],
  depth: [1, 2, 3, 4],
  norm: ['none', 'batch', 'layer', 'instance', 'group'],
  activation: ['sigmoid', 'relu', 'leakyrelu'],
  pooling: ['none', 'max', 'avg'],
}

/** One network of a space. */
export interface Architecture {
  /** Such as 'convnet-w64-d3-instance-relu-avg'. */
  readonly name: string
  readonly width: number
  readonly depth: number
  readonly norm: Norm
  readonly activation: Activation
  readonly pooling: Pooling
}

/** More are never trained: a list of this length is a mistake in an axis. */
const mostArchitectures = 10_000

const counts = (axis: string, values: readonly unknown[]) => {
  for (const value of values)
    if (!Number.isSafeInteger(value) || (value as number) < 1) throw expected('invalid_option', axis, 'whole numbers >= 1', value)
}

const names = (known: readonly string[]) => (axis: string, values: readonly unknown[]) => {
  for (const value of values)
    if (!known.includes(value as string)) throw expected('invalid_option', axis, `some of ${known.join(', ')}`, value)
}

const axes: Readonly<Record<keyof NasSpace, (axis: string, values: readonly unknown[]) => void>> = {
  width: counts,
  depth: counts,
  norm: names(norms),
  activation: names(activations),
  pooling: names(poolings),
}

/** Every axis with its values. Throws `invalid_option` for an axis or value that there is not, one without values, and a value that stands twice. */
export function checkSpace(space: NasSpace): Required<NasSpace> {
  checkOptions('nas: space', space, { width: true, depth: true, norm: true, activation: true, pooling: true })
  const whole = { ...convNetSpace, ...Object.fromEntries(Object.entries(space).filter(([, values]) => values !== undefined)) }
  for (const [axis, check] of Object.entries(axes)) {
    const values = whole[axis as keyof NasSpace]
    const what = `nas: space: ${axis}`
    if (!Array.isArray(values) || values.length === 0) throw expected('invalid_option', what, 'a list of at least one value', values)
    check(what, values)
    const again = values.find((value, i) => values.indexOf(value) < i)
    if (again !== undefined) throw expected('invalid_option', what, 'every value once', again)
  }
  const size = Object.values(whole).reduce((product, values) => product * values.length, 1)
  if (size > mostArchitectures) throw expected('invalid_option', 'nas: space', `at most ${mostArchitectures} networks`, size)
  return whole
}

/** All combinations, the last axis fastest. */
export function architecturesOf({ width, depth, norm, activation, pooling }: Required<NasSpace>): Architecture[] {
  return width.flatMap((w) =>
    depth.flatMap((d) =>
      norm.flatMap((n) =>
        activation.flatMap((a) =>
          pooling.map((p) => ({ name: `convnet-w${w}-d${d}-${n}-${a}-${p}`, width: w, depth: d, norm: n, activation: a, pooling: p })),
        ),
      ),
    ),
  )
}

/** The network under its name in the space. Throws `invalid_option` naming it where it does not fit the images. */
export function networkOf({ name, ...options }: Architecture, input: MapShape, classes: number): Network {
  try {
    return { ...convNet({ input, classes, ...options }), name }
  } catch (cause) {
    if (!(cause instanceof AludelError)) throw cause
    throw new AludelError(cause.code, `nas: space: '${name}' does not fit images [${input.join(', ')}]: ${cause.message}`, { cause })
  }
}

/** Places of `count` networks of `size`, ascending. A larger sample of the same seed holds the smaller one. */
export const sampleOf = (size: number, count: number, seed: number): Int32Array =>
  permutation(fold(keyOf(seed), 'nas-sample'), 0, purpose.shuffle, size)
    .slice(0, count)
    .sort()

/** What one image costs: from shapes alone, since there may be hundreds of networks. */
export interface ImageCost {
  /** Floating-point operations forwards, of convolutions and the linear layer. */
  readonly flops: number
  /** Numbers in the maps of all blocks. */
  readonly activations: number
  readonly parameters: number
}

export function costOf(network: Network, { width, depth, pooling }: Architecture): ImageCost {
  const [height, breadth, channels] = network.input
  const grown = 2 * (firstPad(3, network.input) - 1)
  let [h, w, inputs, flops, activations] = [height + grown, breadth + grown, channels, 0, 0]
  for (let block = 0; block < depth; block++) {
    flops += 2 * 9 * inputs * width * h * w
    activations += width * h * w
    inputs = width
    if (pooling !== 'none') [h, w] = [h >> 1, w >> 1]
  }
  return { flops: flops + 2 * h * w * inputs * network.classes, activations, parameters: parameterCount(network) }
}
