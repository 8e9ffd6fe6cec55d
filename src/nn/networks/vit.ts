/**
 * @file Vision transformer (ViT, arXiv 2010.11929) in the form that evaluations of distilled sets use: a class token, learned positions,
 * pre-norm blocks of attention and a two-layer perceptron with GELU, a linear layer over the normalised class token or mean token.
 */
import { add, gelu, matmul, mul, normActPool, pad, reshape, slice, softmax, sum, transpose, type Value } from '../../engine/index.js'
import { AludelError, expected } from '../../errors.js'
import { checkCounts, checkNetworkOptions, linearLayer, type Pass } from '../blocks.js'
import { dropout } from '../dropout.js'
import type { Applied, ApplyOptions, MapShape, Network, ParameterSpec, Parameters } from '../module.js'

export interface VitOptions {
  /** [H, W, C] of one image. */
  readonly input: MapShape
  readonly classes: number
  /** Side of the square patches, which must divide height and width; default 16 for images from 128 pixels, 8 from 64, else 4. */
  readonly patch?: number
  /** Channels of a token, default 512; a multiple of `heads`. */
  readonly width?: number
  /** Blocks, default 10. */
  readonly depth?: number
  /** Attention heads, default 8, of width / heads channels each. */
  readonly heads?: number
  /** Hidden channels of each block's perceptron, default 512. */
  readonly hidden?: number
  /** Share dropped in training after the positions, each attention and each linear layer of the perceptrons; in [0, 1), default 0.1. */
  readonly dropout?: number
  /** What is classified: the class token (default), or the mean of all tokens. */
  readonly pool?: 'class' | 'mean'
}

const known = {
  ...{ input: true, classes: true, patch: true, width: true, depth: true, heads: true, hidden: true, dropout: true, pool: true },
} satisfies Readonly<Record<keyof VitOptions, true>>

/** Added to every variance, as in PyTorch's LayerNorm. */
const eps = 1e-5

/**
 * Parameters position [T + 1, width], class [width], patch.{weight, bias}, then block0.{norm0, query, key, value, project, norm1, fc0, fc1},
 * …, norm, fc. Query, key and value have no bias; one behind the other they are the matrix that others call qkv. The embedding is the
 * normalised class (or mean) token. There are no ReLU maps. Draws of `apply` switch dropout on. @throws AludelError 'invalid_option'
 */
export function vit(options: VitOptions): Network {
  checkNetworkOptions('vit', options, known)
  const { input, classes, width = 512, depth = 10, heads = 8, hidden = 512, dropout: rate = 0.1, pool = 'class' } = options
  const [height, breadth, channels] = input
  const patch = options.patch ?? defaultPatch(Math.min(height, breadth))
  checkCounts('vit', { classes, patch, width, depth, heads, hidden })
  if (height % patch !== 0 || breadth % patch !== 0) {
    const todo = 'resize the images, or build the network with another patch'
    throw expected('invalid_option', 'vit patch', `a divisor of the image's ${height} and ${breadth} pixels`, patch, todo)
  }
  if (width % heads !== 0) throw expected('invalid_option', 'vit width', `a multiple of ${heads} heads`, width)
  if (!(rate >= 0 && rate < 1)) throw expected('invalid_option', 'vit dropout', 'a share in [0, 1)', rate)
  if (pool !== 'class' && pool !== 'mean') throw expected('invalid_option', 'vit pool', "'class' or 'mean'", pool)

  const [down, across] = [height / patch, breadth / patch]
  const tokens = down * across + 1
  const pixels = patch * patch * channels
  const embed = linearLayer('patch', [1, 1, pixels], width)
  const blocks = Array.from({ length: depth }, (_, i) => block(`block${i}`, { tokens, width, heads, hidden, rate, place: 1 + 3 * i }))
  const head = linearLayer('fc', [1, 1, width], classes)
  const parameters: ParameterSpec[] = [
    { name: 'position', shape: [tokens, width], layout: 'tokens', init: { kind: 'normal', std: 1 } },
    { name: 'class', shape: [width], layout: 'vector', init: { kind: 'normal', std: 1 } },
    ...embed.parameters,
    ...blocks.flatMap((one) => one.parameters),
    ...normParameters('norm', width),
    ...head.parameters,
  ]

  /** [G, N, H, W, C] -> [G, N, T, patch*patch*C], each patch row by row. */
  function patches(x: Value): Value {
    const [groups, rows] = x.shape
    const cut = reshape(x, [groups * rows, down, patch, across, patch, channels])
    return reshape(transpose(cut, [0, 1, 3, 2, 4, 5]), [groups, rows * down * across, pixels])
  }

  function apply(p: Parameters, x: Value, given: ApplyOptions = {}): Applied {
    if (given.draws && given.draws.keys.length !== x.shape[0]) {
      throw new AludelError(
        'invalid_option',
        `vit: expected a key of draws for each of ${x.shape[0]} networks, got ${given.draws.keys.length}`,
      )
    }
    const [groups, rows] = x.shape
    const pass = { parameters: p, options: given, taps: [], nextState: {} }
    const embedded = reshape(embed.apply(patches(x), pass), [groups, rows, tokens - 1, width])
    // The class token stands first: zeros make room for it, and it comes in with the positions.
    const room = pad(embedded, { before: [0, 0, 1, 0], after: [0, 0, 0, 0] })
    const classToken = pad(reshape(p.class, [groups, 1, width]), { before: [0, 0, 0], after: [0, tokens - 1, 0] })
    const positions = reshape(add(p.position, classToken), [groups, 1, tokens, width])
    let z = reshape(add(room, positions), [groups, rows * tokens, width])
    z = dropout(z, rate, 0, given)
    for (const one of blocks) z = one.apply(z, pass)
    const all = reshape(z, [groups, rows, tokens, width])
    const pooled = pool === 'mean' ? mul(sum(all, { axes: [2] }), 1 / tokens) : firstToken(all)
    const embedding = layerNorm('norm', reshape(pooled, [groups, rows, width]), p)
    return { logits: head.apply(embedding, pass), embedding, taps: [], state: {} }
  }

  return { name: 'vit', input, classes, parameters, state: [], dropout: rate, apply }
}

