/** @file Types that a TypeScript user sees; checked by the types project, never run. */
import ndarray from 'ndarray'
import { assertType, expectTypeOf, test } from 'vitest'
import {
  type AludelError,
  applySubset,
  attentionMatch,
  bindProgram,
  type CheckpointStore,
  checkpointStore,
  convNet,
  createSubset,
  type Dataset,
  type Device,
  type DeviceArray,
  distill,
  type ErrorCode,
  type EvaluationResult,
  el2n,
  engine,
  evaluate,
  type Network,
  openDevice,
  perSampleLoss,
  type RunEvent,
  type SyntheticSet,
  scoreLogits,
  selectSamples,
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

test('direct kernels take views and arrays; results are what the options ask for', () => {
  const logits = ndarray(new Float32Array(20), [2, 10])
  const labels = new Uint8Array(2)
  expectTypeOf(perSampleLoss(logits, labels, { device })).resolves.toExtend<{ loss: Float32Array; el2n: Float32Array }>()
  expectTypeOf(perSampleLoss(logits, labels, { device })).resolves.not.toHaveProperty('gradient')
  expectTypeOf(perSampleLoss(logits, labels, { device, gradient: true, out: 'array' }))
    .resolves.toHaveProperty('gradient')
    .toEqualTypeOf<DeviceArray>()
  expectTypeOf(el2n(device.array('f32', [2, 10]), labels, { device })).resolves.toEqualTypeOf<Float32Array>()
  expectTypeOf(attentionMatch(logits, logits, { device, gradient: true }))
    .resolves.toHaveProperty('gradient')
    .toEqualTypeOf<Float32Array>()
  // @ts-expect-error no device
  el2n(logits, labels, {})
  // @ts-expect-error double precision is not rounded in silence
  el2n({ data: new Float64Array(20), shape: [2, 10] }, labels, { device })
})

test("a bound program's build is checked against its names", () => {
  const io = { inputs: { x: { shape: [2] } }, outputs: { y: {} } }
  bindProgram(device, { ...io, build: ({ x }) => ({ y: engine.square(x) }) })
  bindProgram(device, { ...io, step: 'i', build: ({ x, i }) => ({ y: engine.mul(x, engine.cast(i, 'f32')) }) })
  // @ts-expect-error no input of that name
  bindProgram(device, { ...io, build: ({ z }) => ({ y: engine.square(z) }) })
  // @ts-expect-error the output y is left out
  bindProgram(device, { ...io, build: ({ x }) => ({ z: engine.square(x) }) })
})

test('scores and selections keep their names and forms', async () => {
  const logits = { data: new Float32Array(20), shape: [10, 2] as const }
  const scores = await scoreLogits({ logits, labels: dataset.labels }, { scores: ['loss', 'el2n'], samples: 10 })
  expectTypeOf(scores).toEqualTypeOf<Record<'loss' | 'el2n', Float64Array>>()
  const selection = await selectSamples(dataset, { order: 'asc', scores: scores.loss, keep: 0.2 })
  expectTypeOf(selection.weights).toEqualTypeOf<Float64Array | null>()
  expectTypeOf(applySubset(dataset, createSubset(dataset, selection, null))).toEqualTypeOf<Dataset>()
  // @ts-expect-error no such score
  scoreLogits({ logits, labels: dataset.labels }, { scores: ['el3n'], samples: 10 })
  // @ts-expect-error the direction has no default
  selectSamples(dataset, { scores: scores.loss, keep: 0.2 })
})
