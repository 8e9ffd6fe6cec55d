/** @file Invariants of the compiler's graph, checked after every pass: a violation is a fault of the compiler, never of its user. */
import { AludelError } from '../../errors.js'
import { formatShape, sameShape } from '../tensor/shape.js'
import { bytesOf, type IrGraph, type IrNode, type IrValue, type LoopPart } from './ir.js'

/** @throws AludelError 'internal' naming the pass. */
export function verify(graph: IrGraph, pass: string): IrGraph {
  const made = new Set<IrValue>()
  const refuse = (what: string): never => {
    throw new AludelError('internal', `compile: after ${pass}: ${what}`)
  }
  for (const node of graph.nodes) {
    for (const v of node.inputs) if (!made.has(v)) refuse(`${node.op} reads a value of ${v.node.op} that is not made before it`)
    for (const v of node.outputs) made.add(v)
    if (node.op === 'reshape' && bytesOf(node.inputs[0]) !== bytesOf(node.outputs[0])) {
      refuse(`reshape of ${formatShape(node.inputs[0].shape)} to ${formatShape(node.outputs[0].shape)}`)
    }
    if (node.loop) for (const part of node.loop.parts) verifyPart(node, part, pass, refuse)
  }
  for (const v of [...graph.inputs, ...graph.outputs]) if (!made.has(v)) refuse(`an input or output of ${v.node.op} is not in the graph`)
  return graph
}

function verifyPart(node: IrNode, part: LoopPart, pass: string, refuse: (what: string) => never): void {
  verify(part.body, pass)
  const { sliced, parts, extent } = node.loop!
  if (parts.reduce((n, p) => n + p.rows * p.slices, 0) !== extent) refuse('the parts of a loop do not cover its batch')
  if (part.body.inputs.length !== node.inputs.length || sliced.length !== node.inputs.length) refuse('a loop and its body differ in inputs')
  for (const [i, v] of part.body.inputs.entries()) {
    const outer = node.inputs[i]
    const fits = sliced[i] ? bytesOf(v) * extent === bytesOf(outer) * part.rows : sameShape(v.shape, outer.shape)
    if (!fits || v.dtype !== outer.dtype) refuse(`loop input ${i}: ${formatShape(v.shape)} of ${formatShape(outer.shape)}`)
  }
  for (const [i, v] of part.body.outputs.entries()) {
    const outer = node.outputs[part.results[i].output]
    // in whole numbers: the share of a part of the batch is none
    const [all, own] = part.results[i].kind === 'slice' ? [extent, part.rows] : [part.lanes, 1]
    if (bytesOf(v) * all !== bytesOf(outer) * own) refuse(`loop output ${i}: ${formatShape(v.shape)} of ${formatShape(outer.shape)}`)
  }
}
