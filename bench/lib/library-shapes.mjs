/** @file Products and convolutions as networks and scores have them, and what choices.inc calls their kind and size: for bench/cuda-libraries.mjs. */
import { engine } from '../../dist/index.js'

const log2Up = (size) => Math.ceil(Math.log2(size))
const inFours = (...sizes) => sizes.every((size) => size % 4 === 0)

/** `choice`: arguments of the macro behind architecture and precision. */
function product([batch, m, n, k], { transposeA = false, transposeB = false } = {}) {
  return {
    title: `${batch} x ${m} x ${n} x ${k} ${transposeA ? 'T' : 'N'}${transposeB ? 'T' : 'N'}`,
    macro: 'ALUDEL_PRODUCT',
    choice: [...[batch, m, n, k].map(log2Up), transposeA, transposeB, inFours(m, n, k)],
    inputs: { a: transposeA ? [batch, k, m] : [batch, m, k], b: transposeB ? [batch, n, k] : [batch, k, n] },
    outputs: { out: [batch, m, n] },
    build: ({ a, b }) => ({ out: engine.matmul(a, b, { transposeA, transposeB }) }),
  }
}

/** The three passes over [images, size, size, channels]; margins of `kernel / 2`. */
function convolution(images, size, channels, filters, kernel = 3, stride = 1) {
  const pad = (kernel - 1) / 2
  const out = Math.floor((size + 2 * pad - kernel) / stride) + 1
  const [x, y] = [
    [1, images, size, size, channels],
    [1, images, out, out, filters],
  ]
  const [w, bias] = [
    [1, kernel, kernel, channels, filters],
    [1, filters],
  ]
  const sizes = [kernel, kernel, stride, stride, 0, ...[images * out * out, channels, filters].map(log2Up), inFours(channels, filters)]
  const pass = (name, inputs, outputs, build) => ({
    title: `${name} ${images} of ${size}x${size}, ${kernel}x${kernel} stride ${stride}, ${channels} to ${filters}`,
    macro: 'ALUDEL_CONVOLUTION',
    choice: [name, ...sizes],
    inputs,
    outputs,
    build,
  })
  const geometry = { stride, pad }
  return [
    pass('forward', { x, w, bias }, { out: y }, (v) => ({ out: engine.conv2d(v.x, v.w, v.bias, geometry) })),
    pass('input_grad', { y, w }, { out: x }, (v) => ({ out: engine.conv2dInputGrad(v.y, v.w, size, size, geometry) })),
    pass('weight_grad', { x, y }, { dw: w, db: bias }, (v) => engine.conv2dWeightGrad(v.x, v.y, kernel, kernel, geometry)),
  ]
}

/** The linear layer of images by features by classes, forward and both gradients. */
const layers = [10, 100, 200, 1000].flatMap((classes) =>
  [512, 2048].flatMap((features) => [
    product([1, 256, classes, features]),
    product([1, 256, features, classes], { transposeB: true }),
    product([1, features, classes, 256], { transposeA: true }),
    product([1, 2560, classes, features]),
  ]),
)
const grams = [512, 2048].map((rows) => product([1, rows, rows, 2048], { transposeB: true }))

/** ConvNet-3 at 32 pixels, and a residual network's blocks there: within a stage, and into the next. */
const convNet = [
  [2560, 32, 3, 128],
  [2560, 16, 128, 128],
  [2560, 8, 128, 128],
]
const residual = [
  [256, 32, 64],
  [256, 16, 128],
  [256, 8, 256],
].flatMap(([images, size, channels]) => [
  [images, size, channels, channels],
  [images, size, channels, 2 * channels, 3, 2],
  [images, size, channels, 2 * channels, 1, 2],
])

export const libraryShapes = [
  ...layers,
  ...grams,
  product([10, 256, 128, 2048]),
  ...[...convNet, ...residual].flatMap((c) => convolution(...c)),
]
