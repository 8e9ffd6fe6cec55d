/** @file A trained network as an ONNX model: NCHW float32 `images` with a free batch axis in, `logits` out, in eval mode. */
import { isRecord } from '../../arguments.js'
import { checkWhitening, type Whitening } from '../../data/whitening.js'
import { spec, trace, type Value } from '../../engine/index.js'
import { sizeOf } from '../../engine/tensor/shape.js'
import { AludelError, expected } from '../../errors.js'
import type { Network, Parameters } from '../../nn/module.js'
import { packageVersion } from '../../package-root.js'
import { encodeModel, type OnnxModel, type OnnxNode } from './encode-model.js'
import { GraphWriter, type NamedTensor } from './graph-writer.js'
import { writeValue } from './write-value.js'

/** Tensors of one network by name, without the group axis and in the engine's order (NHWC, HWIO): what training leaves. */
export interface NetworkTensors {
  readonly parameters: Readonly<Record<string, Float32Array>>
  /** Running statistics; `{}` for networks without batch norm. */
  readonly state: Readonly<Record<string, Float32Array>>
}

/** What the model says of its input and output beside their types. */
export interface OnnxDescription {
  /** Per channel, of pixels in [0, 1]: the model takes (pixel/255 - mean) / std. */
  readonly mean: readonly number[]
  readonly std: readonly number[]
  /** Names of the logits, in order. */
  readonly classes: readonly string[]
  /** What the network was trained behind: the model whitens its normalised input itself. Its matrix takes d^2 x 4 bytes for d = H*W*C. */
  readonly whitening?: Whitening
}

/** Keys of the model's metadata; every value is JSON. */
export const metadataKeys = { mean: 'aludel.mean', std: 'aludel.std', classes: 'aludel.classes', network: 'aludel.network' } as const

const imagesName = 'images'
const logitsName = 'logits'
/** Rows of the trace; the model's batch axis is free. A prime that hardly any network has as a size tells the batch from other axes. */
const tracedRows = 13

/**
 * The bytes of an ONNX model (IR version 8, opset 17) that gives the logits of `network` in eval mode: `images` float32
 * [batch, C, H, W], normalised as in training -> `logits` float32 [batch, classes]. Initialisers bear the parameters' names and PyTorch's
 * order; mean, std, class names and the network's name stand in the metadata. With a whitening its matrix is part of the model.
 * Throws `invalid_option` when the network uses an op without an ONNX form, `invalid_data` when a tensor is missing or of another size.
 */
export async function exportOnnx(network: Network, tensors: NetworkTensors, description: OnnxDescription): Promise<Uint8Array> {
  const { mean, std, classes, whitening } = checkDescription(network, description)
  const [height, width, channels] = network.input
  return encodeModel({
    ...writeGraph(network, [...named(network, 'parameters', tensors), ...named(network, 'state', tensors)], whitening),
    name: network.name,
    producer: { name: 'aludel', version: packageVersion },
    metadata: {
      [metadataKeys.network]: JSON.stringify(network.name),
      [metadataKeys.mean]: JSON.stringify(mean),
      [metadataKeys.std]: JSON.stringify(std),
      [metadataKeys.classes]: JSON.stringify(classes),
    },
    input: { name: imagesName, dims: ['batch', channels, height, width] },
    output: { name: logitsName, dims: ['batch', network.classes] },
  })
}

/** Throws `invalid_option` when the network uses an op without an ONNX form: what an export after training would end with. */
export function checkExportable(network: Network): void {
  const zeros = [...network.parameters, ...network.state].map(({ name, shape }) => ({ name, data: new Float32Array(sizeOf(shape)) }))
  writeGraph(network, zeros)
}

