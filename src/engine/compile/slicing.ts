/** @file Batch slicing: rebuilds the graph with one loop per region (program contract, section 3). */
import { AludelError } from '../../errors.js'
import type { TensorType } from '../graph/node.js'
import { isGpu } from '../isa.js'
import type { DType } from '../tensor/dtype.js'
import { type BatchedNode, findBatchAxes, leadingAxis } from './batch-axes.js'
import { bytesOf, IrBuilder, type IrGraph, type IrNode, type IrValue, type LoopPart, type LoopResult, liveNodes } from './ir.js'
import { packMasks, unpackedMask } from './pack-masks.js'
import { rootOf } from './placement.js'
import type { CompileOptions } from './program.js'
import { formRegions, type Region } from './slice-regions.js'

const mostLanes = 16
const leastLanes = 4
/** Per-lane partial sums of one loop; fewer lanes are used above it. */
const partialBytesBudget = 256 * 2 ** 20

export function sliceBatches(graph: IrGraph, options: CompileOptions): IrGraph {
  if (options.slicing === 'off') return graph
  const live = { ...graph, nodes: liveNodes(graph) }
  const first = formRegions(live, findBatchAxes(live), options)
  const own = new Map(first.list.flatMap((region) => [...region.own].map((node) => [node, region] as const)))
  const packed = packMasks(live, (node) => own.get(node))
  const { list, stored } = packed === live ? first : formRegions(packed, findBatchAxes(packed), options)
  return list.length === 0 ? packed : new Slicer(packed, list, stored, options).run()
}

/** A value outside that a region reads, whole or by rows. */
interface OuterInput {
  readonly value: IrValue
  readonly sliced: boolean
}

/** What a region hands out: a stored value, or a batch sum. */
interface Interface {
  readonly inputs: readonly OuterInput[]
  readonly stores: readonly IrValue[]
  readonly sums: readonly IrValue[]
}

class Slicer {
  private readonly builder = new IrBuilder()
  private readonly made = new Map<IrValue, IrValue>()
  private readonly regionOf = new Map<IrNode, Region>()
  private readonly interfaces = new Map<Region, Interface>()
  private readonly ringInputs: ReadonlySet<IrValue>
  private readonly graph: IrGraph
  private readonly windows: NonNullable<CompileOptions['windows']>
  /** There slices follow one another: one partial sum is enough. */
  private readonly isGpu: boolean

  constructor(graph: IrGraph, regions: readonly Region[], stored: ReadonlySet<IrValue>, options: CompileOptions) {
    this.graph = graph
    this.windows = options.windows ?? {}
    this.isGpu = isGpu(options.isa)
    this.ringInputs = new Set(graph.inputs.filter((_, i) => options.slots?.inputs?.[i] !== undefined))
    for (const region of regions) for (const node of region.own) this.regionOf.set(node, region)
    const summed = this.usedSums()
    for (const region of regions) this.interfaces.set(region, describeInterface(region, stored, summed))
  }

  run(): IrGraph {
    for (const node of this.graph.nodes) this.emit(this.regionOf.get(node) ?? node)
    const get = (v: IrValue): IrValue => this.made.get(v)!
    const result = { nodes: this.builder.nodes, inputs: this.graph.inputs.map(get), outputs: this.graph.outputs.map(get) }
    return { ...result, nodes: liveNodes(result) }
  }

  private usedSums(): ReadonlySet<IrValue> {
    const used = new Set(this.graph.outputs)
    for (const node of this.graph.nodes) for (const v of node.inputs) used.add(v)
    return used
  }

  private readonly done = new Set<IrNode | Region>()
  private readonly started = new Set<IrNode | Region>()

  /** Emits a node or region after everything it reads. */
  private emit(first: IrNode | Region): void {
    const stack = [first]
    while (stack.length > 0) {
      const unit = stack[stack.length - 1]
      const sources = this.sourcesOf(unit).map((v) => this.regionOf.get(v.node) ?? v.node)
      const missing = this.done.has(unit) ? undefined : sources.find((source) => !this.done.has(source))
      if (missing) {
        if (this.started.has(missing)) throw new AludelError('internal', 'compile: loop regions depend on each other')
        this.started.add(unit)
        stack.push(missing)
        continue
      }
      stack.pop()
      if (this.done.has(unit)) continue
      this.done.add(unit)
      if ('op' in unit) this.emitNode(unit)
      else this.emitRegion(unit)
    }
  }

