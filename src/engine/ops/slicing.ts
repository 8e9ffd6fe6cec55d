/** @file Slicing rules (see OpDef.slice) that several families share. */
import type { Node } from '../graph/node.js'
import type { BatchAxis, OpDef, SlicedOutput } from './define.js'

type SliceRule = NonNullable<OpDef['slice']>

/** No input depends on the batch: neither does any output. */
export const independent = (axes: readonly BatchAxis[]): boolean => axes.every((a) => a === null)

const constantOutputs = (node: Node): readonly SlicedOutput[] => node.outputs.map(() => null)

/** A rule for nodes with at least one batched input; nodes without one do not depend on the batch. */
export const sliceRule =
  (rule: SliceRule): SliceRule =>
  (axes, node) =>
    independent(axes) ? constantOutputs(node) : rule(axes, node)

/** Axes are aligned from the right; an input without batch axis must not extend along it. */
export const elementwiseSlice: SliceRule = sliceRule((axes, node) => {
  const rank = node.outputs[0].shape.length
  const aligned = axes.map((a, i) => (a === null ? null : a + rank - node.inputs[i].shape.length))
  const batch = aligned.find((a) => a !== null) as number
  const fits = aligned.every((a, i) => {
    if (a !== null) return a === batch
    const { shape } = node.inputs[i]
    return (shape[batch - rank + shape.length] ?? 1) === 1
  })
  return fits ? node.outputs.map(() => batch) : undefined
})

/** Inputs by exact pattern: the row that lists the batch axis of every input gives the outputs. */
export const tableSlice = (rows: readonly { in: readonly BatchAxis[]; out: readonly SlicedOutput[] }[]): SliceRule =>
  sliceRule((axes) => rows.find((row) => row.in.length === axes.length && row.in.every((a, i) => a === axes[i]))?.out)

/** The op acts on the last `inner` axes; every batched input and every output has the same leading batch axis. */
export const leadingSlice = (inner: number): SliceRule =>
  sliceRule((axes, node) => {
    const batch = axes[0]
    const leads = batch !== null && axes.every((a) => a === batch) && batch < node.inputs[0].shape.length - inner
    return leads ? node.outputs.map(() => batch) : undefined
  })
