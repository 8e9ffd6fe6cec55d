/** @file Winograd or direct, per convolution: a pure function of shapes, instruction set and options. */
import type { TensorType } from '../graph/node.js'
import { isGpu } from '../isa.js'
import { type IrGraph, type IrNode, mapBodies, rewrite } from './ir.js'
import type { CompileOptions } from './program.js'

export const direct = 0
export const winograd = 1
/** Set when the weights come from conv2d_prepare. */
export const preparedFlag = 16
/** Position of the algorithm among the encoded attributes of a convolution. */
export const algorithmIndex = 4

export const isConv = (node: IrNode): boolean => node.op === 'conv2d' || node.op === 'conv2d_input_grad' || node.op === 'conv2d_weight_grad'

/** F(4,3) amortises its transforms over channels, and its matrix products need rows: 4x4 output tiles of the whole batch. */
const leastChannels = 16
const leastChannelsWeightGrad = 32
const leastTiles = 16
/** Images: so few channels go through a fused form without matrix products, which pays for any of them. */
const mostImageChannels = 4
const leastImageChannelsWeightGrad = 3

const tilesOf = ([, n, h, w]: readonly number[]): number => n * Math.ceil(h / 4) * Math.ceil(w / 4)

function enoughChannels(op: string, c: number): boolean {
  if (op === 'conv2d') return c >= leastChannels || c <= mostImageChannels
  if (op === 'conv2d_input_grad') return c >= leastChannels
  return c >= leastChannelsWeightGrad || (c >= leastImageChannelsWeightGrad && c <= mostImageChannels)
}

function chooseAlgorithm(node: IrNode, options: CompileOptions): number {
  const [strideH, strideW, padH, padW] = node.numbers
  const weights: TensorType = node.op === 'conv2d_weight_grad' ? node.outputs[0] : node.inputs[1]
  const [, kernelH, kernelW, c, k] = weights.shape
  const fits = kernelH === 3 && kernelW === 3 && strideH === 1 && strideW === 1 && padH === 1 && padW === 1
  // Tensor cores do more multiplications than Winograd saves.
  if (options.winograd === 'off' || !fits || isGpu(options.isa)) return direct
  if (k < (node.op === 'conv2d_weight_grad' ? leastChannelsWeightGrad : leastChannels)) return direct
  return enoughChannels(node.op, c) && tilesOf(node.inputs[0].shape) >= leastTiles ? winograd : direct
}

/** Sets the algorithm of every convolution, in loop bodies too (there the batch is one slice). */
export function chooseAlgorithms(graph: IrGraph, options: CompileOptions): IrGraph {
  return rewrite(graph, (node, inputs, builder) => {
    if (node.loop) return builder.clone({ ...node, loop: mapBodies(node.loop, (body) => chooseAlgorithms(body, options)) }, inputs)
    if (!isConv(node)) return builder.clone(node, inputs)
    const numbers = [...node.numbers.slice(0, algorithmIndex), chooseAlgorithm(node, options)]
    return builder.clone({ ...node, numbers }, inputs)
  })
}
