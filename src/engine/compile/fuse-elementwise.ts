/** @file Groups elementwise ops into `map` micro-programs (program contract, section 4), so that values between them never touch memory. */
import { opcodeNumber } from '../ops/opcodes.js'
import { sameShape } from '../tensor/shape.js'
import { isMappable } from './elementwise-ops.js'
import { IrBuilder, type IrGraph, type IrNode, type IrValue, liveNodes, mapBodies } from './ir.js'

const maxInputs = 16
const maxOps = 48
const maxOutputs = 8

/** Nodes that become one map. Members are in topological order when read through `sorted`. */
class Group {
  readonly members = new Set<IrNode>()
  readonly shape: readonly number[]

  constructor(first: IrNode) {
    this.shape = first.outputs[0].shape
    this.members.add(first)
  }
}

const isFusable = (node: IrNode): boolean => {
  const { dtype } = node.outputs[0] ?? {}
  return isMappable(node.op) && (dtype === 'f32' || dtype === 'f64') && node.inputs.every((v) => v.dtype === dtype)
}

/** Fuses a graph and the bodies of its loops; groups never cross a region's border. */
export function fuseElementwise(graph: IrGraph): IrGraph {
  const nodes = liveNodes(graph)
  const live = { ...graph, nodes }
  return emitGroups(live, formGroups(live, true)) ?? emitGroups(live, formGroups(live, false))!
}

/**
 * Walks backwards; a node joins the group of its users. When all users are in that one group, no cycle can arise. With `sideUsers`, users
 * outside the group are allowed when a bounded search shows no way from them back into the group.
 */
function formGroups(graph: IrGraph, sideUsers: boolean): ReadonlyMap<IrNode, Group> {
  const users = usersOf(graph.nodes)
  const outputs = new Set(graph.outputs)
  const groups = new Map<IrNode, Group>()
  for (let i = graph.nodes.length - 1; i >= 0; i--) {
    const node = graph.nodes[i]
    if (!isFusable(node)) continue
    const group = groupToJoin(node, users, groups, sideUsers)
    if (group) {
      group.members.add(node)
      if (withinLimits(group, users, outputs)) {
        groups.set(node, group)
        continue
      }
      group.members.delete(node)
    }
    groups.set(node, new Group(node))
  }
  return groups
}

function groupToJoin(
  node: IrNode,
  users: ReadonlyMap<IrNode, readonly IrNode[]>,
  groups: ReadonlyMap<IrNode, Group>,
  sideUsers: boolean,
): Group | undefined {
  const around = users.get(node) ?? []
  const candidates = new Set(around.map((user) => groups.get(user)).filter((group) => group !== undefined))
  for (const group of candidates) {
    if (!sameShape(group.shape, node.outputs[0].shape) || [...group.members][0].outputs[0].dtype !== node.outputs[0].dtype) continue
    const outside = around.filter((user) => groups.get(user) !== group)
    if (outside.length === 0 || (sideUsers && outside.every((user) => cannotReach(user, group, users, groups)))) return group
  }
  return undefined
}

const searchLimit = 64

/** True when a search from `from` over users, whole groups at a time, ends without meeting `group`. */
function cannotReach(
  from: IrNode,
  group: Group,
  users: ReadonlyMap<IrNode, readonly IrNode[]>,
  groups: ReadonlyMap<IrNode, Group>,
): boolean {
  const seen = new Set<IrNode>()
  const stack = [from]
  while (stack.length > 0) {
    const node = stack.pop()!
    if (seen.has(node)) continue
    if (group.members.has(node) || seen.size > searchLimit) return false
    for (const member of groups.get(node)?.members ?? [node]) {
      seen.add(member)
      stack.push(...(users.get(member) ?? []))
    }
  }
  return true
}

function usersOf(nodes: readonly IrNode[]): Map<IrNode, IrNode[]> {
  const users = new Map<IrNode, IrNode[]>()
  for (const node of nodes) {
    for (const source of new Set(node.inputs.map((v) => v.node))) {
      const list = users.get(source)
      if (list) list.push(node)
      else users.set(source, [node])
    }
  }
  return users
}

