/** @file Slicing rules tell the truth: an op run on slices of the batch gives slices (or partial sums) of its result. */
import { describe, expect, test } from 'vitest'
import {
  interpret,
  type Node,
  type RefTensor,
  registry,
  spec,
  stridesOf,
  topologicalOrder,
  trace,
  type Value,
} from '../../../src/engine/index.js'
import type { BatchAxis, SlicedOutput } from '../../../src/engine/ops/define.js'
import { allCases, caseInputs, caseTitle } from '../../cases/index.js'

/** Elements [from, to) of t along `axis`. */
function cut(t: RefTensor, axis: number, from: number, to: number): RefTensor {
  const stride = stridesOf(t.shape)[axis]
  const inRange = (i: number): boolean => {
    const at = Math.floor(i / stride) % t.shape[axis]
    return at >= from && at < to
  }
  return { shape: t.shape.map((d, i) => (i === axis ? to - from : d)), data: t.data.filter((_, i) => inRange(i)) }
}

const most = 256

/**
 * All assignments of a batch axis (or none) to the inputs in which the batched extents agree. Where they are too many: one input batched
 * along each of its axes, all inputs that can be, and all of those but one.
 */
function assignments(node: Node): (readonly BatchAxis[])[] {
  const extents = new Set(node.inputs.flatMap((v) => v.shape).filter((d) => d > 1))
  return [...extents].flatMap((extent) => {
    const axes = node.inputs.map((v) => [...v.shape.keys()].filter((axis) => v.shape[axis] === extent))
    if (axes.reduce((count, own) => count * (own.length + 1), 1) > most) {
      const every = axes.map((own) => own[0] ?? null)
      const batched = [...axes.keys()].filter((i) => every[i] !== null)
      const alone = batched.flatMap((i) => axes[i].map((axis) => axes.map((_, k) => (k === i ? axis : null))))
      return [...alone, every, ...batched.map((i) => every.map((axis, k) => (k === i ? null : axis)))]
    }
    const all = axes.reduce<BatchAxis[][]>((sofar, own) => sofar.flatMap((head) => [null, ...own].map((axis) => [...head, axis])), [[]])
    return all.slice(1)
  })
}

function runSlice(
  node: Node,
  inputs: readonly RefTensor[],
  axes: readonly BatchAxis[],
  out: readonly SlicedOutput[],
  from: number,
  to: number,
) {
  const own = inputs.map((t, i) => (axes[i] === null ? t : cut(t, axes[i], from, to)))
  const types = own.map((t, i) => ({ shape: t.shape, dtype: node.inputs[i].dtype }))
  const axis = out[0]
  const attrs =
    Array.isArray(node.attrs.shape) && typeof axis === 'number'
      ? { ...node.attrs, shape: node.attrs.shape.map((d, i) => (i === axis ? to - from : d)) }
      : node.attrs
  const { type, reference } = registry[node.op]
  return reference(own, attrs, type(types, attrs))
}

/** Checks one rule result by cutting the batch in two. */
function checkSlicing(node: Node, inputs: readonly RefTensor[], axes: readonly BatchAxis[], out: readonly SlicedOutput[]): void {
  const first = axes.findIndex((axis) => axis !== null)
  const extent = node.inputs[first].shape[axes[first] as number]
  const whole = registry[node.op].reference(inputs, node.attrs, node.outputs)
  const cutAt = Math.ceil(extent / 2)
  const parts = [runSlice(node, inputs, axes, out, 0, cutAt), runSlice(node, inputs, axes, out, cutAt, extent)]
  out.forEach((rule, i) => {
    const wanted = rule === 'sum' ? [...whole[i].data] : [...cut(whole[i], rule as number, 0, cutAt).data]
    const actual = rule === 'sum' ? [...parts[0][i].data].map((v, k) => v + parts[1][i].data[k]) : [...parts[0][i].data]
    expect(actual.length).toBe(wanted.length)
    actual.forEach((v, k) => {
      expect(v).toBeCloseTo(wanted[k], 9)
    })
  })
}

/** The node of the case's own op, with the values of its inputs. */
function nodeOf(c: (typeof allCases)[number]): { node: Node; inputs: RefTensor[] } {
  const traced = trace(
    (...x) => c.build(...(x as Value[])),
    c.inputs.map(({ shape, dtype }) => spec(shape, dtype)),
  )
  const node = topologicalOrder(traced.outputs).find((n) => n.op === c.op) as Node
  return { node, inputs: !node || node.inputs.length === 0 ? [] : interpret(node.inputs, caseInputs(c)) }
}

// Composite cases are filed under an op of theirs that they need not contain.
const sliced = allCases.filter((c) => registry[c.op].slice && nodeOf(c).node)

describe('slicing rules', () => {
  test.each(sliced.map((c) => [caseTitle(c), c] as const))('%s', (_, c) => {
    const { node, inputs } = nodeOf(c)
    const { slice } = registry[node.op]
    for (const axes of assignments(node)) {
      const out = slice?.(axes, node)
      if (out) checkSlicing(node, inputs, axes, out)
    }
    expect(
      slice?.(
        node.inputs.map(() => null),
        node,
      ),
    ).toEqual(node.outputs.map(() => null))
  })

  const rule = (op: string, name: string, axes: readonly BatchAxis[]) => {
    const { node } = nodeOf(allCases.find((c) => c.op === op && c.name === name) as (typeof allCases)[number])
    return registry[node.op].slice?.(axes, node)
  }
  test.each([
    ['conv2d', '3x3, pad 1', [1, null, null], [1]],
    ['conv2d_input_grad', '3x3, pad 1', [1, null], [1]],
    ['conv2d_weight_grad', '3x3, pad 1', [1, 1], ['sum', 'sum']],
    ['norm_act_pool', 'instance, relu, pool', [1, null, null], [1, 1, 1]],
    ['norm_act_pool', 'batch', [1, null, null], undefined],
    ['norm_act_pool_grad', 'group', [1, null, null, 1, 1, 1], [1, 'sum', 'sum']],
    ['norm_act_pool_grad_grad', 'group', [1, null, null, 1, 1, 1, 1, null, null], [1, 'sum', 1]],
    ['norm_act_pool_grad', 'batch, relu, pool, two groups', [1, null, null, 1, 1, 1], undefined],
    ['softmax_ce', 'soft', [0, 0], [0, 0]],
    ['sum', 'first axis', [0], ['sum']],
    ['sum', 'middle axes', [3], [1]],
    ['gather', 'rows, some twice', [null, 0], [0]],
    ['scatter_add', 'rows, some twice', [0, 0], ['sum']],
    ['augment', 'square, alignCorners false', [0, 0], [0]],
    ['augment', 'square, alignCorners false', [0, null], undefined],
    ['matmul', 'transposeA false, transposeB false', [0, null], [0]],
    ['matmul', 'transposeA false, transposeB false', [1, 0], ['sum']],
    ['matmul', 'transposeA true, transposeB false', [0, 0], ['sum']],
    ['image_gather', 'normalised', [null, 0, null, null], [0]],
  ] as const)('%s (%s) with %j', (op, name, axes, wanted) => {
    expect(rule(op, name, axes)).toEqual(wanted)
  })
})
