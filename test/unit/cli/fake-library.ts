/** @file A library that behaves as the real one does, in no time, and a way to run a command line against it. */
import type { Library } from '../../../src/cli/library.js'
import { runCli } from '../../../src/cli/program.js'
import type { OpenDeviceOptions } from '../../../src/engine/runtime/open-device.js'
import { AbortError, AludelError } from '../../../src/errors.js'
import { createSyntheticSet } from '../../../src/experiment/synthetic-set.js'
import type { DistillOptions, DistillRun, EvaluationResult, RunEvent, SyntheticSet } from '../../../src/experiment/types.js'
import { exportSet } from '../../../src/export/export-set.js'
import { assessTeacher } from '../../../src/teachers/index.js'
import { tinyDataset } from '../data/fixtures.js'

export interface Calls {
  readonly distill: DistillOptions[]
  readonly evaluate: object[]
  readonly opened: string[]
  readonly devices: OpenDeviceOptions[]
  readonly herding: object[]
  readonly plan: object[]
  closed: number
}

const setOf = (ipc: number, seed: number, method: string): SyntheticSet =>
  createSyntheticSet({
    images: new Float32Array(3 * ipc * 4),
    shape: [3 * ipc, 2, 2, 1],
    labels: Int32Array.from({ length: 3 * ipc }, (_, i) => Math.floor(i / ipc)),
    classes: ['class 0', 'class 1', 'class 2'],
    mean: [0.5],
    std: [0.25],
    flip: true,
    source: { name: 'tiny', split: 'train', sha256: '00' },
    config: { method, ipc, seed },
  })

/** `duringStep` runs after each step: a test may raise a signal there, or throw. */
export function fakeLibrary(duringStep: (step: number) => void = () => {}): { library: Library; calls: Calls } {
  const calls: Calls = { distill: [], evaluate: [], opened: [], devices: [], herding: [], plan: [], closed: 0 }
  const library: Library = {
    async openDataset(specification, split) {
      calls.opened.push(`${specification} ${split}`)
      if (specification === 'absent') throw new AludelError('not_found', 'absent: no such directory')
      return tinyDataset([4, 4, 4])
    },
    scoreToDirectory: async () => {
      throw new AludelError('unavailable', 'this library scores nothing')
    },
    resumeScoring: async () => null,
    scoreModel: async () => {
      throw new AludelError('unavailable', 'this library scores nothing')
    },
    resumeScoreModel: async () => {
      throw new AludelError('unavailable', 'this library scores nothing')
    },
    loadNetworks: async () => [],
    loadNetwork: async () => ({ parameters: {}, state: {} }),
    transfer: async () => [],
    nas: async () => {
      throw new AludelError('unavailable', 'this library searches nothing')
    },
    planNas: async () => {
      throw new AludelError('unavailable', 'this library searches nothing')
    },
    distillRepresentations: async () => {
      throw new AludelError('unavailable', 'this library learns no representations')
    },
    openTeacher: async () => {
      throw new AludelError('unavailable', 'this library has no teachers')
    },
    assessTeacher: (teacher, data, options) => assessTeacher(teacher, data, options),
    fitZca: async () => {
      throw new AludelError('unavailable', 'this library fits nothing')
    },
    whiten: async (dataset) => dataset,
    openDevice: async (options) => {
      calls.devices.push(options)
      const { precision = 'tf32' } = options
      return {
        ...(options.device === 'cuda' ? { isa: 'sm_90', precision } : { isa: 'fake', precision: 'f32' }),
        threads: 1,
        close: () => {
          calls.closed++
        },
      }
    },
    checkExperts: async () => undefined,
    trainExperts: () => Promise.reject(new AludelError('unavailable', 'no experts here')),
    pretrain: () => Promise.reject(new AludelError('unavailable', 'no pretraining here')),
    openExperts: async (dir) => {
      throw new AludelError('not_found', `${dir}: holds no experts`)
    },
    async distill(_, options) {
      calls.distill.push(options)
      if (options.method === 'unknown') throw new AludelError('not_found', "method: expected one of dm but received 'unknown'")
      return fakeRun(options, duringStep)
    },
    checkSettings: async (_, { ipc, init = 'real', seed = 0 }) => ({ ipc, init, seed, scheduleEvery: undefined }),
    async evaluate(source, { networks, repeats = 5, onProgress, onResult, signal, ...rest }) {
      calls.evaluate.push({ networks, repeats, ...rest })
      const set = typeof source === 'function' ? source(0) : source
      const mean = set.config.method === 'random-real' ? 41.25 : set.config.method === 'herding' ? 55.5 : 72.34
      const results: EvaluationResult[] = []
      for (const choice of networks) {
        const network = typeof choice === 'string' ? choice : choice.name
        onProgress?.({ network, epoch: 1, epochs: 2 })
        duringStep(0)
        if (signal?.aborted) throw new AbortError(signal.reason)
        onProgress?.({ network, epoch: 2, epochs: 2, loss: 0.5 })
        const { protocol, labels } = rest
        const kind = set.labelLogits && labels !== 'hard' ? 'soft' : 'hard'
        const training = protocol && ({ protocol, labels: kind, learningRate: set.learningRate ?? 0.01, batch: set.shape[0] } as const)
        const accuracy = { mean, std: 0.9, n: repeats, values: new Array(repeats).fill(mean), interval: null, perClass: [] }
        results.push({ network, ...accuracy, ...(training && { training }) })
        await onResult?.(results[results.length - 1])
      }
      return results
    },
    async evaluateModel(model, { onProgress, signal, ...rest }) {
      calls.evaluate.push({ model, ...rest })
      onProgress?.({ images: 4, total: 12 })
      duringStep(0)
      if (signal?.aborted) throw new AbortError(signal.reason)
      return { accuracy: 75, perClass: [100, 50, 75], images: 12, correct: 9, provider: 'cpu' }
    },
    exportSet,
    async trainModels(_, { networks, repeats = 5, onProgress, signal, ...rest }, onModel) {
      calls.evaluate.push({ networks, repeats, ...rest })
      for (const network of networks as string[]) {
        for (let index = 0; index < repeats; index++) {
          onProgress?.({ network, epoch: 1, epochs: 1 })
          await onModel({ network, index, bytes: Uint8Array.of(index) })
          duringStep(index)
          if (signal?.aborted) throw new AbortError(signal.reason)
        }
      }
    },
    randomBaseline: async (_, ipc, seed) => () => setOf(ipc, seed, 'random-real'),
    async featureBaselines(_, ipc, names, { seed = 0, epochs, onProgress }) {
      calls.herding.push({ ipc, seed, epochs })
      onProgress?.({ network: 'convnet', epoch: 1, epochs: 2, loss: 1 })
      return Object.fromEntries(names.map((name) => [name, setOf(ipc, seed, name)]))
    },
    scoredBaseline: async (_, ipc) => setOf(ipc, 0, 'scored'),
    subsetSet: async () => setOf(2, 0, 'subset'),
    modelTeacher: async () => ({ logits: async ({ labels }) => new Float32Array(3 * labels.length), dispose: () => undefined }),
    async networkTeacher(_, { network, epochs, onProgress }) {
      calls.herding.push({ network, epochs })
      onProgress?.({ network: 'convnet', epoch: 1, epochs: 2, loss: 1 })
      return { logits: async ({ labels }) => new Float32Array(3 * labels.length), dispose: () => undefined }
    },
    withSoftLabels: async (set, teacher) => ({ ...set, softLabels: await teacher.logits(set) }),
    planRun: async (_dataset, options) => {
      calls.plan.push(options)
      const phase = { steps: 100, flops: 1e12, seconds: 100 }
      const bytes = { arrays: 3 * 2 ** 20, constants: 0, workspace: 2 ** 20 }
      return {
        config: { method: options.method, ipc: options.ipc, realBatch: 256 },
        phases: [
          { ...phase, name: 'distill', bytes, totalBytes: 4 * 2 ** 20 },
          { ...phase, name: 'evaluate convnet', bytes, totalBytes: 3 * 2 ** 30, seconds: 7200 },
        ],
        stateBytes: 2 ** 20,
        dataBytes: 2 ** 20,
        peakBytes: 3 * 2 ** 30 + 2 ** 20,
        freeBytes: options.memory ?? 2 ** 33,
        fits: (options.memory ?? 2 ** 33) > 2 ** 32,
        flopsPerSecond: 1e10,
        largest: { ipc: 40, realBatch: null },
      }
    },
    planRepresentations: async () => {
      throw new AludelError('unavailable', 'this library has no teachers')
    },
    nearestReal: async (images, real) => {
      const count = images.length / (real.images.length / real.shape[0])
      return { rows: new Int32Array(count), distances: new Float64Array(count).fill(0.25) }
    },
    onnxRuntime: async () => ({ available: false, reason: 'onnxruntime-node is not installed' }),
    backends: async () => ({
      cpu: { available: true, isa: 'avx2', isas: ['avx2', 'portable'] },
      cuda: { available: false, built: false, reason: 'not built; run setup', driver: null, toolkit: null },
    }),
  }
  return { library, calls }
}

