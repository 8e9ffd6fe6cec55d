/** @file Takes weight packing out of convolutions: conv2d_prepare runs once, outside loops, and is shared by equal uses. */
import type { TensorType } from '../graph/node.js'
import { isGpu } from '../isa.js'
import { algorithmIndex, preparedFlag, winograd } from './algorithms.js'
import { IrBuilder, type IrGraph, type IrNode, type IrValue, type LoopPart, liveNodes, rewrite } from './ir.js'
import type { CompileOptions } from './program.js'

const vectorChannels = 32
const winogradPoints = 36

/** What conv2d_prepare must make for the weights of `node`, or undefined when the convolution takes plain weights. */
function preparation(node: IrNode): { numbers: readonly number[]; type: TensorType } | undefined {
  if (node.op !== 'conv2d' && node.op !== 'conv2d_input_grad') return undefined
  const [g, kernelH, kernelW, c, k] = node.inputs[1].shape
  const algorithm = node.numbers[algorithmIndex]
  // The kernel recovers the window from the number of taps, so only square windows are packed.
  if (algorithm >= preparedFlag || kernelH !== kernelW) return undefined
  const forward = node.op === 'conv2d'
  const [reduced, spread] = forward ? [c, k] : [k, c]
  const taps = algorithm === winograd ? winogradPoints : kernelH * kernelW
  const shape = [g, taps, reduced, Math.ceil(spread / vectorChannels) * vectorChannels]
  return { numbers: [forward ? 0 : 1, algorithm], type: { shape, dtype: 'f32' } }
}

/** Names the window and channels that the packed layout hides: the op's record counts operations from them. */
function withPrepared(node: IrNode): IrNode {
  const [, kernelH, kernelW, channels, filters] = node.inputs[1].shape
  const algorithm = node.numbers[algorithmIndex] + preparedFlag
  const numbers = node.numbers.map((x, i) => (i === algorithmIndex ? algorithm : x))
  return { ...node, numbers, attrs: { ...node.attrs, algorithm, kernelH, kernelW, channels, filters } }
}

/** A GPU reads weights as they are: its kernels bring them into shared memory anyway. */
export function prepareWeights(graph: IrGraph, { isa }: CompileOptions): IrGraph {
  return isGpu(isa) ? graph : packWeights(graph)
}

function packWeights(graph: IrGraph): IrGraph {
  return rewrite(graph, (node, inputs, builder) => {
    if (node.loop) return prepareLoop(node, inputs, builder)
    const wanted = preparation(node)
    if (!wanted) return builder.clone(node, inputs)
    const [packed] = builder.add('conv2d_prepare', [inputs[1]], wanted.numbers, [wanted.type])
    return builder.clone(withPrepared(node), [inputs[0], packed, ...inputs.slice(2)])
  })
}

/** Weights that a body reads whole are packed before the loop and come in as one more input; others are packed per slice. */
function prepareLoop(node: IrNode, inputs: readonly IrValue[], builder: IrBuilder): readonly IrValue[] {
  const loop = node.loop!
  const outer = [...inputs]
  const sliced = [...loop.sliced]
  const slotOf = new Map<IrValue, number>()
  const hoist = (whole: number, numbers: readonly number[], type: TensorType): number => {
    const [packed] = builder.add('conv2d_prepare', [inputs[whole]], numbers, [type])
    const known = slotOf.get(packed)
    if (known !== undefined) return known
    slotOf.set(packed, outer.push(packed) - 1)
    sliced.push(false)
    return outer.length - 1
  }
  const parts = loop.parts.map((part) => preparePart(part, loop.sliced, hoist))
  // A later part may have hoisted weights that an earlier one does not read: every body lists every input.
  const complete = parts.map((part) => ({ ...part, body: withInputs(part.body, outer) }))
  return builder.clone({ ...node, loop: { ...loop, sliced, parts: complete } }, outer)
}

type Hoist = (input: number, numbers: readonly number[], type: TensorType) => number

function preparePart(part: LoopPart, sliced: readonly boolean[], hoist: Hoist): LoopPart {
  const inputIndex = new Map(part.body.inputs.map((v, i) => [v, i]))
  const added: IrValue[] = []
  const body = rewrite(part.body, (node, inputs, builder) => {
    const wanted = preparation(node)
    if (!wanted) return builder.clone(node, inputs)
    const whole = inputIndex.get(node.inputs[1])
    const isWhole = whole !== undefined && !sliced[whole]
    const packed = isWhole
      ? builder.input(hoist(whole, wanted.numbers, wanted.type), wanted.type)
      : builder.add('conv2d_prepare', [inputs[1]], wanted.numbers, [wanted.type])[0]
    if (isWhole && !added.includes(packed)) added.push(packed)
    return builder.clone(withPrepared(node), [inputs[0], packed, ...inputs.slice(2)])
  })
  const inputs = [...body.inputs]
  for (const v of added) inputs[v.node.numbers[0]] = v
  return { ...part, body: { ...body, inputs } }
}

/** The body with one input per outer value; missing ones are added unused. */
function withInputs(body: IrGraph, outer: readonly IrValue[]): IrGraph {
  const spare = new IrBuilder()
  const inputs = outer.map((v, i) => body.inputs[i] ?? spare.input(i, v))
  return {
    ...body,
    inputs,
    nodes: liveNodes({ ...body, inputs, nodes: [...inputs.filter((v) => !body.nodes.includes(v.node)).map((v) => v.node), ...body.nodes] }),
  }
}
