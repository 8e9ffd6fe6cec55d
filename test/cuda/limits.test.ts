/** @file Sizes at the border of a GPU's 32-bit places: whether a program may run is said when it is loaded, before there is memory for its operands. */
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Opcode } from '../../src/engine/ops/opcodes.js'
import { Device } from '../../src/engine/runtime/device.js'
import { sizeOf } from '../../src/engine/tensor/shape.js'
import { encodeBytes } from '../device/program-bytes.js'

type Shape = readonly number[]

let device: Device
beforeAll(async () => {
  device = await Device.open({ device: 'cuda', precision: 'f32' })
})
afterAll(() => device.close())

/** Loads one instruction, each operand an argument of its own, and runs nothing. */
function load(op: Opcode, inputs: readonly Shape[], outputs: readonly Shape[], attrs: readonly number[], dtype: 'f32' | 'f64' = 'f32') {
  const shapes = [...inputs, ...outputs]
  const bytes = encodeBytes({
    argumentCount: shapes.length,
    values: shapes.map((shape, argument) => ({ shape, dtype, storage: 'argument', argument })),
    instructions: [[op, shapes.slice(0, inputs.length).map((_, i) => i), outputs.map((_, i) => inputs.length + i), attrs]],
  })
  device.load({ bytes, arguments: shapes.map((shape) => ({ dtype, shape })), plan: null }).dispose()
}

const refused = (message: RegExp) => expect.objectContaining({ code: 'invalid_program', message: expect.stringMatching(message) })

interface ConvSize {
  readonly images: number
  readonly height?: number
  readonly width?: number
  readonly channels: number
  readonly filters: number
}

/** Both maps and the weights of a convolution of 1x1, stride 1, with one group. */
const operands = ({ images, height = 1, width = 1, channels, filters }: ConvSize) => ({
  x: [1, images, height, width, channels],
  y: [1, images, height, width, filters],
  w: [1, 1, 1, channels, filters],
  bias: [1, filters],
})

const convolutions: Readonly<Record<string, (size: ConvSize) => void>> = {
  conv2d(size) {
    const { x, y, w } = operands(size)
    load('conv2d', [x, w], [y], [1, 1, 0, 0, 0])
  },
  conv2d_input_grad(size) {
    const { x, y, w } = operands(size)
    load('conv2d_input_grad', [y, w], [x], [1, 1, 0, 0, 0])
  },
  conv2d_weight_grad(size) {
    const { x, y, w, bias } = operands(size)
    load('conv2d_weight_grad', [x, y], [w, bias], [1, 1, 0, 0, 0])
  },
  conv2d_weight_grad_squared_norm(size) {
    const { x, y } = operands(size)
    load('conv2d_weight_grad_squared_norm', [x, y], [[1], [1]], [1, 1, 0, 0, 0, 1, 1])
  },
}

const most = 2 ** 24

/** The last size that fits, the first one that does not, and how the latter is named. */
const borders: readonly [string, ConvSize, Partial<ConvSize>, RegExp][] = [
  [
    'pixels',
    { images: most - 2, height: 128, channels: 1, filters: 1 },
    { images: most - 1 },
    /at most 2147483392 pixels of x in a group on CUDA, got 2147483520; .*'cpu'/,
  ],
  [
    'one image',
    { images: 1, height: 16382, width: 8189, channels: 16, filters: 12 },
    { width: 8190 },
    /at most 134217712 pixels of an image and its margins on CUDA, got 134217728; .*'cpu'/,
  ],
  [
    'values of x, one by one',
    { images: most - 1, channels: 256, filters: 1 },
    { images: most },
    /at most 4294967040 values of x in a group on CUDA, got 4294967296; .*'cpu'/,
  ],
  [
    'values of x, by fours',
    { images: most - 1, channels: 1024, filters: 12 },
    { images: most },
    /at most 17179868160 values of x in a group on CUDA, got 17179869184; .*'cpu'/,
  ],
  [
    'values of y, one by one',
    { images: most, channels: 12, filters: 255 },
    { filters: 257 },
    /at most 4294967040 values of y in a group on CUDA, got 4311744512; .*'cpu'/,
  ],
  [
    'values of y, by fours',
    { images: most - 1, channels: 9, filters: 1024 },
    { images: most },
    /at most 17179868160 values of y in a group on CUDA, got 17179869184; .*'cpu'/,
  ],
  [
    'weights',
    { images: 1, channels: 2 ** 20, filters: 4095 },
    { filters: 4097 },
    /at most 4294967040 weights in a group on CUDA, got 4296015872; .*'cpu'/,
  ],
]