  private sourcesOf(unit: IrNode | Region): readonly IrValue[] {
    return 'op' in unit ? unit.inputs : this.interfaces.get(unit)!.inputs.map((input) => input.value)
  }

  private emitNode(node: IrNode): void {
    const outputs = this.builder.clone(
      node,
      node.inputs.map((v) => this.made.get(v)!),
    )
    for (const [i, v] of node.outputs.entries()) this.made.set(v, outputs[i])
  }

  /** A ring slot cannot be cut (slots are counted in bytes of the value): its current slot is copied out first. */
  private outer({ value, sliced }: OuterInput): IrValue {
    const made = this.made.get(value)!
    return sliced && this.ringInputs.has(rootOf(value)) ? this.builder.add('copy', [made], [], [made])[0] : made
  }

  private emitRegion(region: Region): void {
    const { inputs, stores, sums } = this.interfaces.get(region)!
    const { rows, slices, tail } = region.cut
    const lanes = this.isGpu ? 1 : laneCount(slices, sums)
    const cuts = [{ start: 0, rows, slices, lanes }, ...(tail > 0 ? [{ start: rows * slices, rows: tail, slices: 1, lanes: 1 }] : [])]
    const types: TensorType[] = [...stores]
    const parts = cuts.map((cut): LoopPart => {
      const firstSum = types.length
      for (const v of sums) types.push({ shape: [cut.lanes, ...v.shape], dtype: partialType(v) })
      const results: LoopResult[] = [
        ...stores.map((_, i) => ({ output: i, kind: 'slice' as const })),
        ...sums.map((_, i) => ({ output: firstSum + i, kind: 'lane' as const })),
      ]
      const run = runOf(cut, this.windows[region.extent])
      return { ...cut, ...(run && { run }), body: buildBody(region, cut.rows, inputs, stores, sums), results }
    })
    const loop = { extent: region.extent, parts, sliced: inputs.map((input) => input.sliced) }
    const outputs = this.builder.add(
      'loop',
      inputs.map((input) => this.outer(input)),
      [],
      types,
      { loop },
    )
    for (const [i, v] of stores.entries()) this.made.set(v, outputs[i])
    for (const [i, v] of sums.entries())
      this.made.set(
        v,
        this.addPartials(
          v,
          parts.map((_, p) => outputs[stores.length + p * sums.length + i]),
        ),
      )
  }

  private addPartials(v: IrValue, partials: readonly IrValue[]): IrValue {
    const [main, tail] = partials.map((partial) => this.builder.add('lane_sum', [partial], [], [v])[0])
    return tail ? this.builder.add('add', [main, tail], [], [v])[0] : main
  }
}

type Cut = Pick<LoopPart, 'start' | 'rows' | 'slices'>

/** The slices of a part that hold rows of the window. */
function runOf({ start, rows, slices }: Cut, window: readonly [number, number] | undefined): readonly [number, number] | undefined {
  if (!window) return undefined
  const within = (slice: number) => Math.min(slices, Math.max(0, slice))
  const end = within(Math.ceil((window[1] - start) / rows))
  return [Math.min(end, within(Math.floor((window[0] - start) / rows))), end]
}

function laneCount(slices: number, sums: readonly IrValue[]): number {
  const bytes = sums.reduce((n, v) => n + bytesOf({ shape: v.shape, dtype: partialType(v) }), 0)
  const affordable = bytes > 0 ? Math.floor(partialBytesBudget / bytes) : mostLanes
  return Math.min(slices, mostLanes, Math.max(leastLanes, affordable))
}

/** Products are summed in float32 by their kernels already; plain sums keep float64 until the end. */
const partialType = (v: IrValue): DType => (v.node.op === 'conv2d_weight_grad' || v.node.op === 'matmul' ? 'f32' : 'f64')

