/** @file Stable text of a graph for snapshots and error messages: numbered by walk order, so unrelated nodes leave no trace. */
import type { Attrs, AttrValue, TensorType, Value } from './node.js'
import { topologicalOrder } from './walk.js'

/** 'f32[2, 3]' */
export const formatType = ({ dtype, shape }: TensorType): string => `${dtype}[${shape.join(', ')}]`

// The head of long constants is enough to recognise them.
const shownElements = 8

function formatAttr(value: AttrValue): string {
  if (typeof value !== 'object') return String(value)
  const more = value.length > shownElements ? `, … ${value.length} in all` : ''
  return `[${value.slice(0, shownElements).join(', ')}${more}]`
}

function formatAttrs(attrs: Attrs): string {
  const names = Object.keys(attrs).sort()
  return names.length === 0 ? '' : ` {${names.map((name) => `${name}: ${formatAttr(attrs[name])}`).join(', ')}}`
}

/**
 * One line a node (`%3 = add(%1, %2) : f32[2]`), then the outputs. Value `%3.1` is output 1 of node 3.
 */
export function print(outputs: readonly Value[]): string {
  const nodes = topologicalOrder(outputs)
  const numberOf = new Map(nodes.map((node, i) => [node, i]))
  const name = (v: Value): string => `%${numberOf.get(v.node)}${v.node.outputs.length > 1 ? `.${v.index}` : ''}`
  const lines = nodes.map((node) => {
    const types = node.outputs.map(formatType).join(', ')
    return `%${numberOf.get(node)} = ${node.op}(${node.inputs.map(name).join(', ')})${formatAttrs(node.attrs)} : ${types}`
  })
  return [...lines, `return ${outputs.map(name).join(', ')}`].join('\n')
}
