/** @file Arguments of a program: which buffers a run binds, and which outputs are written straight into them. */
import { expected } from '../../errors.js'
import { formatShape, sameShape } from '../tensor/shape.js'
import { isElementwise } from './elementwise-ops.js'
import { IrBuilder, type IrGraph, type IrNode, type IrValue } from './ir.js'
import { type Place, placeAt, rootOf } from './placement.js'
import type { CompileOptions, ProgramArgument, Slots } from './program.js'

export interface Arguments {
  readonly list: readonly ProgramArgument[]
  /** Per input of the graph; -1 is the step scalar. */
  readonly ofInput: readonly number[]
  readonly ofOutput: readonly number[]
  readonly inputPlaces: readonly Place[]
  readonly outputPlaces: readonly Place[]
}

function placeOf(argument: number, slots: Slots | undefined): Place {
  return placeAt('argument', 0, { argument, slots: slots?.count ?? 0, slotMul: slots ? (slots.mul ?? 1) : 0, slotAdd: slots?.add ?? 0 })
}

/** @throws AludelError 'invalid_option' when a donation or a ring of slots does not fit its value. */
export function listArguments(graph: IrGraph, options: CompileOptions): Arguments {
  const { donate = {}, slots = {}, stepInput = -1 } = options
  const list: ProgramArgument[] = []
  const addArgument = (v: IrValue, role: ProgramArgument['role'], ring: Slots | undefined, fallback: string): number => {
    checkSlots(fallback, ring)
    const name = options.names?.[list.length] ?? fallback
    return list.push({ name, dtype: v.dtype, shape: v.shape, slots: ring?.count ?? 0, role }) - 1
  }
  const ofInput = graph.inputs.map((v, i) => (i === stepInput ? -1 : addArgument(v, 'input', slots.inputs?.[i], `input${i}`)))
  checkStepInput(graph, stepInput)
  const donated = new Set<number>()
  const ofOutput = graph.outputs.map((v, i) => {
    const from = donate[i]
    if (from === undefined) return addArgument(v, 'output', slots.outputs?.[i], `output${i}`)
    checkDonation(graph, i, from, donated, ofInput)
    donated.add(from)
    const argument = ofInput[from]
    const ring = slots.outputs?.[i]
    if ((ring?.count ?? 0) !== list[argument].slots) {
      throw expected(
        'invalid_option',
        `slots of output ${i}`,
        `${list[argument].slots} slots like the input it overwrites`,
        ring?.count ?? 0,
      )
    }
    list[argument] = { ...list[argument], role: 'inout' }
    return argument
  })
  const step: Place = placeAt('argument', 0, { stepScalar: true })
  return {
    list,
    ofInput,
    ofOutput,
    inputPlaces: ofInput.map((argument, i) => (argument < 0 ? step : placeOf(argument, slots.inputs?.[i]))),
    outputPlaces: ofOutput.map((argument, i) => placeOf(argument, slots.outputs?.[i])),
  }
}

function checkSlots(what: string, ring: Slots | undefined): void {
  if (!ring) return
  const whole = [ring.count, ring.mul ?? 1, ring.add ?? 0].every((n) => Number.isInteger(n) && Math.abs(n) < 2 ** 31)
  if (!whole || ring.count < 1) throw expected('invalid_option', `slots of ${what}`, 'whole numbers with count >= 1', JSON.stringify(ring))
}

function checkStepInput(graph: IrGraph, stepInput: number): void {
  if (stepInput === -1) return
  const v = graph.inputs[stepInput]
  if (v?.dtype !== 'u32' || !sameShape(v.shape, [1])) {
    throw expected('invalid_option', 'stepInput', 'the index of an input u32 [1]', v ? `${v.dtype} ${formatShape(v.shape)}` : stepInput)
  }
}

