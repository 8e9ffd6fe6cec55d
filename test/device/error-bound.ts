/**
 * @file How far a float32 device may be from the float64 interpreter. Every operand of every rounding op is moved by a random relative
 * amount of one float32 rounding, which moves a product sum by eps |a|.|b|; the movement of the results is the graph's own condition.
 */
import {
  type DType,
  fold,
  interpret,
  type Key,
  keyOf,
  type Node,
  type Opcode,
  type RefTensor,
  registry,
  type Traced,
  topologicalOrder,
  uniform,
  type Value,
} from '../../src/engine/index.js'

const epsilons: Partial<Record<DType, number>> = { f32: 2 ** -24, f64: 2 ** -53 }

/** These round nothing, and where they compare, a moved operand would be another question. */
const exactOps: ReadonlySet<Opcode> = new Set<Opcode>([
  ...(['copy', 'reshape', 'transpose', 'broadcast', 'slice', 'pad', 'concat', 'reverse', 'iota', 'constant', 'input'] as const),
  ...(['neg', 'abs', 'sign', 'relu', 'floor', 'is_finite', 'maximum', 'minimum', 'select', 'cast'] as const),
  ...(['greater', 'greater_equal', 'equal', 'max', 'argmax', 'one_hot', 'gather'] as const),
  ...(['max_pool2d', 'max_pool2d_gather', 'random_uniform', 'random_permutation'] as const),
])

/** Operands that say which rows or operations, not how much. */
function isChoice(node: Node, input: number): boolean {
  if (node.op === 'augment' || node.op === 'augment_linear' || node.op === 'augment_transpose') return input === 1
  if (node.op === 'max_pool2d_grad') return input === 0
  if (node.op === 'norm_act_pool') return input === 3
  if (node.op === 'norm_act_pool_grad') return input === 6
  return node.op === 'norm_act_pool_grad_grad' && input === 9
}

/** A map may hold comparisons, so its operands stay; its result is moved like any operand of the next op. */
const movesOperands = (node: Node): boolean => !exactOps.has(node.op) && node.op !== 'map'

/** Relative rounding of a node: that of its coarsest float operand or result. */
const roundingOf = (node: Node): number => Math.max(0, ...[...node.inputs, ...node.outputs].map(({ dtype }) => epsilons[dtype] ?? 0))

function moved(tensor: RefTensor, amount: number, key: Key): RefTensor {
  const random = uniform(key, 0, 0, tensor.data.length)
  return { shape: tensor.shape, data: tensor.data.map((v, i) => v * (1 + amount * (2 * random[i] - 1))) }
}

function interpretMoved(traced: Traced, inputs: readonly RefTensor[], key: Key): RefTensor[] {
  const values = new Map<Value, RefTensor>()
  for (const node of topologicalOrder(traced.outputs)) {
    const { index } = node.attrs as { index: number }
    const eps = roundingOf(node)
    const operands = node.inputs.map((v, i) => {
      const value = values.get(v) as RefTensor
      return movesOperands(node) && epsilons[v.dtype] && !isChoice(node, i) ? moved(value, eps, fold(key, node.id, i)) : value
    })
    const results = node.op === 'input' ? [inputs[index]] : registry[node.op].reference(operands, node.attrs, node.outputs)
    for (const [i, v] of node.outputs.entries()) values.set(v, results[i])
  }
  return traced.outputs.map((v) => values.get(v) as RefTensor)
}

export const largest = (data: ArrayLike<number>): number => {
  let most = 0
  for (let i = 0; i < data.length; i++) if (!(Math.abs(data[i]) <= most)) most = Math.abs(data[i])
  return most
}

export interface Bounded {
  readonly reference: readonly RefTensor[]
  /** Per output: one rounding's worth of movement of its worst element. */
  readonly unit: readonly number[]
}

/** Reference results and the unit their errors are measured in, from `draws` random movements. */
export function boundErrors(traced: Traced, inputs: readonly RefTensor[], draws = 4): Bounded {
  const reference = interpret(traced, inputs)
  const unit = reference.map(({ data }, i) => finite(largest(data)) * (epsilons[traced.outputs[i].dtype] ?? 0))
  for (let draw = 0; draw < draws; draw++) {
    for (const [i, { data }] of interpretMoved(traced, inputs, fold(keyOf(6), draw)).entries()) {
      const difference = finite(largest(data.map((v, k) => v - reference[i].data[k])))
      unit[i] = Math.max(unit[i], difference)
    }
  }
  return { reference, unit }
}

const finite = (x: number): number => (Number.isFinite(x) ? x : 0)

/** Largest difference of a device's result from the reference; NaN equals NaN and infinities equal themselves. */
export function largestError(result: ArrayLike<number>, { data }: RefTensor): number {
  let most = 0
  for (let i = 0; i < data.length; i++) {
    if (Object.is(result[i], data[i]) || result[i] === data[i]) continue
    const error = Math.abs(result[i] - data[i])
    if (!(error <= most)) most = Number.isNaN(error) ? Number.POSITIVE_INFINITY : error
  }
  return most
}
