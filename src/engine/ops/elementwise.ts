/** @file Elementwise ops of one and two inputs, select and cast. Broadcasting follows NumPy; the vjp sweep undoes it. */
import { expected } from '../../errors.js'
import type { Value } from '../graph/node.js'
import { type DType, dtypes } from '../tensor/dtype.js'
import { broadcastShapes, sizeOf } from '../tensor/shape.js'
import { checkValues, constantValue, emitOne, type Operand, operand } from './build.js'
import { checkArity, checkFloats, isFloat } from './check.js'
import { defineOp, type OpDef } from './define.js'
import { type BinaryOpcode, binaryFunctions, comparisons, type UnaryOpcode, unaryFunctions } from './elementwise-functions.js'
import { broadcastData } from './reference-tensor.js'
import { elementwiseSlice } from './slicing.js'

type UnaryVjp = (g: Value, x: Value, y: Value) => Value | null
type BinaryVjp = (g: Value, a: Value, b: Value, y: Value, needs: readonly boolean[]) => readonly [Value | null, Value | null]

const unary =
  (op: UnaryOpcode) =>
  (x: Value): Value =>
    emitOne(op, [x])

export const neg = unary('neg')
export const abs = unary('abs')
export const sign = unary('sign')
export const exp = unary('exp')
export const log = unary('log')
export const sqrt = unary('sqrt')
export const rsqrt = unary('rsqrt')
export const reciprocal = unary('reciprocal')
export const square = unary('square')
export const tanh = unary('tanh')
export const sigmoid = unary('sigmoid')
export const relu = unary('relu')
export const floor = unary('floor')
export const sin = unary('sin')
export const cos = unary('cos')
/** The error function, 2/sqrt(pi) times the integral of exp(-t^2) from 0 to x. */
export const erf = unary('erf')
/** 1 where finite, 0 at NaN and infinities. */
export const isFiniteMask = unary('is_finite')

function pair(op: BinaryOpcode, a: Operand, b: Operand): Value {
  const like = typeof a === 'number' ? b : a
  if (typeof like === 'number') throw expected('invalid_data', op, 'at least one traced value', 'two numbers')
  checkValues(op, [like])
  return emitOne(op, [operand(a, like), operand(b, like)])
}

const binary =
  (op: BinaryOpcode) =>
  (a: Operand, b: Operand): Value =>
    pair(op, a, b)

export const add = binary('add')
export const sub = binary('sub')
export const mul = binary('mul')
export const div = binary('div')
export const pow = binary('pow')
/** On ties the gradient goes to the first operand (as in `minimum`). */
export const maximum = binary('maximum')
export const minimum = binary('minimum')
/** Comparisons give f32 0 or 1 and carry no gradient. */
export const greater = binary('greater')
export const greaterEqual = binary('greater_equal')
export const equal = binary('equal')

/** a where `condition` is not 0, else b. Numbers take the dtype of the other branch. */
export function select(condition: Value, a: Operand, b: Operand): Value {
  const like = typeof a === 'number' ? (typeof b === 'number' ? condition : b) : a
  checkValues('select', [condition, like])
  return emitOne('select', [condition, operand(a, like), operand(b, like)])
}

/** Conversion to `dtype`: to integers by truncation; differentiable between f32 and f64. */
export function cast(x: Value, dtype: DType): Value {
  checkValues('cast', [x])
  return x.dtype === dtype ? x : emitOne('cast', [x], { dtype })
}

const unaryOp = (op: UnaryOpcode, doc: string, vjp: UnaryVjp, cost = 1): OpDef =>
  defineOp({
    doc,
    type(inputs) {
      checkArity(op, inputs, 1)
      checkFloats(op, inputs)
      return [{ shape: inputs[0].shape, dtype: op === 'is_finite' ? 'f32' : inputs[0].dtype }]
    },
    vjp: ({ inputs: [x], outputs: [y], cotangents: [g] }) => [vjp(g as Value, x, y)],
    reference: ([x]) => [{ shape: x.shape, data: x.data.map(unaryFunctions[op]) }],
    flops: (_, [y]) => cost * sizeOf(y.shape),
    slice: elementwiseSlice,
  })

