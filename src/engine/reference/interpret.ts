/** @file The oracle: runs any graph in float64 by the references of the op records. Integers are exact; nothing is rounded to f32. */
import { expected } from '../../errors.js'
import type { Value } from '../graph/node.js'
import { topologicalOrder, usersOf } from '../graph/walk.js'
import type { RefTensor } from '../ops/define.js'
import { registry } from '../ops/registry.js'
import { checkShape, formatShape, sameShape, sizeOf } from '../tensor/shape.js'

export type { RefTensor } from '../ops/define.js'

/** A reference tensor of `data`, copied. Throws `invalid_shape` when the elements are not those of the shape. */
export function refTensor(shape: readonly number[], data: ArrayLike<number>): RefTensor {
  checkShape('refTensor', shape)
  if (data?.length !== sizeOf(shape)) {
    throw expected('invalid_shape', 'refTensor', `${sizeOf(shape)} elements for shape ${formatShape(shape)}`, data?.length)
  }
  return { shape, data: Float64Array.from(data) }
}

/**
 * Values of `outputs` for the inputs (by index of their 'input' nodes).
 * @throws AludelError 'invalid_shape' when an input is missing or has another shape, 'invalid_option' for what is no traced program.
 */
export function interpret(program: { readonly outputs: readonly Value[] } | readonly Value[], inputs: readonly RefTensor[]): RefTensor[] {
  const outputs = Array.isArray(program) ? program : (program as { readonly outputs: readonly Value[] } | undefined)?.outputs
  if (!Array.isArray(outputs)) throw expected('invalid_option', 'interpret', 'what trace returns, or a list of values', program)
  if (!Array.isArray(inputs)) throw expected('invalid_option', 'interpret: inputs', 'a list of reference tensors', inputs)
  const nodes = topologicalOrder(outputs)
  const users = usersOf(nodes)
  const results = new Set(outputs)
  const values = new Map<Value, RefTensor>()
  const pending = new Map([...users].map(([v, list]) => [v, list.length]))
  for (const node of nodes) {
    const operands = node.inputs.map((v) => values.get(v) as RefTensor)
    const made = node.op === 'input' ? [inputAt(node.outputs[0], inputs)] : registry[node.op].reference(operands, node.attrs, node.outputs)
    node.outputs.forEach((v, i) => {
      values.set(v, made[i])
    })
    // Tensors that nobody reads any more are dropped at once: second-order graphs hold many.
    for (const v of new Set(node.inputs)) {
      const left = (pending.get(v) as number) - 1
      pending.set(v, left)
      if (left === 0 && !results.has(v)) values.delete(v)
    }
  }
  return outputs.map((v) => values.get(v) as RefTensor)
}

function inputAt(value: Value, inputs: readonly RefTensor[]): RefTensor {
  const index = value.node.attrs.index as number
  const tensor = inputs[index]
  if (!Array.isArray(tensor?.shape) || !sameShape(tensor.shape, value.shape)) {
    const came = Array.isArray(tensor?.shape) ? formatShape(tensor.shape) : 'no tensor'
    throw expected('invalid_shape', `interpret: input ${index}`, formatShape(value.shape), came)
  }
  return tensor
}
