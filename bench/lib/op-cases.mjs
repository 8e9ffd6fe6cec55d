/** @file Op cases at the sizes that training steps have. The sizes of test/cases are for correctness and too small to time. */
import {
  augment,
  avgPool2d,
  conv2d,
  conv2dInputGrad,
  conv2dWeightGrad,
  conv2dWeightGradSquaredNorm,
  exp,
  gather,
  gelu,
  grad,
  herdStep,
  imageGather,
  kCenterStep,
  logSoftmax,
  matmul,
  maxPool2d,
  mul,
  normActPool,
  normActPoolSums,
  powerSums,
  randomNormal,
  randomUniform,
  relu,
  scatterAdd,
  softmaxCe,
  softmaxCeOfFeatures,
  square,
  sub,
  sum,
  tanh,
  transpose,
} from '../../dist/engine/index.js'

const rows = 32

/** [in channels, out channels, map size] of the blocks of ConvNet-3. */
const blocks = [
  [3, 128, 32],
  [128, 128, 32],
  [128, 128, 16],
  [128, 128, 8],
]

const convCases = blocks.flatMap(([c, k, size]) => {
  const x = { shape: [1, rows, size, size, c] }
  const y = { shape: [1, rows, size, size, k] }
  const w = { shape: [1, 3, 3, c, k] }
  const label = `${c}->${k}, ${size}x${size}, 3x3`
  const pad = { pad: 1 }
  return [
    { op: 'conv2d', name: label, inputs: [x, w, { shape: [1, k] }], build: (x, w, bias) => [conv2d(x, w, bias, pad)] },
    { op: 'conv2d_input_grad', name: label, inputs: [y, w], build: (dy, w) => [conv2dInputGrad(dy, w, size, size, pad)] },
    { op: 'conv2d_weight_grad', name: label, inputs: [x, y], build: (x, dy) => Object.values(conv2dWeightGrad(x, dy, 3, 3, pad)) },
  ]
})

/** Norms of the gradients of single samples, by both ways: one image a group. */
const squaredNormCases = blocks.flatMap(([c, k, size]) =>
  ['direct', 'gram'].map((norm) => ({
    op: 'conv2d_weight_grad_squared_norm',
    name: `${c}->${k}, ${size}x${size}, 3x3, ${norm}`,
    inputs: [{ shape: [rows, 1, size, size, c] }, { shape: [rows, 1, size, size, k] }],
    build: (x, dy) => Object.values(conv2dWeightGradSquaredNorm(x, dy, 3, 3, { pad: 1, norm })),
  })),
)

const normCases = ['instance', 'batch'].flatMap((kind) => {
  const inputs = [{ shape: [1, rows, 32, 32, 128] }, { shape: [1, 128] }, { shape: [1, 128] }]
  const options = { kind, eps: 1e-5, relu: true, pool: 2 }
  const pooled = { shape: [1, rows, 16, 16, 128] }
  const first = (x, gamma, beta, gy) => grad(sum(mul(normActPool(x, gamma, beta, options).y, gy)), [x, gamma, beta])
  const second = (x, gamma, beta, gy, ux) => grad(sum(mul(first(x, gamma, beta, gy)[0], ux)), [x, gamma, gy])
  return [
    { op: 'norm_act_pool', name: kind, inputs, build: (...v) => [normActPool(...v, options).y] },
    {
      op: 'norm_act_pool',
      name: `${kind}, with sums`,
      inputs,
      build: (...v) => Object.values(normActPoolSums(...v, { ...options, power: 4 })),
    },
    { op: 'norm_act_pool_grad', name: kind, inputs: [...inputs, pooled], build: first },
    { op: 'norm_act_pool_grad_grad', name: `${kind}, with its gradients`, inputs: [...inputs, pooled, inputs[0]], build: second },
  ]
})

const map = { shape: [rows, 32, 32, 128] }
const pool = { window: 2, stride: 2 }
const key = [
  { shape: [2], dtype: 'u32' },
  { shape: [1], dtype: 'u32' },
]

