/** @file Types that a TypeScript user sees; checked by the types project, never run. */
import { assertType, expectTypeOf, test } from 'vitest'
import {
  type AludelError,
  type CheckpointStore,
  checkpointStore,
  convNet,
  type Dataset,
  type Device,
  distill,
  type ErrorCode,
  type EvaluationResult,
  engine,
  evaluate,
  type Network,
  openDevice,
  type RunEvent,
  type SyntheticSet,
} from '../../src/index.js'

declare const dataset: Dataset
declare const device: Device

test('a run is an async iterable of events with a result', () => {
  const run = distill(dataset, { method: 'dm', ipc: 1, device })
  expectTypeOf(run[Symbol.asyncIterator]().next()).resolves.toExtend<IteratorResult<RunEvent>>()
  expectTypeOf(run.result).resolves.toEqualTypeOf<SyntheticSet>()
  // @ts-expect-error ipc has no default
  distill(dataset, { method: 'dm', device })
  // @ts-expect-error unknown start
  distill(dataset, { method: 'dm', ipc: 1, device, init: 'zeros' })
})

test('a run continues from checkpoints in a folder or in a store of the caller', () => {
  expectTypeOf(checkpointStore('runs/x/checkpoints')).toEqualTypeOf<CheckpointStore>()
  const memory: CheckpointStore = { save: async () => {}, load: async () => undefined }
  distill(dataset, { method: 'dm', ipc: 1, device, checkpoints: memory, checkpointEvery: 10, onDivergence: 'rollback' })
  // @ts-expect-error no such policy
  distill(dataset, { method: 'dm', ipc: 1, device, onDivergence: 'ignore' })
})

test('events narrow by their type', () => {
  const loss = (event: RunEvent) => (event.type === 'step' ? event.loss : undefined)
  expectTypeOf(loss).returns.toEqualTypeOf<number | undefined>()
})

test('an evaluation gives accuracies', async () => {
  const set = await distill(dataset, { method: 'dm', ipc: 1, device }).result
  expectTypeOf(evaluate(set, { networks: ['convnet'], test: dataset, device })).resolves.toEqualTypeOf<EvaluationResult[]>()
})

test('devices open by name and dispose themselves', () => {
  expectTypeOf(openDevice({ device: 'cpu', threads: 2 })).resolves.toEqualTypeOf<Device>()
  expectTypeOf<Device>().toExtend<AsyncDisposable>()
  // @ts-expect-error no such backend
  openDevice({ device: 'tpu' })
})

test('a traced function keeps the nesting of its arguments', () => {
  engine.trace(
    (parameters, x) => {
      expectTypeOf(parameters.weight).toEqualTypeOf<engine.Value>()
      return engine.matmul(x, parameters.weight)
    },
    [{ weight: engine.spec([3, 2]) }, engine.spec([4, 3])],
  )
})

test('a network is an init/apply pair that users can write', () => {
  assertType<Network>(convNet({ input: [32, 32, 3], classes: 10, depth: 3, width: 128, norm: 'instance' }))
  // @ts-expect-error no such norm
  convNet({ input: [32, 32, 3], classes: 10, norm: 'weight' })
})

test('error codes are a closed list', () => {
  expectTypeOf<AludelError['code']>().toEqualTypeOf<ErrorCode>()
})