describe.each(Object.keys(convolutions))('%s', (op) => {
  it.each(borders)('takes all %s that its places can number, and not one more', (_, size, beyond, message) => {
    expect(() => convolutions[op](size)).not.toThrow()
    expect(() => convolutions[op]({ ...size, ...beyond })).toThrow(refused(message))
  })
})

describe.each(['f32', 'f64'] as const)('matmul of %s', (dtype) => {
  const product = (m: number, k: number, n: number) =>
    load(
      'matmul',
      [
        [m, k],
        [k, n],
      ],
      [[m, n]],
      [0, 0],
      dtype,
    )
  const lines = 2 ** 31 - 256

  it.each([
    ['rows', [lines, 1, 1], [lines + 1, 1, 1]],
    ['columns', [1, 1, lines], [1, 1, lines + 1]],
    ['inner axis', [1, lines, 1], [1, lines + 1, 1]],
    ['left matrix', [2 ** 16 - 1, 2 ** 16, 1], [2 ** 16, 2 ** 16, 1]],
    ['right matrix', [1, 2 ** 16, 2 ** 16 - 1], [1, 2 ** 16, 2 ** 16]],
  ] as const)('takes the largest %s, and no larger one', (_, fits, [m, k, n]) => {
    expect(() => product(fits[0], fits[1], fits[2])).not.toThrow()
    expect(() => product(m, k, n)).toThrow(
      refused(new RegExp(`at most 2147483392 rows.* 4294967040 elements .*got \\[${m},${k}\\] times \\[${k},${n}\\]; .*'cpu'`)),
    )
  })
})

describe('an operand that vectors of four cannot be read from', () => {
  const shapes = { x: [1, 2, 3, 3, 8], w: [1, 3, 3, 8, 4], y: [1, 2, 3, 3, 4], bias: [1, 4] }
  const cases: readonly [Opcode, readonly Shape[], readonly Shape[], readonly number[]][] = [
    ['conv2d', [shapes.x, shapes.w], [shapes.y], [1, 1, 1, 1, 0]],
    ['conv2d_input_grad', [shapes.y, shapes.w], [shapes.x], [1, 1, 1, 1, 0]],
    ['conv2d_weight_grad', [shapes.x, shapes.y], [shapes.w, shapes.bias], [1, 1, 1, 1, 0]],
    ['conv2d_weight_grad_squared_norm', [shapes.x, shapes.y], [[1], [1]], [1, 1, 1, 1, 0, 3, 3]],
  ]

  /** Runs the instruction with the first operand `offset` bytes into its argument. */
  async function runAt(offset: number, [op, inputs, outputs, attrs]: (typeof cases)[number]): Promise<void> {
    const operands = [...inputs, ...outputs]
    const bytes = encodeBytes({
      argumentCount: operands.length,
      values: operands.map((shape, argument) => ({ shape, storage: 'argument', argument, offset: argument === 0 ? offset : 0 })),
      instructions: [[op, inputs.map((_, i) => i), outputs.map((_, i) => inputs.length + i), attrs]],
    })
    const held = operands.map((shape, i) => (i === 0 ? [sizeOf(shape) + 4] : shape))
    const program = device.load({ bytes, arguments: held.map((shape) => ({ dtype: 'f32' as const, shape })), plan: null })
    const arrays = held.map((shape) => device.array('f32', shape))
    try {
      await program.run(arrays)
    } finally {
      for (const one of [program, ...arrays]) one.dispose()
    }
  }

  it.each(cases)('is refused by %s, and the device goes on', async (...one) => {
    await expect(runAt(8, one)).rejects.toEqual(refused(/expected operand 0 at a multiple of 16 bytes on CUDA/))
    await expect(runAt(16, one)).resolves.toBeUndefined()
  })
})