/** Traces the forward pass and writes it; `inputs` are the parameters, then the state, in the order of their specifications. */
function writeGraph(network: Network, inputs: readonly NamedTensor[], whitening?: Whitening): Pick<OnnxModel, 'nodes' | 'initializers'> {
  const [height, width, channels] = network.input
  const specs = [...network.parameters, ...network.state]
  const traced = trace(
    (x: Value, ...values: Value[]) => {
      const byName = (first: number, list: readonly { readonly name: string }[]): Parameters =>
        Object.fromEntries(list.map(({ name }, i) => [name, values[first + i]]))
      const state = byName(network.parameters.length, network.state)
      return network.apply(byName(0, network.parameters), x, { mode: 'eval', state }).logits
    },
    [spec([1, tracedRows, height, width, channels]), ...specs.map(({ shape }) => spec([1, ...shape]))],
  )
  const [logits] = traced.outputs
  if (logits.shape.join() !== [1, tracedRows, network.classes].join()) {
    throw expected('invalid_option', `network '${network.name}': logits`, `[G, N, ${network.classes}]`, logits.shape)
  }
  const writer = new GraphWriter(network.name, traced.inputs[0], logits, [undefined, ...inputs], writeValue)
  if (whitening) writer.setForm(traced.inputs[0], { kind: 'map', name: writeWhitening(writer, whitening) })
  if (!writer.varies(logits)) throw writer.refuse(logits, 'gives logits that do not depend on the images')
  const form = writer.form(logits)
  if (form.kind !== 'rows' || form.order) throw writer.refuse(logits, 'gives logits that are the pixels of a map')
  return { nodes: writer.nodes.map((node) => renameOutput(node, form.name)), initializers: writer.initializers }
}

/** y = (x - mean) T on flattened images, whose order (C, H, W) is ONNX's own. Returns the name of the whitened maps. */
function writeWhitening(writer: GraphWriter, { image: [height, width, channels], mean, transform }: Whitening): string {
  const flat = writer.node('Flatten', [imagesName], { axis: 1 })
  const centred = writer.node('Sub', [flat, writer.constant('zca.mean', { shape: [mean.length], data: mean })])
  const white = writer.node('MatMul', [centred, writer.constant('zca.transform', { shape: [mean.length, mean.length], data: transform })])
  return writer.node('Reshape', [white, writer.shape([-1, channels, height, width])])
}

function renameOutput(node: OnnxNode, old: string): OnnxNode {
  const rename = (name: string) => (name === old ? logitsName : name)
  return { ...node, inputs: node.inputs.map(rename), output: rename(node.output) }
}

function named(network: Network, list: 'parameters' | 'state', tensors: NetworkTensors): NamedTensor[] {
  return network[list].map(({ name, shape }) => {
    const data: unknown = isRecord(tensors?.[list]) ? tensors[list][name] : undefined
    if (data instanceof Float32Array && data.length === sizeOf(shape)) return { name, data }
    const received = data instanceof Float32Array ? data.length : data
    throw expected('invalid_data', `network '${network.name}': tensor '${name}'`, `a Float32Array of ${sizeOf(shape)} elements`, received)
  })
}

function checkDescription(network: Network, description: OnnxDescription): OnnxDescription {
  if (typeof network?.apply !== 'function' || ![network.input, network.parameters, network.state].every(Array.isArray)) {
    throw expected('invalid_option', 'exportOnnx: network', 'an object with name, input, classes, parameters, state and apply', network)
  }
  const { mean, std, classes, whitening } = description ?? {}
  const channels = network.input[2]
  for (const [name, list, count] of [
    ['mean', mean, channels],
    ['std', std, channels],
    ['classes', classes, network.classes],
  ] as const) {
    if (!Array.isArray(list) || list.length !== count) {
      throw expected('invalid_option', `exportOnnx: ${name}`, `${count} entries`, Array.isArray(list) ? list.length : list)
    }
  }
  if (![...mean, ...std].every(Number.isFinite)) throw new AludelError('invalid_option', 'exportOnnx: expected finite means and deviations')
  if (whitening !== undefined) checkWhitening('exportOnnx', whitening, network.input)
  return { mean, std, classes, ...(whitening && { whitening }) }
}
