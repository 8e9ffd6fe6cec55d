/** @file Writes a placed program as the bytes of the program contract (docs/decisions/0001-program-contract.md, section 2). */
import { type Opcode, opcodeHash, opcodeNumber } from '../ops/opcodes.js'
import { type DType, dtypes, type TypedArray } from '../tensor/dtype.js'
import type { Shape } from '../tensor/shape.js'
import type { Place, Storage } from './placement.js'
import { align } from './plan-memory.js'

export const magic = 0x31444c41
const storageNumber: Readonly<Record<Storage, number>> = { arena: 0, constant: 1, argument: 2, local: 3 }

export interface EncodedValue {
  readonly dtype: DType
  readonly shape: Shape
  readonly place: Place
}

/** One instruction over indices of values. */
export interface Instruction {
  readonly op: Opcode
  readonly inputs: readonly number[]
  readonly outputs: readonly number[]
  readonly numbers: readonly number[]
}

export interface PlacedProgram {
  readonly values: readonly EncodedValue[]
  readonly instructions: readonly Instruction[]
  readonly argumentCount: number
  readonly constants: readonly { readonly offset: number; readonly data: TypedArray }[]
  readonly constantBytes: number
  readonly arenaBytes: number
  readonly localBytes: number
}

/** Little-endian writer over a buffer of known size. */
class Writer {
  readonly bytes: Uint8Array
  private readonly view: DataView
  private at = 0

  constructor(size: number) {
    this.bytes = new Uint8Array(size)
    this.view = new DataView(this.bytes.buffer)
  }

  u8(x: number): void {
    this.view.setUint8(this.at++, x)
  }
  u16(x: number): void {
    this.view.setUint16(this.at, x, true)
    this.at += 2
  }
  u32(x: number): void {
    this.view.setUint32(this.at, x, true)
    this.at += 4
  }
  i32(x: number): void {
    this.view.setInt32(this.at, x, true)
    this.at += 4
  }
  u64(x: number): void {
    this.u32(x % 2 ** 32)
    this.u32(Math.floor(x / 2 ** 32))
  }
  f64(x: number): void {
    this.view.setFloat64(this.at, x, true)
    this.at += 8
  }
  alignTo(bytes: number): void {
    this.at = Math.ceil(this.at / bytes) * bytes
  }
  raw(offset: number, data: TypedArray): void {
    this.bytes.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), this.at + offset)
  }
}

const headerBytes = 40
const valueBytes = (v: EncodedValue): number => 8 + 4 * v.shape.length + 24 + 16
const roundUp8 = (bytes: number): number => Math.ceil(bytes / 8) * 8
const instructionBytes = (i: Instruction): number => roundUp8(8 + 4 * (i.inputs.length + i.outputs.length)) + 8 * i.numbers.length

export function encode(program: PlacedProgram): Uint8Array {
  const { values, instructions, constants, constantBytes } = program
  const valuesEnd = roundUp8(headerBytes + values.reduce((n, v) => n + valueBytes(v), 0))
  const instructionsEnd = instructions.reduce((n, i) => n + instructionBytes(i), valuesEnd)
  const writer = new Writer(constantBytes > 0 ? align(instructionsEnd) + constantBytes : instructionsEnd)
  for (const x of [magic, opcodeHash, values.length, instructions.length, program.argumentCount, constantBytes]) writer.u32(x)
  writer.u64(program.arenaBytes)
  writer.u64(program.localBytes)
  for (const value of values) writeValue(writer, value)
  writer.alignTo(8)
  for (const instruction of instructions) writeInstruction(writer, instruction)
  if (constantBytes > 0) writer.alignTo(64)
  for (const { offset, data } of constants) writer.raw(offset, data)
  return writer.bytes
}

function writeValue(writer: Writer, { dtype, shape, place }: EncodedValue): void {
  writer.u8(dtypes.indexOf(dtype))
  writer.u8(shape.length)
  writer.u8(storageNumber[place.storage])
  writer.u8(place.stepScalar ? 1 : 0)
  writer.u32(place.argument)
  for (const d of shape) writer.u32(d)
  writer.u64(place.offset)
  writer.u64(place.sliceStride)
  writer.u64(place.laneStride)
  writer.u32(place.slots)
  writer.i32(place.slotMul)
  writer.i32(place.slotAdd)
  writer.u32(0)
}

function writeInstruction(writer: Writer, { op, inputs, outputs, numbers }: Instruction): void {
  writer.u16(opcodeNumber[op])
  writer.u8(inputs.length)
  writer.u8(outputs.length)
  writer.u32(numbers.length)
  for (const v of inputs) writer.u32(v)
  for (const v of outputs) writer.u32(v)
  writer.alignTo(8)
  for (const x of numbers) writer.f64(x)
}
