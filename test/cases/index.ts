/** @file Every case. */
import type { OpCase } from './case.js'
import { choleskyCases } from './cholesky.js'
import { convCases } from './conv.js'
import { elementwiseCases } from './elementwise.js'
import { gatherCases } from './gather.js'
import { imageCases } from './image.js'
import { matmulCases } from './matmul.js'
import { movementCases } from './movement.js'
import { normCases } from './norm.js'
import { poolCases } from './pool.js'
import { randomCases } from './random.js'
import { reduceCases } from './reduce.js'
import { selectionCases } from './selection.js'
import { softmaxCases } from './softmax.js'
import { structureCases } from './structure.js'

export * from './case.js'

export const allCases: readonly OpCase[] = [
  ...structureCases,
  ...elementwiseCases,
  ...reduceCases,
  ...movementCases,
  ...matmulCases,
  ...convCases,
  ...choleskyCases,
  ...poolCases,
  ...normCases,
  ...softmaxCases,
  ...gatherCases,
  ...imageCases,
  ...randomCases,
  ...selectionCases,
]
