/** @file Who computes the test accuracy of trained networks: ONNX Runtime on their exports, or the engine. */
import type { Dataset } from '../data/dataset.js'
import type { Whitening } from '../data/whitening.js'
import type { Device } from '../engine/runtime/device.js'
import { AludelError, expected } from '../errors.js'
import type { EvaluationSettings } from '../experiment/types.js'
import { checkExportable, exportOnnx } from '../export/onnx/export-network.js'
import type { MapShape, Network } from '../nn/module.js'
import { OnnxClassifier, RuntimeProcess, runtimePath } from '../onnx/index.js'
import { AccuracyMeter, type Normalization, type TestAccuracy } from './accuracy.js'
import { measureClassifier } from './onnx-accuracy.js'
import { readNetworks, type TrainedUse } from './train-networks.js'
import type { NetworkArrays } from './trainer.js'

export type InferenceKind = NonNullable<EvaluationSettings['inference']>

export const inferenceKinds: readonly InferenceKind[] = ['auto', 'onnx', 'engine']

/** What the networks are trained for, as their models say. */
type Task = Normalization & { readonly classes: readonly string[]; readonly whitening?: Whitening }

/** Numbers of a whitening's matrix above which 'auto' leaves whitened images to the engine, which has them: each model would carry it. */
const mostMatrix = 2 ** 24

export interface MeasureJob {
  readonly device: Device
  readonly network: Network
  readonly test: Dataset
  readonly task: Task
  readonly signal: AbortSignal | undefined
  /** Hears of images classified by ONNX Runtime: of those of all networks that are measured together. */
  readonly onTested?: (testing: { readonly images: number; readonly total: number }) => void
  readonly report: (accuracies: readonly TestAccuracy[], by: 'onnx' | 'engine') => void
}

/** Opened for one evaluation; `close` ends ONNX Runtime's process. */
export class Inference {
  readonly #kind: InferenceKind
  readonly #runtime: RuntimeProcess | undefined
  readonly #taken = new Map<Network, boolean>()

  private constructor(kind: InferenceKind, runtime: RuntimeProcess | undefined) {
    this.#kind = kind
    this.#runtime = runtime
  }

  /** 'auto' takes ONNX Runtime when it is installed and loads; 'onnx' throws `unavailable` otherwise. */
  static async open(kind: InferenceKind = 'auto'): Promise<Inference> {
    if (!inferenceKinds.includes(kind)) throw expected('invalid_option', 'inference', `one of ${inferenceKinds.join(', ')}`, kind)
    if (kind === 'engine' || (kind === 'auto' && runtimePath() === undefined)) return new Inference(kind, undefined)
    try {
      return new Inference(kind, await RuntimeProcess.open())
    } catch (error) {
      if (kind === 'onnx') throw error
      return new Inference(kind, undefined)
    }
  }

  /** Whether a network's models go through ONNX Runtime. With 'onnx', throws `invalid_option` for a network that has no ONNX form. */
  takes(network: Network): boolean {
    const known = this.#taken.get(network)
    if (known !== undefined) return known
    const taken = this.#runtime !== undefined && this.#isExportable(network)
    this.#taken.set(network, taken)
    return taken
  }

  #isExportable(network: Network): boolean {
    try {
      checkExportable(network)
      return true
    } catch (error) {
      if (this.#kind === 'onnx') throw error
      return false
    }
  }

  /** The measurement of `groups` networks once they are trained. */
  prepare(job: MeasureJob, groups: number): TrainedUse {
    const isLarge = (job.task.whitening?.transform.length ?? 0) > mostMatrix
    return this.takes(job.network) && !(isLarge && this.#kind === 'auto') ? this.#byRuntime(job) : byEngine(job, groups)
  }

  close(): void {
    this.#runtime?.close()
  }

  #byRuntime(job: MeasureJob): TrainedUse {
    return {
      use: async (networks, groups) => {
        try {
          job.report(await this.#measure(job, networks, groups), 'onnx')
        } catch (error) {
          // A runtime that died is no reason to lose what was trained.
          if (this.#kind === 'onnx' || !(error instanceof AludelError) || error.code !== 'invalid_data') throw error
          const meter = byEngine(job, groups)
          await meter.use(networks, groups, 0).finally(() => meter.dispose())
        }
      },
      dispose: () => undefined,
    }
  }

  async #measure(
    { device, network, test, task, signal, onTested }: MeasureJob,
    networks: NetworkArrays,
    groups: number,
  ): Promise<TestAccuracy[]> {
    const accuracies: TestAccuracy[] = []
    const total = groups * test.shape[0]
    for (const [g, tensors] of (await readNetworks(networks, groups)).entries()) {
      const model = await exportOnnx(network, tensors, task)
      const image = test.shape.slice(1) as unknown as MapShape
      const options = { device, image, classes: task.classes, ...(signal && { signal }) }
      const classifier = await OnnxClassifier.load(this.#runtime as RuntimeProcess, `network '${network.name}'`, model, options)
      const { accuracy, perClass } = await measureClassifier(classifier, test, ({ images }) =>
        onTested?.({ images: g * test.shape[0] + images, total }),
      )
      await classifier.unload()
      accuracies.push({ accuracy, perClass })
    }
    return accuracies
  }
}

function byEngine({ device, network, test, task, signal, report }: MeasureJob, groups: number): TrainedUse {
  const meter = new AccuracyMeter(device, network, test, groups, task)
  return {
    use: async (networks) => report(await meter.measure(networks, signal), 'engine'),
    dispose: () => meter.dispose(),
  }
}