function fakeRun({ method, ipc, iterations = 3, seed = 0 }: DistillOptions, duringStep: (step: number) => void): DistillRun {
  let stopped = false
  const { promise, resolve, reject } = withResolvers<SyntheticSet>()
  promise.catch(() => undefined)
  async function* events(): AsyncGenerator<RunEvent> {
    yield { type: 'start', iterations, classes: 3, config: { method, ipc, seed, resolved: true } }
    let step = 0
    try {
      while (step < iterations && !stopped) {
        step++
        duringStep(step)
        // signals are delivered by the event loop
        await new Promise((next) => setTimeout(next, 1))
        yield { type: 'step', step, iterations, loss: 10 / step, seconds: step / 10, imagesPerSecond: 100 }
      }
    } catch (error) {
      reject(error)
      throw error
    }
    resolve(setOf(ipc, seed, method))
    yield { type: 'done', step, iterations, seconds: step / 10, stopped: step < iterations }
  }
  return {
    result: promise,
    stop() {
      stopped = true
    },
    [Symbol.asyncIterator]: events,
  }
}

function withResolvers<T>() {
  let resolve!: (value: T) => void
  let reject!: (reason: unknown) => void
  const promise = new Promise<T>((onValue, onError) => {
    resolve = onValue
    reject = onError
  })
  return { promise, resolve, reject }
}

/** Runs `aludel args…` and returns its exit code and what it wrote. */
export async function run(library: Library, ...args: string[]): Promise<{ code: number; stdout: string; stderr: string }> {
  const written = { stdout: '', stderr: '' }
  const stream = (name: 'stdout' | 'stderr') => ({
    write(text: string) {
      written[name] += text
    },
  })
  const code = await runCli({ args, library, stdout: stream('stdout'), stderr: stream('stderr') })
  return { code, ...written }
}