const binaryOp = (op: BinaryOpcode, doc: string, vjp: BinaryVjp, cost = 1): OpDef =>
  defineOp({
    doc,
    type(inputs) {
      checkArity(op, inputs, 2)
      checkFloats(op, inputs)
      const [a, b] = inputs
      return [{ shape: broadcastShapes(op, a.shape, b.shape), dtype: comparisons.includes(op) ? 'f32' : a.dtype }]
    },
    vjp: ({ inputs: [a, b], outputs: [y], cotangents: [g], needs }) => vjp(g as Value, a, b, y, needs),
    reference([a, b], _, [y]) {
      const left = broadcastData(a, y.shape)
      const right = broadcastData(b, y.shape)
      const f = binaryFunctions[op]
      const data = new Float64Array(left.length)
      for (let i = 0; i < data.length; i++) data[i] = f(left[i], right[i])
      return [{ shape: y.shape, data }]
    },
    flops: (_, [y]) => cost * sizeOf(y.shape),
    slice: elementwiseSlice,
  })

const flat = (): null => null
const flatPair = (): readonly [null, null] => [null, null]

// Transcendental functions count as ten operations: the order of a polynomial of float32 accuracy.
export const unaryOps: Record<UnaryOpcode, OpDef> = {
  neg: unaryOp('neg', '-x.', (g) => neg(g)),
  abs: unaryOp('abs', '|x|; the gradient at 0 is 0.', (g, x) => mul(g, sign(x))),
  sign: unaryOp('sign', '-1, 0 or 1; no gradient.', flat),
  exp: unaryOp('exp', 'e^x.', (g, _, y) => mul(g, y), 10),
  log: unaryOp('log', 'Natural logarithm.', (g, x) => div(g, x), 10),
  sqrt: unaryOp('sqrt', 'Square root.', (g, _, y) => div(mul(g, 0.5), y)),
  rsqrt: unaryOp('rsqrt', '1 / sqrt(x).', (g, _, y) => mul(mul(g, -0.5), mul(square(y), y)), 2),
  reciprocal: unaryOp('reciprocal', '1 / x.', (g, _, y) => neg(mul(g, square(y)))),
  square: unaryOp('square', 'x^2.', (g, x) => mul(g, mul(x, 2))),
  tanh: unaryOp('tanh', 'Hyperbolic tangent.', (g, _, y) => mul(g, sub(1, square(y))), 10),
  sigmoid: unaryOp('sigmoid', '1 / (1 + e^-x).', (g, _, y) => mul(g, mul(y, sub(1, y))), 10),
  relu: unaryOp('relu', 'max(x, 0); the gradient at 0 is 0.', (g, x) => select(greater(x, 0), g, 0)),
  floor: unaryOp('floor', 'Largest whole number <= x; no gradient.', flat),
  sin: unaryOp('sin', 'Sine of radians.', (g, x) => mul(g, cos(x)), 10),
  cos: unaryOp('cos', 'Cosine of radians.', (g, x) => neg(mul(g, sin(x))), 10),
  erf: unaryOp('erf', 'The error function.', (g, x) => mul(g, mul(exp(neg(square(x))), 2 / Math.sqrt(Math.PI))), 20),
  is_finite: unaryOp('is_finite', '1 where x is finite, else 0; no gradient.', flat),
}

const powVjp: BinaryVjp = (g, a, b, y, needs) => {
  const exponent = constantValue(b)
  const constantCase = exponent === 0 ? null : exponent === 1 ? g : undefined
  // b a^(b-1), with the exponent 0 kept away from 0 * infinity at a = 0.
  const base = () => (exponent === undefined ? select(equal(b, 0), 0, mul(b, pow(a, sub(b, 1)))) : mul(pow(a, exponent - 1), exponent))
  const da = needs[0] ? (constantCase === undefined ? mul(g, base()) : constantCase) : null
  // y log a, whose limit at a = 0 is 0 for positive exponents.
  const db = needs[1] ? mul(g, mul(y, log(select(greater(a, 0), a, 1)))) : null
  return [da, db]
}

