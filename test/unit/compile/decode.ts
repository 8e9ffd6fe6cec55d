/** @file Reads encoded programs back (program contract, section 2): the inverse of encode, for round trips and for the simulator. */
import { magic } from '../../../src/engine/compile/encode.js'
import { type Opcode, opcodeHash, opcodes } from '../../../src/engine/ops/opcodes.js'
import { type DType, dtypes } from '../../../src/engine/tensor/dtype.js'

export interface DecodedValue {
  dtype: DType
  shape: number[]
  storage: number
  stepScalar: boolean
  argument: number
  offset: number
  sliceStride: number
  laneStride: number
  slots: number
  slotMul: number
  slotAdd: number
}

export interface DecodedInstruction {
  op: Opcode
  inputs: number[]
  outputs: number[]
  numbers: number[]
}

export interface DecodedProgram {
  values: DecodedValue[]
  instructions: DecodedInstruction[]
  argumentCount: number
  arenaBytes: number
  localBytes: number
  constants: Uint8Array
}

class Reader {
  at = 0
  private readonly view: DataView
  constructor(bytes: Uint8Array) {
    this.view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  }
  u8 = () => this.view.getUint8(this.at++)
  u16 = () => this.step(2, this.view.getUint16(this.at, true))
  u32 = () => this.step(4, this.view.getUint32(this.at, true))
  i32 = () => this.step(4, this.view.getInt32(this.at, true))
  u64 = () => Number(this.step(8, this.view.getBigUint64(this.at, true)))
  f64 = () => this.step(8, this.view.getFloat64(this.at, true))
  align(n: number) {
    this.at = Math.ceil(this.at / n) * n
  }
  private step<T>(n: number, x: T): T {
    this.at += n
    return x
  }
}

const times = <T>(n: number, make: () => T): T[] => Array.from({ length: n }, make)

export function decode(bytes: Uint8Array): DecodedProgram {
  const r = new Reader(bytes)
  if (r.u32() !== magic || r.u32() !== opcodeHash) throw new Error('bad header')
  const [nValues, nInstructions, argumentCount, constantBytes] = times(4, r.u32)
  const [arenaBytes, localBytes] = [r.u64(), r.u64()]
  const values = times(nValues, () => readValue(r))
  r.align(8)
  const instructions = times(nInstructions, () => readInstruction(r))
  if (constantBytes > 0) r.align(64)
  const constants = bytes.slice(r.at, r.at + constantBytes)
  if (r.at + constantBytes !== bytes.length) throw new Error('bytes left over')
  return { values, instructions, argumentCount, arenaBytes, localBytes, constants }
}

function readValue(r: Reader): DecodedValue {
  const [dtype, rank, storage, flags] = times(4, r.u8)
  const argument = r.u32()
  const shape = times(rank, r.u32)
  const [offset, sliceStride, laneStride] = times(3, r.u64)
  const slots = r.u32()
  const [slotMul, slotAdd] = times(2, r.i32)
  r.u32()
  return {
    dtype: dtypes[dtype],
    shape,
    storage,
    stepScalar: flags === 1,
    argument,
    offset,
    sliceStride,
    laneStride,
    slots,
    slotMul,
    slotAdd,
  }
}

function readInstruction(r: Reader): DecodedInstruction {
  const op = opcodes[r.u16()]
  const [nIn, nOut] = [r.u8(), r.u8()]
  const nAttrs = r.u32()
  const inputs = times(nIn, r.u32)
  const outputs = times(nOut, r.u32)
  r.align(8)
  return { op, inputs, outputs, numbers: times(nAttrs, r.f64) }
}