function withinLimits(group: Group, users: ReadonlyMap<IrNode, readonly IrNode[]>, outputs: ReadonlySet<IrValue>): boolean {
  if (group.members.size > maxOps) return false
  const inputs = new Set<IrValue>()
  let results = 0
  for (const node of group.members) {
    for (const v of node.inputs) if (!group.members.has(v.node)) inputs.add(mapInput(v))
    if (isResult(node, group, users, outputs)) results++
  }
  return inputs.size <= maxInputs && results <= maxOutputs
}

const isResult = (node: IrNode, group: Group, users: ReadonlyMap<IrNode, readonly IrNode[]>, outputs: ReadonlySet<IrValue>): boolean =>
  outputs.has(node.outputs[0]) || (users.get(node) ?? []).some((user) => !group.members.has(user))

/** Inputs of a map broadcast by themselves: a broadcast in front of it is skipped. */
function mapInput(v: IrValue): IrValue {
  while (v.node.op === 'broadcast') v = v.node.inputs[0]
  return v
}

/** Rebuilds the graph with one map per group, or gives undefined when the groups depend on each other in a circle. */
function emitGroups(graph: IrGraph, groups: ReadonlyMap<IrNode, Group>): IrGraph | undefined {
  const users = usersOf(graph.nodes)
  const outputs = new Set(graph.outputs)
  const builder = new IrBuilder()
  const made = new Map<IrValue, IrValue>()
  const started = new Set<IrNode | Group>()
  const done = new Set<IrNode | Group>()
  const unitOf = (node: IrNode): IrNode | Group => {
    const group = groups.get(node)
    return group && group.members.size > 1 ? group : node
  }
  const inputsOf = (unit: IrNode | Group): readonly IrValue[] => (unit instanceof Group ? outerInputs(unit) : unit.inputs)
  for (const node of graph.nodes) {
    const stack = [unitOf(node)]
    while (stack.length > 0) {
      const unit = stack[stack.length - 1]
      const missing = done.has(unit)
        ? []
        : inputsOf(unit)
            .map((v) => unitOf(v.node))
            .filter((source) => !done.has(source))
      if (missing.some((source) => started.has(source))) return undefined
      started.add(unit)
      if (missing.length > 0) {
        stack.push(missing[0])
        continue
      }
      stack.pop()
      if (done.has(unit)) continue
      done.add(unit)
      if (unit instanceof Group) emitMap(unit, (n) => isResult(n, unit, users, outputs), builder, made)
      else emitNode(unit, builder, made)
    }
  }
  const result = { nodes: builder.nodes, inputs: graph.inputs.map((v) => made.get(v)!), outputs: graph.outputs.map((v) => made.get(v)!) }
  return { ...result, nodes: liveNodes(result) }
}

function emitNode(node: IrNode, builder: IrBuilder, made: Map<IrValue, IrValue>): void {
  const fused = node.loop ? { ...node, loop: mapBodies(node.loop, fuseElementwise) } : node
  const outputs = builder.clone(
    fused,
    node.inputs.map((v) => made.get(v)!),
  )
  for (const [i, v] of node.outputs.entries()) made.set(v, outputs[i])
}

function outerInputs(group: Group): readonly IrValue[] {
  const inputs = new Set<IrValue>()
  for (const node of group.members) for (const v of node.inputs) if (!group.members.has(v.node)) inputs.add(mapInput(v))
  return [...inputs]
}

/** Members joined backwards, so the reverse of their order of joining is topological. */
function emitMap(group: Group, isOutput: (node: IrNode) => boolean, builder: IrBuilder, made: Map<IrValue, IrValue>): void {
  const inputs = outerInputs(group)
  const register = new Map<IrValue, number>(inputs.map((v, i) => [v, i]))
  const members = [...group.members].reverse()
  const ops: number[] = []
  for (const node of members) {
    const dst = register.size
    const operands = node.inputs.map((v) => register.get(group.members.has(v.node) ? v : mapInput(v))!)
    ops.push(opcodeNumber[node.op], dst, operands[0], operands[1] ?? -1, operands[2] ?? -1)
    register.set(node.outputs[0], dst)
  }
  const results = members.filter(isOutput).map((node) => node.outputs[0])
  const numbers = [members.length, ...ops, results.length, ...results.map((v) => register.get(v)!)]
  const outputs = builder.add(
    'map',
    inputs.map((v) => made.get(v)!),
    numbers,
    results,
  )
  for (const [i, v] of results.entries()) made.set(v, outputs[i])
}
