/** @file The compiler: an ordered list of passes, then placement and encoding. Pure: same graph and options, same bytes. */
import { expected } from '../../errors.js'
import { arithmeticOf, cpuIsas, isGpu } from '../isa.js'
import { bytesPerElement } from '../tensor/dtype.js'
import { sizeOf } from '../tensor/shape.js'
import { algorithmIndex, chooseAlgorithms, isConv, preparedFlag, winograd } from './algorithms.js'
import { listArguments } from './bind-arguments.js'
import { bytesMovedBy, flopsOf } from './cost.js'
import { encode } from './encode.js'
import { fuseElementwise } from './fuse-elementwise.js'
import { fuseGradientNorms } from './fuse-gradient-norms.js'
import { fuseNormCotangents } from './fuse-norm-cotangents.js'
import { fuseNormReaders } from './fuse-norm-readers.js'
import { importGraph, type Traceable } from './import-graph.js'
import type { IrGraph } from './ir.js'
import { type Lowered, lower } from './lower.js'
import { prepareWeights } from './prepare.js'
import type { AlgorithmPlan, CompileOptions, Plan, Program, ProgramArgument, SlicePlan } from './program.js'
import { shareWeights } from './share-weights.js'
import { simplify } from './simplify.js'
import { sliceBatches } from './slicing.js'
import { verify } from './verify.js'

export type { CompileOptions } from './program.js'

const passes: readonly (readonly [string, (graph: IrGraph, options: CompileOptions) => IrGraph])[] = [
  ['simplify', simplify],
  ['shared weights', shareWeights],
  ['gradient norms', fuseGradientNorms],
  ['simplify again', simplify],
  ['norm cotangents', fuseNormCotangents],
  ['norm readers', fuseNormReaders],
  ['slicing', sliceBatches],
  ['algorithms', chooseAlgorithms],
  ['prepare', prepareWeights],
  ['fuse', fuseElementwise],
]

/**
 * Compiles a traced function. Arguments are its inputs (without the step scalar), then its outputs that are not donated.
 * @throws AludelError 'invalid_option' when options do not fit the function.
 */
export function compile(traced: Traceable, options: CompileOptions = {}): Program {
  checkOptions(options)
  let graph = verify(importGraph(traced), 'import')
  for (const [name, pass] of passes) graph = verify(pass(graph, options), name)
  const args = listArguments(graph, options)
  const lowered = lower(graph, args)
  return {
    bytes: encode(lowered),
    arguments: args.list,
    inputArguments: args.ofInput,
    outputArguments: args.ofOutput,
    plan: planOf(lowered, args.list, options),
  }
}

function checkOptions({ slicing, memoryBudget, isa = 'avx2' }: CompileOptions): void {
  if (typeof slicing === 'object' && !(Number.isSafeInteger(slicing.rows) && slicing.rows >= 1)) {
    throw expected('invalid_option', 'slicing.rows', 'a whole number >= 1', slicing.rows)
  }
  if (memoryBudget !== undefined && !(memoryBudget >= 0)) throw expected('invalid_option', 'memoryBudget', 'bytes >= 0', memoryBudget)
  if (!cpuIsas.includes(isa) && !isGpu(isa)) throw expected('invalid_option', 'isa', `${cpuIsas.join(', ')} or sm_N`, isa)
}

function planOf(lowered: Lowered, args: readonly ProgramArgument[], { isa = 'avx2', precision = 'f32' }: CompileOptions): Plan {
  const slices: SlicePlan[] = []
  const algorithms: AlgorithmPlan[] = []
  let flops = 0
  let bytesMoved = 0
  let loops = 0
  for (const [instruction, { op, node, numbers, repeats, rows }] of lowered.instructions.entries()) {
    flops += repeats * (op === 'loop' ? 0 : flopsOf(node))
    bytesMoved += repeats * (op === 'loop' ? 0 : bytesMovedBy(node))
    if (op === 'loop') {
      slices.push({
        name: `loop${loops++}`,
        count: numbers.length > 3 ? numbers[4] - numbers[3] : numbers[1],
        size: rows,
        lanes: numbers[2],
      })
    }
    if (isConv(node) && op !== 'loop') {
      const algorithm = (numbers[algorithmIndex] & ~preparedFlag) === winograd ? 'winograd' : 'direct'
      algorithms.push({ instruction, op, shape: node.outputs[0].shape, algorithm })
    }
  }
  const argumentBytes = args.reduce((n, a) => n + Math.max(a.slots, 1) * sizeOf(a.shape) * bytesPerElement(a.dtype), 0)
  const { arenaBytes, localBytes: localBytesPerWorker, constantBytes, instructions } = lowered
  return {
    format: 1,
    ...arithmeticOf({ isa, precision }),
    arenaBytes,
    localBytesPerWorker,
    constantBytes,
    argumentBytes,
    flops,
    bytesMoved,
    instructions: instructions.length,
    slices,
    algorithms,
  }
}