export const opCases = [
  ...convCases,
  ...squaredNormCases,
  ...normCases,
  { op: 'avg_pool2d', name: '2x2', inputs: [map], build: (x) => [avgPool2d(x, pool)] },
  { op: 'max_pool2d', name: '2x2', inputs: [map], build: (x) => [maxPool2d(x, pool)] },
  { op: 'map', name: 'gelu(x)', inputs: [map], build: (x) => [gelu(x)] },
  { op: 'map', name: 'tanh(relu(x) - x^2) exp(-x)', inputs: [map], build: (x) => [mul(tanh(sub(relu(x), square(x))), exp(sub(0, x)))] },
  { op: 'sum', name: 'all', inputs: [map], build: (x) => [sum(x)] },
  { op: 'sum', name: 'rows', inputs: [map], build: (x) => [sum(x, { axes: [0] })] },
  { op: 'power_sums', name: 'fourth power', inputs: [map], build: (x) => Object.values(powerSums(x, 4)) },
  { op: 'transpose', name: 'NHWC to NCHW', inputs: [map], build: (x) => [transpose(x, [0, 3, 1, 2])] },
  { op: 'matmul', name: '256x2048x10', inputs: [{ shape: [256, 2048] }, { shape: [2048, 10] }], build: (a, b) => [matmul(a, b)] },
  {
    op: 'matmul',
    name: '32x147456 times 8x147456, transposeB',
    inputs: [{ shape: [32, 147456] }, { shape: [8, 147456] }],
    build: (a, b) => [matmul(a, b, { transposeB: true })],
  },
  { op: 'matmul', name: '512x512x512', inputs: [{ shape: [512, 512] }, { shape: [512, 512] }], build: (a, b) => [matmul(a, b)] },
  { op: 'log_softmax', name: '4096x10', inputs: [{ shape: [4096, 10] }], build: (x) => [logSoftmax(x)] },
  {
    op: 'softmax_ce',
    name: '256x1000, soft targets',
    inputs: [{ shape: [256, 1000] }, { shape: [256, 1000] }],
    build: (z, target) => [softmaxCe(z, target).loss],
  },
  {
    op: 'softmax_ce',
    name: '4096x10 with 2048 features',
    inputs: [{ shape: [4096, 10] }, { shape: [4096], dtype: 'i32' }, { shape: [4096, 2048] }],
    build: (z, target, features) => Object.values(softmaxCeOfFeatures(z, target, features)),
  },
  {
    op: 'k_center_step',
    name: '5000x2048',
    inputs: [{ shape: [157, 2048, 32] }, { shape: [5000], dtype: 'f64' }, { shape: [], dtype: 'i32' }, { shape: [], dtype: 'i32' }],
    build: (...v) => Object.values(kCenterStep(...v)),
  },
  {
    op: 'herd_step',
    name: '5000x2048',
    inputs: [{ shape: [157, 2048, 32] }, { shape: [2048], dtype: 'f64' }, { shape: [2048], dtype: 'f64' }, { shape: [5000], dtype: 'i32' }],
    build: (...v) => Object.values(herdStep(...v, 'residual')),
  },
  {
    op: 'gather',
    name: '256 of 2560 images',
    inputs: [{ shape: [2560, 32, 32, 3] }, { shape: [256], dtype: 'i32' }],
    build: (x, index) => [gather(x, index)],
  },
  {
    op: 'scatter_add',
    name: '2560 embeddings to 10 classes',
    inputs: [{ shape: [2560, 2048] }, { shape: [2560], dtype: 'i32' }],
    build: (g, index) => [scatterAdd(g, index, 10)],
  },
  {
    op: 'image_gather',
    name: '256 of 2560 images',
    inputs: [{ shape: [2560, 32, 32, 3], dtype: 'u8' }, { shape: [256], dtype: 'i32' }, { shape: [3] }, { shape: [3] }],
    build: (...v) => [imageGather(...v)],
  },
  // Rows of theta are zeros: the identity. Kind 5 (affine) is the dearest, set through `fill`.
  {
    op: 'augment',
    name: 'affine, 256 images',
    inputs: [{ shape: [256, 32, 32, 3] }, { shape: [256, 8], fill: affineRow }],
    build: (x, t) => [augment(x, t)],
  },
  { op: 'random_uniform', name: '1e6', inputs: key, build: (key, counter) => [randomUniform(key, counter, [1_000_000], 1)] },
  { op: 'random_normal', name: '1e6', inputs: key, build: (key, counter) => [randomNormal(key, counter, [1_000_000], 1)] },
]

/** Element i of theta: a rotation by about 15 degrees in every row. */
function affineRow(i) {
  return [5, 0.966, -0.259, 0, 0.259, 0.966, 0, 0][i % 8]
}
