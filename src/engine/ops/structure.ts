/** @file Storage ops and the ops that only the compiler emits: fused programs, batch loops and their sums. */
import { AludelError, expected } from '../../errors.js'
import type { Attrs, Value } from '../graph/node.js'
import { type DType, dtypes } from '../tensor/dtype.js'
import { broadcastShapes, type Shape, sizeOf } from '../tensor/shape.js'
import { currentGraph } from './build.js'
import { checkArity, checkDtype, checkFloats, intAttr, listAttr, shapeAttr } from './check.js'
import { defineOp, type RefTensor } from './define.js'
import { binaryFunctions, unaryFunctions } from './elementwise-functions.js'
import { broadcast } from './movement.js'
import { opcodes } from './opcodes.js'
import { broadcastData, zeros } from './reference-tensor.js'
import { elementwiseSlice } from './slicing.js'

/** 0, 1, 2, … along `axis`, i32. */
export const iota = (shape: Shape, axis = 0): Value => currentGraph().node('iota', [], { shape, axis })[0]

function dtypeAttr(op: string, attrs: Attrs): DType {
  const dtype = dtypes.find((d) => d === attrs.dtype)
  if (!dtype) throw expected('invalid_dtype', op, `one of ${dtypes.join(', ')}`, attrs.dtype)
  return dtype
}

const noFlops = (): number => 0
const notStored = (op: string) => (): never => {
  throw new AludelError('internal', `${op}: expected the interpreter to supply this value`)
}

const input = defineOp({
  doc: 'An argument of the program; `index` is its position.',
  type(inputs, attrs) {
    checkArity('input', inputs, 0)
    intAttr('input', attrs, 'index')
    return [{ shape: shapeAttr('input', attrs), dtype: dtypeAttr('input', attrs) }]
  },
  reference: notStored('input'),
  flops: noFlops,
})

const constantOp = defineOp({
  doc: 'A tensor known when the graph is built.',
  type(inputs, attrs) {
    checkArity('constant', inputs, 0)
    const shape = shapeAttr('constant', attrs)
    const { data } = attrs
    if (!Array.isArray(data) || data.length !== sizeOf(shape)) {
      throw expected('invalid_shape', 'constant', `${sizeOf(shape)} elements`, Array.isArray(data) ? data.length : typeof data)
    }
    return [{ shape, dtype: dtypeAttr('constant', attrs) }]
  },
  reference: (_, attrs, [y]) => [{ shape: y.shape, data: Float64Array.from(attrs.data as readonly number[]) }],
  flops: noFlops,
})

const iotaOp = defineOp({
  doc: 'Index along an axis, as i32.',
  type(inputs, attrs) {
    checkArity('iota', inputs, 0)
    const shape = shapeAttr('iota', attrs)
    const axis = intAttr('iota', attrs, 'axis')
    if (axis >= shape.length) throw expected('invalid_shape', 'iota', `an axis below rank ${shape.length}`, axis)
    return [{ shape, dtype: 'i32' }]
  },
  reference(_, attrs, [y]) {
    const axis = attrs.axis as number
    const behind = sizeOf(y.shape.slice(axis + 1))
    return [{ shape: y.shape, data: zeros(y.shape).data.map((_v, i) => Math.floor(i / behind) % y.shape[axis]) }]
  },
  flops: noFlops,
  encode: (attrs) => [attrs.axis as number],
})

/** The program of a map: attribute `program` = [nOps, (code, dst, a, b, c)…, nOutputs, register…], see docs/decisions/0001. */
export interface MapProgram {
  readonly ops: readonly { readonly code: number; readonly dst: number; readonly args: readonly number[] }[]
  readonly outputs: readonly number[]
}

export function decodeMapProgram(words: readonly number[]): MapProgram {
  const count = words[0]
  const ops = Array.from({ length: count }, (_, i) => {
    const [code, dst, ...args] = words.slice(1 + 5 * i, 6 + 5 * i)
    return { code, dst, args: args.filter((register) => register >= 0) }
  })
  return { ops, outputs: words.slice(2 + 5 * count) }
}

const select = (c: number, a: number, b: number): number => (c !== 0 ? a : b)
const mapFunctions: Readonly<Record<string, (...x: number[]) => number>> = { ...unaryFunctions, ...binaryFunctions, select }

