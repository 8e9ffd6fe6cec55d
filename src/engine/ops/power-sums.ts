/** @file Sums of whole powers over positions and over channels in one pass: what attention maps are made of. */
import { expected } from '../../errors.js'
import type { TensorType, Value } from '../graph/node.js'
import { formatShape, type Shape, sizeOf } from '../tensor/shape.js'
import { checkValues, emit } from './build.js'
import { checkArity, checkDtype, intAttr } from './check.js'
import { defineOp, type RefTensor } from './define.js'
import { add, mul, square } from './elementwise.js'
import { broadcast, reshape } from './movement.js'
import { zeros } from './reference-tensor.js'
import { leadingSlice } from './slicing.js'

const inner = 3
/** Powers that the kernels multiply out. */
export const largestPower = 4

export interface PowerSums {
  /** sum over channels at every position, [..., H, W] */
  readonly positions: Value
  /** sum over positions of every channel, [..., C] */
  readonly channels: Value
}

/** Sums of x^power over channels and over positions: x `[…,H,W,C]` f32, power a whole number from 1 to 4. */
export function powerSums(x: Value, power: number): PowerSums {
  const [positions, channels] = emit('power_sums', [x], { power })
  return { positions, channels }
}

/** x^power by multiplication. */
export function wholePower(x: Value, power: number): Value {
  checkValues('wholePower', [x])
  if (!Number.isSafeInteger(power) || power < 1) throw expected('invalid_option', 'wholePower', 'power to be a whole number >= 1', power)
  if (power === 1) return x
  const half = square(wholePower(x, power >> 1))
  return power % 2 === 0 ? half : mul(half, x)
}

/** Of the sums over channels and over positions of x `[…,H,W,C]`. */
export function powerSumShapes({ shape }: TensorType): readonly [Shape, Shape] {
  if (shape.length < inner) throw expected('invalid_shape', 'power_sums', '[…,H,W,C]', formatShape(shape))
  return [shape.slice(0, -1), [...shape.slice(0, -inner), shape[shape.length - 1]]]
}

/** power x^(power - 1) times what both sums hand back; one of them may be absent. */
export function powerSumsVjp(x: Value, power: number, positions: Value | null, channels: Value | null): Value {
  const [atPosition, atChannel] = powerSumShapes(x)
  const ofPosition = positions && reshape(positions, [...atPosition, 1])
  const ofChannel = channels && reshape(channels, [...atChannel.slice(0, -1), 1, 1, ...atChannel.slice(-1)])
  const both = ofPosition && ofChannel ? add(ofPosition, ofChannel) : ((ofPosition ?? ofChannel) as Value)
  const scaled = mul(both, power)
  return power === 1 ? broadcast(scaled, x.shape) : mul(scaled, wholePower(x, power - 1))
}

/** Sums over channels and over positions of one tensor. */
export function powerSumsReference(x: RefTensor, power: number, [positions, channels]: readonly TensorType[]): RefTensor[] {
  const [byPosition, byChannel] = [zeros(positions.shape), zeros(channels.shape)]
  const [height, width, depth] = x.shape.slice(-inner)
  x.data.forEach((value, i) => {
    const pixel = Math.floor(i / depth)
    byPosition.data[pixel] += value ** power
    byChannel.data[Math.floor(pixel / (height * width)) * depth + (i % depth)] += value ** power
  })
  return [byPosition, byChannel]
}

const powerSumsOp = defineOp({
  doc: 'Sums of x^power over channels and over positions.',
  type(inputs, attrs) {
    checkArity('power_sums', inputs, 1)
    checkDtype('power_sums', inputs[0], 'f32')
    const power = intAttr('power_sums', attrs, 'power', 1)
    if (power > largestPower) throw expected('invalid_option', 'power_sums', `power to be at most ${largestPower}`, power)
    return powerSumShapes(inputs[0]).map((shape) => ({ shape, dtype: 'f32' }))
  },
  vjp: ({ node, inputs: [x], cotangents: [positions, channels] }) => [powerSumsVjp(x, node.attrs.power as number, positions, channels)],
  reference: ([x], attrs, outputs) => powerSumsReference(x, attrs.power as number, outputs),
  flops: ([x], _, attrs) => sizeOf(x.shape) * ((attrs.power as number) + 1),
  encode: (attrs) => [attrs.power as number],
  slice: leadingSlice(inner),
})

export const powerSumsOps = { power_sums: powerSumsOp }