const defaultPatch = (side: number): number => (side >= 128 ? 16 : side >= 64 ? 8 : 4)

const firstToken = (z: Value): Value => slice(z, [0, 0, 0, 0], [z.shape[0], z.shape[1], 1, z.shape[3]])

const normParameters = (name: string, width: number): ParameterSpec[] => [
  { name: `${name}.gamma`, shape: [width], layout: 'vector', init: { kind: 'constant', value: 1 } },
  { name: `${name}.beta`, shape: [width], layout: 'vector', init: { kind: 'constant', value: 0 } },
]

/** Normalises every row of x [G, R, C] by itself: group norm of maps of one pixel, with a single group of channels. */
function layerNorm(name: string, x: Value, p: Parameters): Value {
  const [groups, rows, width] = x.shape
  const { y } = normActPool(reshape(x, [groups, rows, 1, 1, width]), p[`${name}.gamma`], p[`${name}.beta`], { kind: 'group', eps })
  return reshape(y, x.shape)
}

interface BlockSizes {
  readonly tokens: number
  readonly width: number
  readonly heads: number
  readonly hidden: number
  readonly rate: number
  /** Number of the block's first dropout. */
  readonly place: number
}

/** z + attention(norm(z)), then z + perceptron(norm(z)), over z [G, N*T, width]. */
function block(name: string, { tokens, width, heads, hidden, rate, place }: BlockSizes) {
  const bound = 1 / Math.sqrt(width)
  const parts = ['query', 'key', 'value'].map((part) => `${name}.${part}.weight`)
  const projections = parts.map(
    (part): ParameterSpec => ({ name: part, shape: [width, width], layout: 'linear', init: { kind: 'uniform', bound } }),
  )
  const project = linearLayer(`${name}.project`, [1, 1, width], width)
  const first = linearLayer(`${name}.fc0`, [1, 1, width], hidden)
  const second = linearLayer(`${name}.fc1`, [1, 1, hidden], width)
  const channels = width / heads

  /** [G, N*T, width] -> [G*N*heads, T, channels]. */
  function split(x: Value): Value {
    const sequences = (x.shape[0] * x.shape[1]) / tokens
    return reshape(transpose(reshape(x, [sequences, tokens, heads, channels]), [0, 2, 1, 3]), [sequences * heads, tokens, channels])
  }

  function merge(x: Value, shape: readonly number[]): Value {
    return reshape(transpose(reshape(x, [x.shape[0] / heads, heads, tokens, channels]), [0, 2, 1, 3]), shape)
  }

  return {
    parameters: [
      ...normParameters(`${name}.norm0`, width),
      ...projections,
      ...project.parameters,
      ...normParameters(`${name}.norm1`, width),
      ...first.parameters,
      ...second.parameters,
    ],
    apply(z: Value, pass: Pass): Value {
      const { parameters: p, options } = pass
      const normed = layerNorm(`${name}.norm0`, z, p)
      const [query, key, value] = parts.map((part) => split(matmul(normed, p[part])))
      const attention = softmax(mul(matmul(query, key, { transposeB: true }), 1 / Math.sqrt(channels)))
      const attended = project.apply(merge(matmul(attention, value), z.shape), pass)
      const between = add(dropout(attended, rate, place, options), z)
      const active = gelu(first.apply(layerNorm(`${name}.norm1`, between, p), pass))
      const out = second.apply(dropout(active, rate, place + 1, options), pass)
      return add(dropout(out, rate, place + 2, options), between)
    },
  }
}