function checkMapProgram(words: readonly number[], inputs: number): MapProgram {
  const program = decodeMapProgram(words)
  const bad = (why: string): never => {
    throw expected('invalid_option', 'map', 'a program of elementwise ops over earlier registers', why)
  }
  const written = new Set(Array.from({ length: inputs }, (_, i) => i))
  if (words.length !== 2 + 5 * words[0] + words[1 + 5 * words[0]]) bad(`${words.length} words`)
  for (const { code, dst, args } of program.ops) {
    const f = mapFunctions[opcodes[code]]
    if (!f || f.length > args.length) bad(`code ${code} with ${args.length} operands`)
    if (dst < inputs || args.some((register) => !written.has(register))) bad(`registers ${[dst, ...args].join(', ')}`)
    written.add(dst)
  }
  if (program.outputs.length === 0 || program.outputs.some((register) => !written.has(register))) bad('an output that is never written')
  return program
}

const mapOp = defineOp({
  doc: 'A fused elementwise program; emitted by the compiler.',
  type(inputs, attrs) {
    checkArity('map', inputs, 1, 255)
    checkFloats('map', inputs)
    const { outputs } = checkMapProgram(listAttr('map', attrs, 'program', undefined, -1), inputs.length)
    const shape = inputs.map((x) => x.shape).reduce<Shape>((a, b) => broadcastShapes('map', a, b), [])
    return outputs.map(() => ({ shape, dtype: inputs[0].dtype }))
  },
  reference(inputs, attrs, outputs) {
    const { shape } = outputs[0]
    const program = decodeMapProgram(attrs.program as readonly number[])
    const registers = inputs.map((x) => broadcastData(x, shape))
    for (const { code, dst, args } of program.ops) {
      const f = mapFunctions[opcodes[code]]
      const sources = args.map((register) => registers[register])
      registers[dst] = Float64Array.from({ length: sizeOf(shape) }, (_, i) => f(...sources.map((source) => source[i])))
    }
    return program.outputs.map((register): RefTensor => ({ shape, data: registers[register] }))
  },
  flops: (_, [y], attrs) => sizeOf(y.shape) * (attrs.program as readonly number[])[0],
  encode: (attrs) => attrs.program as readonly number[],
  slice: elementwiseSlice,
})

const loop = defineOp({
  doc: 'Runs the next instructions once per batch slice; emitted by the compiler.',
  type(inputs, attrs) {
    checkArity('loop', inputs, 0)
    for (const name of ['bodyInstructions', 'slices', 'lanes']) intAttr('loop', attrs, name, 1)
    return []
  },
  reference: notStored('loop'),
  flops: noFlops,
  encode: (attrs) => [attrs.bodyInstructions as number, attrs.slices as number, attrs.lanes as number],
})

const accumulate = defineOp({
  doc: 'Adds a slice of the batch to the sum of its lane (f64 by default); emitted by the compiler.',
  type(inputs, attrs) {
    checkArity('accumulate', inputs, 1)
    checkFloats('accumulate', inputs)
    return [{ shape: inputs[0].shape, dtype: attrs.dtype === 'f32' ? 'f32' : 'f64' }]
  },
  reference: ([x]) => [x],
  flops: ([x]) => sizeOf(x.shape),
})

const laneSum = defineOp({
  doc: 'Sum over the leading lane axis in a fixed binary tree.',
  type(inputs) {
    checkArity('lane_sum', inputs, 1)
    checkDtype('lane_sum', inputs[0], 'f32', 'f64')
    if (inputs[0].shape.length < 1) throw expected('invalid_shape', 'lane_sum', 'partials of layout [L,…]', '[]')
    return [{ shape: inputs[0].shape.slice(1), dtype: 'f32' }]
  },
  vjp: ({ inputs: [x], cotangents: [g] }) => [broadcast(g as Value, x.shape)],
  reference([x], _, [y]) {
    const out = zeros(y.shape)
    x.data.forEach((v, i) => {
      out.data[i % out.data.length] += v
    })
    return [out]
  },
  flops: ([x]) => sizeOf(x.shape),
})

export const structureOps = { input, constant: constantOp, iota: iotaOp, map: mapOp, loop, accumulate, lane_sum: laneSum }
