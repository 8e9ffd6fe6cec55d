/** @file Writes tiny encoded programs by hand (docs/decisions/0001-program-contract.md, section 2), independent of the compiler. */
import { type Opcode, opcodeHash, opcodeNumber } from '../../src/engine/ops/opcodes.js'
import { type DType, dtypes } from '../../src/engine/tensor/dtype.js'

export interface ValueSpec {
  readonly dtype?: DType
  readonly shape: readonly number[]
  readonly storage: 'arena' | 'constant' | 'argument' | 'local'
  readonly argument?: number
  readonly offset?: number
  readonly slots?: readonly [count: number, mul: number, add: number]
  readonly step?: boolean
}

export interface ProgramSpec {
  readonly values: readonly ValueSpec[]
  readonly instructions: readonly (readonly [
    op: Opcode,
    inputs: readonly number[],
    outputs: readonly number[],
    attrs?: readonly number[],
  ])[]
  readonly argumentCount: number
  readonly arenaBytes?: number
}

const storages = ['arena', 'constant', 'argument', 'local']

export function encodeBytes(spec: ProgramSpec): Uint8Array {
  const out: number[] = []
  const put = (bytes: number, set: (view: DataView) => void) => {
    const view = new DataView(new ArrayBuffer(bytes))
    set(view)
    out.push(...new Uint8Array(view.buffer))
  }
  const u8 = (x: number) => out.push(x)
  const u16 = (x: number) => put(2, (v) => v.setUint16(0, x, true))
  const u32 = (x: number) => put(4, (v) => v.setUint32(0, x >>> 0, true))
  const u64 = (x: number) => put(8, (v) => v.setBigUint64(0, BigInt(x), true))
  const align8 = () => {
    while (out.length % 8 !== 0) u8(0)
  }
  for (const word of [0x31444c41, opcodeHash, spec.values.length, spec.instructions.length, spec.argumentCount, 0]) u32(word)
  u64(spec.arenaBytes ?? 0)
  u64(0)
  for (const { dtype = 'f32', shape, storage, argument = 0, offset = 0, slots = [0, 0, 0], step = false } of spec.values) {
    for (const byte of [dtypes.indexOf(dtype), shape.length, storages.indexOf(storage), step ? 1 : 0]) u8(byte)
    for (const word of [argument, ...shape]) u32(word)
    for (const long of [offset, 0, 0]) u64(long)
    for (const word of [...slots, 0]) u32(word)
  }
  align8()
  for (const [op, inputs, outputs, attrs = []] of spec.instructions) {
    u16(opcodeNumber[op])
    u8(inputs.length)
    u8(outputs.length)
    for (const word of [attrs.length, ...inputs, ...outputs]) u32(word)
    align8()
    for (const attr of attrs) put(8, (v) => v.setFloat64(0, attr, true))
  }
  return Uint8Array.from(out)
}

/** y = x @ x through the arena, then a copy: one replay of [384, 384] takes milliseconds. */
export function squareProgram(size = 384) {
  const shape = [size, size]
  const bytes = encodeBytes({
    argumentCount: 2,
    arenaBytes: Math.ceil((size * size * 4) / 64) * 64,
    values: [
      { shape, storage: 'argument', argument: 0 },
      { shape, storage: 'arena' },
      { shape, storage: 'argument', argument: 1 },
    ],
    instructions: [
      ['matmul', [0, 0], [1], [0, 0]],
      ['copy', [1], [2]],
    ],
  })
  const argument = { dtype: 'f32' as const, shape }
  return { bytes, arguments: [argument, argument], plan: { name: 'square' } }
}

/** slots[(step + 1) mod 3] = x + x. */
export function slotProgram() {
  const bytes = encodeBytes({
    argumentCount: 2,
    values: [
      { shape: [4], storage: 'argument', argument: 0 },
      { shape: [4], storage: 'argument', argument: 1, slots: [3, 1, 1] },
    ],
    instructions: [['add', [0, 0], [1]]],
  })
  return {
    bytes,
    arguments: [
      { dtype: 'f32' as const, shape: [4] },
      { name: 'ring', dtype: 'f32' as const, shape: [4], slots: 3 },
    ],
    plan: null,
  }
}