function checkDonation(graph: IrGraph, output: number, from: number, donated: ReadonlySet<number>, ofInput: readonly number[]): void {
  const source = graph.inputs[from]
  const target = graph.outputs[output]
  if (source === undefined || ofInput[from] < 0) throw expected('invalid_option', `donate[${output}]`, 'the index of an input', from)
  if (donated.has(from)) throw expected('invalid_option', `donate[${output}]`, 'an input that no other output overwrites', from)
  if (source.dtype !== target.dtype || !sameShape(source.shape, target.shape)) {
    const wanted = `an input of ${target.dtype} ${formatShape(target.shape)}`
    throw expected('invalid_option', `donate[${output}]`, wanted, `input ${from} of ${source.dtype} ${formatShape(source.shape)}`)
  }
}

export interface BoundOutputs {
  /** Roots that have a place in an argument. */
  readonly fixed: ReadonlyMap<IrValue, Place>
  /** Nodes to run after all others. */
  readonly copies: readonly IrNode[]
}

/**
 * Decides per output: written in place by its producer, or computed in the arena and copied at the end. In place is safe when the root
 * is made by an instruction, serves one output, and nothing reads a donated input at or after the write.
 */
export function bindOutputs(graph: IrGraph, args: Arguments, order: readonly IrNode[]): BoundOutputs {
  const lastRead = new Map<IrValue, number>()
  for (const [time, node] of order.entries()) for (const v of node.inputs) lastRead.set(rootOf(v), time)
  const position = new Map(order.map((node, i) => [node, i]))
  const inputOfArgument = new Map(graph.inputs.map((v, i) => [args.ofInput[i], { v, place: args.inputPlaces[i] }]))
  // An input that is itself an output is read by a copy at the end.
  for (const [i, v] of graph.outputs.entries()) {
    if (rootOf(v).node.op === 'input' && inputOfArgument.get(args.ofOutput[i])?.v !== rootOf(v)) lastRead.set(rootOf(v), order.length)
  }
  const fixed = new Map<IrValue, Place>()
  const staged: IrNode[] = []
  const final: IrNode[] = []
  for (const [i, v] of graph.outputs.entries()) {
    const root = rootOf(v)
    const place = args.outputPlaces[i]
    const donor = inputOfArgument.get(args.ofOutput[i])
    if (donor && donor.v === root && samePlace(donor.place, place)) continue
    if (!fixed.has(root) && mayWriteDirectly(root, place, donor, lastRead, position)) {
      fixed.set(root, place)
      continue
    }
    const source = isOverwritten(root, graph, args) ? copyOf(v, staged) : v
    fixed.set(copyOf(source, final), place)
  }
  return { fixed, copies: [...staged, ...final] }
}

/** An input whose buffer some output is written into: a copy of it must be taken before. */
const isOverwritten = (root: IrValue, graph: IrGraph, args: Arguments): boolean =>
  root.node.op === 'input' && args.list[args.ofInput[graph.inputs.indexOf(root)]]?.role === 'inout'

const samePlace = (a: Place, b: Place): boolean =>
  a.argument === b.argument && a.slots === b.slots && a.slotMul === b.slotMul && a.slotAdd === b.slotAdd

/** A copy of its own: a fresh builder, so that two outputs of one value are not merged again. */
function copyOf(v: IrValue, into: IrNode[]): IrValue {
  const [copied] = new IrBuilder().add('copy', [v], [], [v])
  into.push(copied.node)
  return copied
}

function mayWriteDirectly(
  root: IrValue,
  place: Place,
  donor: { v: IrValue; place: Place } | undefined,
  lastRead: ReadonlyMap<IrValue, number>,
  position: ReadonlyMap<IrNode, number>,
): boolean {
  const { node } = root
  if (node.op === 'input' || node.op === 'constant') return false
  // A slice of a ring slot has no address: slots are counted in the value's own bytes.
  if (node.op === 'loop' && place.slots > 0) return false
  if (!donor || neverSameSlot(donor.place, place)) return true
  const read = lastRead.get(donor.v) ?? -1
  const write = position.get(node)!
  if (read !== write) return read < write
  return isElementwise(node.op) && node.inputs.every((v) => rootOf(v) !== donor.v || sameShape(v.shape, root.shape))
}

/** Ring addresses with equal steps whose distance never is a multiple of the ring. */
function neverSameSlot(a: Place, b: Place): boolean {
  return a.slots > 0 && a.slots === b.slots && a.slotMul === b.slotMul && (a.slotAdd - b.slotAdd) % a.slots !== 0
}