export const binaryOps: Record<BinaryOpcode, OpDef> = {
  add: binaryOp('add', 'a + b.', (g) => [g, g]),
  sub: binaryOp('sub', 'a - b.', (g, _a, _b, _y, needs) => [g, needs[1] ? neg(g) : null]),
  mul: binaryOp('mul', 'a b.', (g, a, b, _, needs) => [needs[0] ? mul(g, b) : null, needs[1] ? mul(g, a) : null]),
  div: binaryOp('div', 'a / b.', (g, _, b, y, needs) => [needs[0] ? div(g, b) : null, needs[1] ? neg(mul(g, div(y, b))) : null]),
  pow: binaryOp('pow', 'a^b; the gradient to b counts a <= 0 as 0.', powVjp, 20),
  maximum: binaryOp('maximum', 'The larger of a and b.', (g, a, b) => {
    const first = greaterEqual(a, b)
    return [select(first, g, 0), select(first, 0, g)]
  }),
  minimum: binaryOp('minimum', 'The smaller of a and b.', (g, a, b) => {
    const first = greaterEqual(b, a)
    return [select(first, g, 0), select(first, 0, g)]
  }),
  greater: binaryOp('greater', '1 where a > b, else 0, as f32; no gradient.', flatPair),
  greater_equal: binaryOp('greater_equal', '1 where a >= b, else 0, as f32; no gradient.', flatPair),
  equal: binaryOp('equal', '1 where a = b, else 0, as f32; no gradient.', flatPair),
}

const selectOp = defineOp({
  doc: 'a where the condition is not 0, else b.',
  type(inputs) {
    checkArity('select', inputs, 3)
    const [c, a, b] = inputs
    checkFloats('select', [c])
    checkFloats('select', [a, b])
    return [{ shape: broadcastShapes('select', broadcastShapes('select', a.shape, b.shape), c.shape), dtype: a.dtype }]
  },
  differentiable: [1, 2],
  vjp: ({ inputs: [c], cotangents: [g], needs }) => [
    null,
    needs[1] ? select(c, g as Value, 0) : null,
    needs[2] ? select(c, 0, g as Value) : null,
  ],
  reference(inputs, _, [y]) {
    const [c, a, b] = inputs.map((x) => broadcastData(x, y.shape))
    return [{ shape: y.shape, data: c.map((condition, i) => (condition !== 0 ? a[i] : b[i])) }]
  },
  flops: (_, [y]) => sizeOf(y.shape),
  slice: elementwiseSlice,
})

const integerRange = { i32: [-(2 ** 31), 2 ** 31 - 1], u32: [0, 2 ** 32 - 1], u8: [0, 255] } as const

const castOp = defineOp({
  doc: 'Conversion to another dtype; to integers by truncation, saturating, NaN to 0.',
  type(inputs, attrs) {
    checkArity('cast', inputs, 1)
    const dtype = dtypes.find((d) => d === attrs.dtype)
    if (!dtype) throw expected('invalid_dtype', 'cast', `one of ${dtypes.join(', ')}`, attrs.dtype)
    return [{ shape: inputs[0].shape, dtype }]
  },
  vjp: ({ inputs: [x], outputs: [y], cotangents: [g] }) => [isFloat(y.dtype) ? cast(g as Value, x.dtype) : null],
  reference([x], _, [y]) {
    if (isFloat(y.dtype)) return [x]
    const [least, most] = integerRange[y.dtype as keyof typeof integerRange]
    return [{ shape: x.shape, data: x.data.map((v) => (Number.isNaN(v) ? 0 : Math.min(most, Math.max(least, Math.trunc(v))))) }]
  },
  flops: (_, [y]) => sizeOf(y.shape),
  slice: elementwiseSlice,
})

export const elementwiseOps = { ...unaryOps, ...binaryOps, select: selectOp, cast: castOp }