/** A broadcast that only repeats along the batch is made inside, per slice: nothing of batch size is written for it. */
const isRepeatedRow = (v: IrValue, axis: number): boolean =>
  v.node.op === 'broadcast' && (v.node.inputs[0].shape[axis - v.shape.length + v.node.inputs[0].shape.length] ?? 1) === 1

const inputKey = (v: IrValue, sliced: boolean): string => `${v.id}${sliced ? 's' : ''}`

function describeInterface(region: Region, stored: ReadonlySet<IrValue>, used: ReadonlySet<IrValue>): Interface {
  const inside = new Set(region.nodes.map((n) => n.node))
  const inputs = new Map<string, OuterInput>()
  const stores: IrValue[] = []
  const sums: IrValue[] = []
  for (const n of region.nodes) {
    for (const [i, v] of n.node.inputs.entries()) {
      if (isLocal(v, inside, n, i)) continue
      const axis = n.inputAxes[i]
      const input =
        axis !== null && isRepeatedRow(v, axis) ? { value: v.node.inputs[0], sliced: false } : { value: v, sliced: axis !== null }
      inputs.set(inputKey(input.value, input.sliced), input)
    }
    if (!region.own.has(n.node)) continue
    for (const [i, v] of n.node.outputs.entries()) {
      if (n.outputAxes[i] === 'sum') {
        if (used.has(v)) sums.push(v)
      } else if (stored.has(v)) stores.push(v)
    }
  }
  return { inputs: [...inputs.values()], stores, sums }
}

/** A batched input that the region makes itself; batch sums always come from outside. */
const isLocal = (v: IrValue, inside: ReadonlySet<IrNode>, n: BatchedNode, i: number): boolean =>
  inside.has(v.node) && n.inputAxes[i] !== null

const withRows = (v: IrValue, axis: number, rows: number): TensorType => ({
  shape: v.shape.map((d, i) => (i === axis ? rows : d)),
  dtype: v.dtype,
})

function buildBody(
  region: Region,
  rows: number,
  inputs: readonly OuterInput[],
  stores: readonly IrValue[],
  sums: readonly IrValue[],
): IrGraph {
  const builder = new IrBuilder()
  const outer = new Map<string, IrValue>()
  const bodyInputs = inputs.map(({ value, sliced }, i) => {
    const made = builder.input(i, sliced ? withRows(value, leadingAxis(value), rows) : value)
    outer.set(inputKey(value, sliced), made)
    return made
  })
  const local = new Map<IrValue, IrValue>()
  const read = (n: BatchedNode, v: IrValue, i: number): IrValue => {
    const axis = n.inputAxes[i]
    if (axis === null) return outer.get(inputKey(v, false))!
    const made = local.get(v)
    if (made) return made
    if (!isRepeatedRow(v, axis)) return outer.get(inputKey(v, true))!
    const type = withRows(v, axis, rows)
    return builder.add('broadcast', [outer.get(inputKey(v.node.inputs[0], false))!], [], [type], { attrs: { shape: type.shape } })[0]
  }
  for (const n of region.nodes) {
    const mask = unpackedMask(n.node.outputs[0])
    if (mask && local.has(mask)) {
      local.set(n.node.outputs[0], local.get(mask)!)
      continue
    }
    const types = n.node.outputs.map((v, i) => (n.outputAxes[i] === 'sum' ? v : withRows(v, n.outputAxes[i] as number, rows)))
    const outputs = builder.clone(
      n.node,
      n.node.inputs.map((v, i) => read(n, v, i)),
      types,
    )
    for (const [i, v] of n.node.outputs.entries()) local.set(v, outputs[i])
  }
  const outputs = [...stores.map((v) => local.get(v)!), ...sums.map((v) => accumulate(builder, v, local.get(v)!))]
  const body = { nodes: builder.nodes, inputs: bodyInputs, outputs }
  return { ...body, nodes: liveNodes(body) }
}

function accumulate(builder: IrBuilder, sum: IrValue, partial: IrValue): IrValue {
  return builder.add('accumulate', [partial], [], [{ shape: sum.shape, dtype: partialType(sum) }])[0]
}
