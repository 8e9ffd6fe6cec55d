/**
 * @file Executes encoded programs in float64 through the ops' references: loops, lanes, ring slots, accumulators and maps as the
 * contract says. Memory has one cell per byte; unwritten and half-overwritten cells are NaN, so misplaced values show.
 */
import type { Program } from '../../../src/engine/compile/program.js'
import type { Attrs } from '../../../src/engine/graph/node.js'
import type { RefTensor } from '../../../src/engine/ops/define.js'
import { registry } from '../../../src/engine/ops/registry.js'
import { allocate, bytesPerElement } from '../../../src/engine/tensor/dtype.js'
import { sizeOf } from '../../../src/engine/tensor/shape.js'
import { type DecodedInstruction, type DecodedProgram, type DecodedValue, decode } from './decode.js'

interface Cursor {
  step: number
  slice: number
  lane: number
  firstSlice: boolean
}

const poisoned = (bytes: number): Float64Array => new Float64Array(bytes).fill(Number.NaN)
const bytesOf = (v: DecodedValue): number => sizeOf(v.shape) * bytesPerElement(v.dtype)
const modulo = (a: number, n: number): number => ((a % n) + n) % n

class Machine {
  readonly program: DecodedProgram
  readonly memories: Float64Array[]
  readonly args: Float64Array[]

  constructor(program: DecodedProgram, args: Float64Array[]) {
    this.program = program
    this.args = args
    this.memories = [poisoned(program.arenaBytes), poisoned(program.constants.length), poisoned(0), poisoned(program.localBytes)]
    for (const v of program.values) if (v.storage === 1) this.loadConstant(v)
  }

  private loadConstant(v: DecodedValue): void {
    const e = bytesPerElement(v.dtype)
    const whole = allocate(v.dtype, Math.floor((this.program.constants.length - v.offset) / e))
    new Uint8Array(whole.buffer).set(this.program.constants.subarray(v.offset, v.offset + whole.byteLength))
    // Slices of a constant lie behind it; other constants in that range are loaded again by their own values.
    const count = v.sliceStride > 0 ? whole.length : sizeOf(v.shape)
    for (let i = 0; i < count; i++)
      if (v.sliceStride === 0 || Number.isNaN(this.memories[1][v.offset + i * e])) this.memories[1][v.offset + i * e] = whole[i]
  }

  private address(v: DecodedValue, c: Cursor): { memory: Float64Array; at: number } {
    const slot = v.slots > 0 ? modulo(c.step * v.slotMul + v.slotAdd, v.slots) : 0
    const at = v.offset + c.slice * v.sliceStride + c.lane * v.laneStride + slot * bytesOf(v)
    const memory = v.storage === 2 ? this.args[v.argument] : this.memories[v.storage]
    if (at + bytesOf(v) > memory.length) throw new Error(`value ends at ${at + bytesOf(v)} of ${memory.length} in storage ${v.storage}`)
    return { memory, at }
  }

  read(v: DecodedValue, c: Cursor): RefTensor {
    if (v.stepScalar) return { shape: v.shape, data: Float64Array.of(c.step) }
    const { memory, at } = this.address(v, c)
    const e = bytesPerElement(v.dtype)
    return { shape: v.shape, data: Float64Array.from({ length: sizeOf(v.shape) }, (_, i) => memory[at + i * e]) }
  }

  write(v: DecodedValue, c: Cursor, data: Float64Array): void {
    if (data.length !== sizeOf(v.shape)) throw new Error(`wrote ${data.length} elements into [${v.shape}]`)
    const { memory, at } = this.address(v, c)
    const e = bytesPerElement(v.dtype)
    memory.fill(Number.NaN, at, at + bytesOf(v))
    for (let i = 0; i < data.length; i++) memory[at + i * e] = data[i]
  }

  execute(i: DecodedInstruction, c: Cursor): void {
    const inputs = i.inputs.map((v) => this.read(this.program.values[v], c))
    const outputs = i.outputs.map((v) => this.program.values[v])
    if (i.op === 'accumulate') {
      const before = c.firstSlice ? undefined : this.read(outputs[0], c).data
      this.write(
        outputs[0],
        c,
        inputs[0].data.map((x, k) => x + (before?.[k] ?? 0)),
      )
      return
    }
    const made = run(i, inputs, outputs)
    for (const [k, v] of outputs.entries()) this.write(v, c, Float64Array.from(made[k].data))
  }

  /** What a slice that is left out gives: zeros, and nothing to a sum that others have begun. */
  clear({ op, outputs }: DecodedInstruction, c: Cursor): void {
    for (const v of outputs.map((i) => this.program.values[i])) {
      if (v.storage !== 3 && (op !== 'accumulate' || c.firstSlice)) this.write(v, c, new Float64Array(sizeOf(v.shape)))
    }
  }

