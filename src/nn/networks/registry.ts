/** @file Networks by name, as options and commands spell them, and the check of a user's own network. */
import { isRecord } from '../../arguments.js'
import { checkShape, formatShape, sameShape } from '../../engine/tensor/shape.js'
import { expected } from '../../errors.js'
import { checkInput } from '../blocks.js'
import type { MapShape, Network } from '../module.js'
import { alexNet } from './alex-net.js'
import { type ConvNetOptions, convBn, convFrepo, convNet, convRfad } from './conv-net.js'
import { leNet } from './le-net.js'
import { mlp } from './mlp.js'
import { mobileNet } from './mobile-net.js'
import { paddedResNet, resNet18 } from './res-net.js'
import { vgg11 } from './vgg.js'
import { vit } from './vit.js'

type Build = (input: MapShape, classes: number) => Network
type ConvNetVariant = Omit<ConvNetOptions, 'input' | 'classes'>

/** The variants of the DC lineage's evaluation pools, by the ending of their names. */
const convNetVariants: Readonly<Record<string, ConvNetVariant>> = {
  d1: { depth: 1 },
  d2: { depth: 2 },
  d3: { depth: 3 },
  d4: { depth: 4 },
  d5: { depth: 5 },
  d6: { depth: 6 },
  w32: { width: 32 },
  w64: { width: 64 },
  w128: { width: 128 },
  w256: { width: 256 },
  nn: { norm: 'none' },
  'nn-w256': { norm: 'none', width: 256 },
  in: { norm: 'instance' },
  bn: { norm: 'batch' },
  ln: { norm: 'layer' },
  gn: { norm: 'group' },
  relu: { activation: 'relu' },
  sigmoid: { activation: 'sigmoid' },
  leakyrelu: { activation: 'leakyrelu' },
  avgpool: { pooling: 'avg' },
  maxpool: { pooling: 'max' },
  nopool: { pooling: 'none' },
}

const networks: Readonly<Record<string, Build>> = {
  convnet: (input, classes) => convNet({ input, classes }),
  ...Object.fromEntries(
    Object.entries(convNetVariants).map(([ending, variant]): [string, Build] => [
      `convnet-${ending}`,
      (input, classes) => convNet({ input, classes, ...variant }),
    ]),
  ),
  'conv-bn': (input, classes) => convBn({ input, classes }),
  'conv-frepo': (input, classes) => convFrepo({ input, classes }),
  'conv-frepo-nn': (input, classes) => convFrepo({ input, classes, norm: 'none' }),
  'conv-rfad': (input, classes) => convRfad({ input, classes }),
  alexnet: (input, classes) => alexNet({ input, classes }),
  'alexnet-bn': (input, classes) => alexNet({ input, classes, norm: 'batch' }),
  vgg11: (input, classes) => vgg11({ input, classes }),
  'vgg11-bn': (input, classes) => vgg11({ input, classes, norm: 'batch' }),
  resnet18: (input, classes) => resNet18({ input, classes }),
  'resnet18-bn': (input, classes) => resNet18({ input, classes, norm: 'batch' }),
  'resnet18-krr': (input, classes) => paddedResNet({ input, classes, depth: 18 }),
  resnet10: (input, classes) => paddedResNet({ input, classes, depth: 10 }),
  mobilenet: (input, classes) => mobileNet({ input, classes }),
  lenet: (input, classes) => leNet({ input, classes }),
  mlp: (input, classes) => mlp({ input, classes }),
  vit: (input, classes) => vit({ input, classes }),
}

export const networkNames = Object.keys(networks)

/** Sets of networks that the field evaluates a synthetic set on, one per question (DC; 'unseen': GLaD, for sets distilled under a ConvNet). */
export const evaluationPools = {
  architecture: ['mlp', 'convnet', 'lenet', 'alexnet', 'vgg11', 'resnet18'],
  width: ['convnet-w32', 'convnet-w64', 'convnet-w128', 'convnet-w256'],
  depth: ['convnet-d1', 'convnet-d2', 'convnet-d3', 'convnet-d4'],
  activation: ['convnet-sigmoid', 'convnet-relu', 'convnet-leakyrelu'],
  pooling: ['convnet-nopool', 'convnet-maxpool', 'convnet-avgpool'],
  unseen: ['resnet18', 'vgg11', 'alexnet', 'vit'],
  norm: ['convnet-nn', 'convnet-bn', 'convnet-ln', 'convnet-in', 'convnet-gn'],
} as const satisfies Readonly<Record<string, readonly string[]>>

/** The list with names of evaluation pools replaced by their networks, each name once. */
export function withPools<T>(choices: readonly (T | string)[]): (T | string)[] {
  const isPool = (choice: unknown): choice is keyof typeof evaluationPools =>
    typeof choice === 'string' && Object.hasOwn(evaluationPools, choice)
  return [...new Set(choices.flatMap((choice): readonly (T | string)[] => (isPool(choice) ? evaluationPools[choice] : [choice])))]
}

/** A network by its registry name for images [H, W, C]. Throws `not_found` with the known names. */
export function networkByName(name: string, input: MapShape, classes: number): Network {
  if (!Object.hasOwn(networks, name)) {
    throw expected('not_found', 'network', `one of ${networkNames.join(', ')}`, name)
  }
  checkInput(`network '${name}'`, input)
  return networks[name](input, classes)
}

/** A registry name, or a network of the caller's own made for these images and classes. */
export function resolveNetwork(choice: string | Network, input: MapShape, classes: number): Network {
  if (typeof choice === 'string') return networkByName(choice, input, classes)
  if (typeof choice?.apply !== 'function' || typeof choice.name !== 'string' || choice.name === '') {
    throw expected(
      'invalid_option',
      'network',
      'a registry name, or an object with name, input, classes, parameters, state and apply',
      choice,
    )
  }
  const what = `network '${choice.name}'`
  if (!Array.isArray(choice.input) || !sameShape(choice.input, input)) {
    throw expected('invalid_option', `${what}: input`, `${formatShape(input)} as the images have`, choice.input)
  }
  if (choice.classes !== classes) throw expected('invalid_option', `${what}: classes`, `${classes} as the data has`, choice.classes)
  checkTensors(what, 'parameters', choice.parameters)
  checkTensors(what, 'state', choice.state)
  return choice
}

/** Every tensor of a user's network has a name of its own and a shape. */
function checkTensors(what: string, list: 'parameters' | 'state', specs: Network['parameters'] | Network['state']): void {
  if (!Array.isArray(specs))
    throw expected('invalid_option', `${what}: ${list}`, 'a list of specifications', specs, 'use [] where there are none')
  const seen = new Set<string>()
  for (const spec of specs) {
    if (!isRecord(spec)) throw expected('invalid_option', `${what}: ${list}`, 'specifications with name and shape', spec)
    const { name, shape } = spec
    if (typeof name !== 'string' || seen.has(name)) throw expected('invalid_option', `${what}: ${list}`, 'names that differ', name)
    checkShape(`${what}: ${name}`, shape as readonly number[])
    seen.add(name)
  }
}
