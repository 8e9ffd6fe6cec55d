/** @file The closed list of opcodes. Order is the number; native/core/opcodes.inc is generated from this file (scripts/gen-opcodes). */

export const opcodes = [
  // storage
  'input',
  'constant',
  'iota',
  // elementwise, one input
  'neg',
  'abs',
  'sign',
  'exp',
  'log',
  'sqrt',
  'rsqrt',
  'reciprocal',
  'square',
  'tanh',
  'sigmoid',
  'relu',
  'floor',
  'sin',
  'cos',
  'erf',
  'is_finite',
  // elementwise, two inputs, NumPy broadcasting
  'add',
  'sub',
  'mul',
  'div',
  'pow',
  'maximum',
  'minimum',
  'greater',
  'greater_equal',
  'equal',
  'select',
  'cast',
  'map',
  // reductions
  'sum',
  'max',
  'argmax',
  'power_sums',
  // movement
  'reshape',
  'transpose',
  'broadcast',
  'slice',
  'pad',
  'concat',
  'reverse',
  'copy',
  // products
  'matmul',
  'conv2d',
  'conv2d_input_grad',
  'conv2d_weight_grad',
  'conv2d_weight_grad_squared_norm',
  'conv2d_prepare',
  // linear algebra in float64
  'gram',
  'cholesky',
  'cholesky_solve',
  // pooling and normalisation
  'avg_pool2d',
  'avg_pool2d_grad',
  'max_pool2d',
  'max_pool2d_grad',
  'max_pool2d_gather',
  'norm_act_pool',
  'norm_act_pool_grad',
  'norm_act_pool_grad_grad',
  // classification
  'log_softmax',
  'softmax_ce',
  'softmax_ce_grad',
  'softmax_ce_grad_grad',
  'one_hot',
  // rows and images
  'gather',
  'scatter_add',
  'image_gather',
  'augment',
  'augment_linear',
  'augment_transpose',
  // selection of rows
  'k_center_step',
  'herd_step',
  // random
  'random_uniform',
  'random_normal',
  'random_permutation',
  // program structure, emitted by the compiler only
  'loop',
  'accumulate',
  'lane_sum',
  // values with a derivative of their own, resolved when a graph is compiled
  'ridge_solution',
  'ridge_weights',
] as const

export type Opcode = (typeof opcodes)[number]

export const opcodeNumber: Readonly<Record<Opcode, number>> = Object.fromEntries(opcodes.map((op, i) => [op, i])) as Record<Opcode, number>

/** FNV-1a over the names in order: both sides of the addon compare it at load. */
export const opcodeHash: number = [...opcodes.join(',')].reduce((h, c) => Math.imul(h ^ c.charCodeAt(0), 0x01000193) >>> 0, 0x811c9dc5)