  step(step: number): void {
    const { instructions } = this.program
    this.memories[0].fill(Number.NaN)
    for (let i = 0; i < instructions.length; i++) {
      if (instructions[i].op !== 'loop') {
        this.execute(instructions[i], { step, slice: 0, lane: 0, firstSlice: true })
        continue
      }
      const [body, slices, lanes, firstRun = 0, endRun = slices] = instructions[i].numbers
      for (let lane = 0; lane < lanes; lane++) {
        const first = Math.floor((lane * slices) / lanes)
        for (let slice = first; slice < Math.floor(((lane + 1) * slices) / lanes); slice++) {
          this.memories[3].fill(Number.NaN)
          const context = { step, slice, lane, firstSlice: slice === first }
          const runs = slice >= firstRun && slice < endRun
          for (const inner of instructions.slice(i + 1, i + 1 + body)) runs ? this.execute(inner, context) : this.clear(inner, context)
        }
      }
      i += body
    }
  }
}

/** Named attributes from the encoded ones. */
function attrsOf({ op, numbers: n }: DecodedInstruction, rank: number): Attrs {
  if (op.startsWith('conv2d'))
    return { strideH: n[0], strideW: n[1], padH: n[2], padW: n[3], algorithm: 0, ...(n.length > 5 && { kernelH: n[5], kernelW: n[6] }) }
  if (op.includes('pool2d')) return { windowH: n[0], windowW: n[1], strideH: n[2], strideW: n[3] }
  if (op.startsWith('norm_act_pool'))
    return { kind: n[0], groups: n[1], eps: n[2], relu: n[3] === 1, pool: n[4], ...(n.length > 5 && { power: n[5] }) }
  if (op === 'power_sums') return { power: n[0] }
  if (op.startsWith('augment')) return { alignCorners: n[0] === 1 }
  if (op.startsWith('random')) return { purpose: n[0] }
  if (op === 'matmul') return { transposeA: n[0] === 1, transposeB: n[1] === 1, ...(n[2] === 1 && { precision: 'f32' }) }
  if (op === 'slice') return { starts: n.slice(0, rank), steps: n.slice(rank) }
  if (op === 'pad') return { before: n.slice(0, rank), interior: n.slice(rank) }
  return { axis: n[0], axes: n, permutation: n, program: n }
}

/** Prepared weights are kept as they came, in front of the packed buffer. */
function unpack(i: DecodedInstruction, inputs: readonly RefTensor[], output: DecodedValue): readonly RefTensor[] {
  if (!(i.numbers[4] & 16)) return inputs
  const [groups, taps] = inputs[1].shape
  const kernel = i.numbers[4] & 1 ? 3 : Math.sqrt(taps)
  const channels = [inputs[0].shape[4], output.shape[4]]
  const shape = [groups, kernel, kernel, ...(i.op === 'conv2d' ? channels : channels.reverse())]
  return [inputs[0], { shape, data: inputs[1].data.slice(0, sizeOf(shape)) }, ...inputs.slice(2)]
}

function run(i: DecodedInstruction, inputs: readonly RefTensor[], outputs: readonly DecodedValue[]): readonly RefTensor[] {
  if (i.op === 'conv2d_prepare') {
    const data = new Float64Array(sizeOf(outputs[0].shape))
    data.set(inputs[0].data)
    return [{ shape: outputs[0].shape, data }]
  }
  const attrs = attrsOf(i, inputs[0]?.shape.length ?? 0)
  const operands = i.op === 'conv2d' || i.op === 'conv2d_input_grad' ? unpack(i, inputs, outputs[0]) : inputs
  return registry[i.op].reference(operands, attrs, outputs)
}

/** Runs `steps` replays. `args` holds the start contents per argument (absent: NaN); returns the contents afterwards. */
export function simulate(
  program: Program,
  args: readonly (ArrayLike<number> | undefined)[],
  { steps = 1, startStep = 0 } = {},
): Float64Array[] {
  const memories = program.arguments.map(({ dtype, shape, slots }, i) => {
    const e = bytesPerElement(dtype)
    const memory = poisoned(Math.max(slots, 1) * sizeOf(shape) * e)
    const source = args[i]
    if (source) for (let k = 0; k < source.length; k++) memory[k * e] = source[k]
    return memory
  })
  const machine = new Machine(decode(program.bytes), memories)
  for (let step = startStep; step < startStep + steps; step++) machine.step(step)
  return program.arguments.map(({ dtype }, i) => memories[i].filter((_, at) => at % bytesPerElement(dtype) === 0))
}
