/** @file Every opcode's record. The type is total: an opcode without a record does not compile. */
import type { TypeRule } from '../graph/graph.js'
import { choleskyOps } from './cholesky.js'
import { convOps } from './conv.js'
import { convNormOps } from './conv-norm.js'
import type { OpDef } from './define.js'
import { elementwiseOps } from './elementwise.js'
import { gatherOps } from './gather.js'
import { herdingOps } from './herding.js'
import { imageOps } from './image.js'
import { kCenterOps } from './k-center.js'
import { matmulOps } from './matmul.js'
import { movementOps } from './movement-ops.js'
import { normOps } from './norm.js'
import type { Opcode } from './opcodes.js'
import { poolOps } from './pool.js'
import { powerSumsOps } from './power-sums.js'
import { randomOps } from './random.js'
import { reduceOps } from './reduce.js'
import { ridgeOps } from './ridge.js'
import { softmaxOps } from './softmax.js'
import { structureOps } from './structure.js'

export const registry: Readonly<Record<Opcode, OpDef>> = {
  ...structureOps,
  ...elementwiseOps,
  ...reduceOps,
  ...movementOps,
  ...matmulOps,
  ...convOps,
  ...convNormOps,
  ...choleskyOps,
  ...ridgeOps,
  ...poolOps,
  ...normOps,
  ...powerSumsOps,
  ...softmaxOps,
  ...gatherOps,
  ...imageOps,
  ...kCenterOps,
  ...herdingOps,
  ...randomOps,
}

/** The type rule that graphs are built with. */
export const typeRule: TypeRule = (op, inputs, attrs) => registry[op].type(inputs, attrs)
