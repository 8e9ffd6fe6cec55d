/** @file Reverse-mode differentiation as a graph transformation: one sweep from outputs to inputs, built from ops. */
import { AludelError, expected } from '../../errors.js'
import type { Node, Value } from '../graph/node.js'
import { formatType } from '../graph/print.js'
import { topologicalOrder } from '../graph/walk.js'
import { checkValues, withGraph, zerosLike } from '../ops/build.js'
import { isFloat } from '../ops/check.js'
import { add } from '../ops/elementwise.js'
import { sumTo } from '../ops/movement-ops.js'
import { registry } from '../ops/registry.js'
import { sameShape } from '../tensor/shape.js'

/**
 * Vector-Jacobian product: sum over the outputs of <cotangent, d output / d w> for each w of `wrt`, of w's shape and dtype.
 * `null` cotangents count as zero; a w that no output depends on gets zeros. A w may be any value, not only an input.
 * @throws AludelError 'not_differentiable' naming the op, when the way from an output to a w leads through an op without derivative.
 */
export function vjp(outputs: readonly Value[], cotangents: readonly (Value | null)[], wrt: readonly Value[]): Value[] {
  checkSeeds(outputs, cotangents, wrt)
  const graph = (outputs[0] ?? wrt[0])?.node.graph
  if (!graph) return []
  const order = topologicalOrder(outputs)
  const needed = gradientPaths(order, wrt)
  const sums = new Map<Value, Value>()
  return withGraph(graph, () => {
    outputs.forEach((output, i) => {
      const seed = cotangents[i]
      if (seed && needed.has(output)) accumulate(sums, output, seed)
    })
    for (const node of [...order].reverse()) sweepNode(node, needed, sums)
    return wrt.map((w) => sums.get(w) ?? zerosLike(w))
  })
}

function checkSeeds(outputs: readonly Value[], cotangents: readonly (Value | null)[], wrt: readonly Value[]): void {
  for (const [name, list] of Object.entries({ outputs, cotangents, wrt })) {
    if (!Array.isArray(list)) throw expected('invalid_data', 'vjp', `${name} as a list of traced values`, list)
  }
  checkValues('vjp', outputs)
  checkValues(
    'vjp',
    cotangents.filter((seed) => seed !== null),
  )
  checkValues('vjp', wrt)
  if (cotangents.length !== outputs.length) throw expected('invalid_data', 'vjp', `${outputs.length} cotangents`, cotangents.length)
  outputs.forEach((output, i) => {
    const seed = cotangents[i]
    if (seed && formatType(seed) !== formatType(output)) {
      throw expected('invalid_shape', 'vjp', `cotangent ${i} of type ${formatType(output)}`, formatType(seed))
    }
  })
  const integral = wrt.find((w) => !isFloat(w.dtype))
  if (integral) throw expected('invalid_dtype', 'vjp', 'f32 or f64 values to differentiate', formatType(integral))
}

/** Inputs of a node that its record lets a gradient through. */
function carriesGradient(node: Node, input: number): boolean {
  const { differentiable } = registry[node.op]
  return isFloat(node.inputs[input].dtype) && (!differentiable || differentiable.includes(input))
}

/** Values on a differentiable way from some w. */
function gradientPaths(order: readonly Node[], wrt: readonly Value[]): ReadonlySet<Value> {
  const needed = new Set<Value>(wrt)
  for (const node of order) {
    if (!node.inputs.some((v, i) => needed.has(v) && carriesGradient(node, i))) continue
    for (const v of node.outputs) if (isFloat(v.dtype)) needed.add(v)
  }
  return needed
}

function sweepNode(node: Node, needed: ReadonlySet<Value>, sums: Map<Value, Value>): void {
  const cotangents = node.outputs.map((v) => sums.get(v) ?? null)
  const needs = node.inputs.map((v, i) => needed.has(v) && carriesGradient(node, i))
  if (cotangents.every((g) => g === null) || !needs.includes(true)) return
  const rule = registry[node.op].vjp
  if (!rule) {
    throw new AludelError(
      'not_differentiable',
      `${node.op}: expected an op with a derivative on the way to the values asked for; this one has none, use stopGradient() on its inputs`,
    )
  }
  const gradients = rule({ node, inputs: node.inputs, outputs: node.outputs, cotangents, needs })
  gradients.forEach((g, i) => {
    if (g && needs[i]) accumulate(sums, node.inputs[i], g)
  })
}

/** Adds a cotangent; where the op broadcast its input, the repetition is summed away here and nowhere else. */
function accumulate(sums: Map<Value, Value>, v: Value, g: Value): void {
  const own = sameShape(g.shape, v.shape) ? g : sumTo(g, v.shape)
  const before = sums.get(v)
  sums.set(v, before ? add(before, own) : own)
}
